//! Checks that every internal link of the built site leads to a file, every fragment to an id, and that the landing
//! page lists every guide.

use std::path::Path;

use anyhow::Context;

/// Fails with the links that lead nowhere.
pub(super) fn check(site: &Path) -> anyhow::Result<()> {
    let mut pages = vec![site.join("index.html")];
    for entry in std::fs::read_dir(site.join("guides"))? {
        pages.push(entry?.path());
    }
    let mut broken = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page)?;
        let folder = page.parent().context("a page lies in a folder")?;
        let shown = page.strip_prefix(site).unwrap_or(&page).display();
        for link in targets(&text).filter(|link| !link.contains(':')) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { folder.join(file) };
            let is_found = match fragment {
                "" => target.exists(),
                id => std::fs::read_to_string(&target)
                    .is_ok_and(|text| text.contains(&format!("id=\"{id}\""))),
            };
            if !is_found {
                broken.push(format!("{shown}: `{link}`"));
            }
        }
    }
    anyhow::ensure!(broken.is_empty(), "broken links:\n  {}", broken.join("\n  "));
    let landing = std::fs::read_to_string(site.join("index.html"))?;
    for entry in std::fs::read_dir(site.join("guides"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_listed = targets(&landing).any(|link| link == format!("guides/{name}"));
        anyhow::ensure!(is_listed, "`docs/index.html` does not link to the guide of `{name}`");
    }
    Ok(())
}

/// The values of `href` in a page.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_missing_page_or_id_is_broken() {
        let site = tempfile::tempdir().unwrap();
        std::fs::create_dir(site.path().join("guides")).unwrap();
        let guide = "<h1 id=\"top\">a</h1><a href=\"#top\">b</a><a href=\"../index.html\">c</a>";
        std::fs::write(site.path().join("guides/a.html"), guide).unwrap();
        let landing = |link: &str| {
            let text = format!("<a href=\"{link}\">a</a><a href=\"https://example.org/#x\">b</a>");
            std::fs::write(site.path().join("index.html"), text).unwrap();
            check(site.path())
        };
        landing("guides/a.html").unwrap();
        for unlisted in ["guides/a.html#top", "mailto:a@example.org"] {
            let error = landing(unlisted).unwrap_err().to_string();
            assert!(error.contains("does not link to the guide of `a.html`"), "{error}");
        }
        for bad in ["guides/b.html", "guides/a.html#end", "#top"] {
            let error = landing(bad).unwrap_err().to_string();
            assert!(error.contains(&format!("index.html: `{bad}`")), "{error}");
        }
    }
}
