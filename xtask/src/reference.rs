//! `cargo xtask reference`: the tables in `docs/` that are written from the code.

mod policy;

use anyhow::Context;
use life_agent_policy::schema;
use life_agent_server::cli::reference;

use crate::root;

/// Writes the tables, or fails if one is not current.
pub(crate) fn write(check: bool) -> anyhow::Result<()> {
    for (page, name, table) in [
        ("docs/cli.md", "commands", reference::commands()),
        ("docs/settings.md", "settings", reference::settings()),
        ("docs/events.md", "events", reference::events()),
        ("docs/errors.md", "errors", reference::errors()),
        ("docs/metrics.md", "metrics", reference::metrics()),
        ("docs/policy-reference.md", "policy", policy::tables(&schema::policy_schema())),
    ] {
        let path = root().join(page);
        let current =
            std::fs::read_to_string(&path).with_context(|| format!("reading `{page}`"))?;
        let written = replaced(&current, name, &table)
            .with_context(|| format!("`{page}` lacks the markers of its table"))?;
        anyhow::ensure!(
            !check || current == written,
            "`{page}` is stale; run `cargo xtask reference`"
        );
        if current != written {
            std::fs::write(&path, written).with_context(|| format!("writing `{page}`"))?;
        }
    }
    Ok(())
}

/// The page with another text between its markers.
fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let (first, last) = (
        format!("<!-- {name}: written by `cargo xtask reference` -->\n"),
        format!("<!-- /{name} -->"),
    );
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
        let page = "a\n<!-- x: written by `cargo xtask reference` -->\nold\n<!-- /x -->\nb\n";
        let new = page.replace("old\n", "new\n");
        assert_eq!(replaced(page, "x", "new\n").as_deref(), Some(new.as_str()));
        assert_eq!(replaced(page, "y", ""), None);
    }
}
