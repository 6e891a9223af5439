//! `cargo xtask cli`: the tables of commands and settings in `docs/`.

use anyhow::Context;
use life_agent_server::cli::reference;

use crate::root;

/// Writes the tables, or fails if one is not current.
pub(crate) fn write(check: bool) -> anyhow::Result<()> {
    for (page, name, table) in [
        ("docs/cli.md", "commands", reference::commands()),
        ("docs/settings.md", "settings", reference::settings()),
    ] {
        let path = root().join(page);
        let current =
            std::fs::read_to_string(&path).with_context(|| format!("reading `{page}`"))?;
        let written = replaced(&current, name, &table)
            .with_context(|| format!("`{page}` lacks the markers of its table"))?;
        anyhow::ensure!(!check || current == written, "`{page}` is stale; run `cargo xtask cli`");
        if current != written {
            std::fs::write(&path, written).with_context(|| format!("writing `{page}`"))?;
        }
    }
    Ok(())
}

/// The page with another text between its markers.
fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let (first, last) =
        (format!("<!-- {name}: written by `cargo xtask cli` -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = page.split_once(&first)?;
    let (_, after) = rest.split_once(&last)?;
    Some(format!("{before}{first}{text}{last}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_current() {
        write(true).unwrap();
    }

    #[test]
    fn only_the_text_between_the_markers_changes() {
        let page = "a\n<!-- x: written by `cargo xtask cli` -->\nold\n<!-- /x -->\nb\n";
        let new = page.replace("old\n", "new\n");
        assert_eq!(replaced(page, "x", "new\n").as_deref(), Some(new.as_str()));
        assert_eq!(replaced(page, "y", ""), None);
    }
}
