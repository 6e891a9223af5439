//! `cargo xtask site`: the pages of `docs/` that GitHub Pages serves as they are, from the guides and the code.
//!
//! GitHub would render Markdown with Jekyll, with links that work nowhere else. Pages that are written out
//! also open from a folder, need no script and can be tested.

mod reference;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use crate::root;

/// Writes the pages, or checks that they are current.
pub(crate) fn write(check: bool) -> anyhow::Result<()> {
    let docs = root().join("docs");
    let mut pages = BTreeMap::new();
    for entry in std::fs::read_dir(&docs)? {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "md") {
            continue;
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        let text = std::fs::read_to_string(&path)?;
        let page = guide(&text).with_context(|| format!("in `{}`", path.display()))?;
        pages.insert(format!("guides/{stem}.html"), page);
    }
    let document = serde_json::to_value(life_agent_server::openapi::document(None))?;
    let body = reference::body(&document);
    pages.insert("reference.html".to_owned(), page("Every call", "", &body));
    let known = |name: &str| pages.contains_key(&format!("guides/{name}"));
    for entry in std::fs::read_dir(docs.join("guides")).into_iter().flatten() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        anyhow::ensure!(known(&name), "`docs/guides/{name}` has no guide any more; remove it");
    }
    for (name, text) in pages {
        put(&docs.join(&name), &text, check)
            .with_context(|| format!("`docs/{name}`; run `cargo xtask site`"))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str, check: bool) -> anyhow::Result<()> {
    if check {
        let current = std::fs::read_to_string(path).unwrap_or_default();
        anyhow::ensure!(current == text, "is stale");
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(path, text)?)
}

/// A guide as a page.
fn guide(markdown: &str) -> anyhow::Result<String> {
    let title = markdown.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or("Guide");
    Ok(page(title, "../", &rendered(markdown)?))
}

/// Markdown as HTML, with an id on each heading and links that lead to pages.
fn rendered(markdown: &str) -> anyhow::Result<String> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut events: Vec<_> = Parser::new_ext(markdown, options).collect();
    let (mut heading, mut leads_out) = (None, false);
    for at in 0..events.len() {
        match &events[at] {
            Event::Start(Tag::Heading { .. }) => heading = Some((at, String::new())),
            Event::Text(text) | Event::Code(text) => {
                if let Some((_, said)) = &mut heading {
                    said.push_str(text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some((start, said)) = heading.take()
                    && let Event::Start(Tag::Heading { id, .. }) = &mut events[start]
                {
                    *id = Some(slug(&said).into());
                }
            }
            // Marks for programs, such as the ones between which figures are renewed.
            Event::Html(text) if text.starts_with("<!--") && text.trim_end().ends_with("-->") => {
                events[at] = Event::Text("".into());
            }
            Event::Html(text) | Event::InlineHtml(text) => {
                anyhow::bail!("`{}`: raw HTML; write Markdown", text.trim());
            }
            _ => {}
        }
        match &mut events[at] {
            // The site has `docs/` alone: what leads to the rest of the repository stays as text.
            Event::Start(Tag::Link { dest_url, .. }) if dest_url.starts_with("../") => {
                leads_out = true;
                events[at] = Event::Text("".into());
            }
            Event::End(TagEnd::Link) if leads_out => {
                leads_out = false;
                events[at] = Event::Text("".into());
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                *dest_url = linked(dest_url)?;
            }
            _ => {}
        }
    }
    let mut text = String::new();
    html::push_html(&mut text, events.into_iter());
    // What is wide scrolls by itself, not with its page, and by keyboard.
    Ok(text
        .replace("<pre>", "<pre tabindex=\"0\">")
        .replace("<table>", "<div class=\"wide\" tabindex=\"0\"><table>")
        .replace("</table>", "</table></div>"))
}

/// Where a link of a guide leads from its page, which lies a folder deeper.
fn linked(target: &str) -> anyhow::Result<CowStr<'static>> {
    if target.starts_with("https://") || target.starts_with("mailto:") || target.starts_with('#') {
        return Ok(target.to_owned().into());
    }
    anyhow::ensure!(
        !target.starts_with("../") && !target.starts_with('/') && !target.contains(':'),
        "`{target}` leads out of `docs/`, which is all that the site has"
    );
    let (file, fragment) = target.split_once('#').map_or((target, ""), |(f, part)| (f, part));
    let mut link = match file.strip_suffix(".md") {
        Some(stem) => format!("{}.html", stem.to_lowercase()),
        None => format!("../{file}"),
    };
    if !fragment.is_empty() {
        link.push('#');
        link.push_str(fragment);
    }
    Ok(link.into())
}

/// The id of a heading, as GitHub makes it.
fn slug(heading: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == ' ';
    heading.to_lowercase().chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-")
}

/// What stands around every page; `up` leads from it to `docs/`.
fn page(title: &str, up: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'self'; img-src 'self'">
<meta name="color-scheme" content="light dark">
<title>{title} · life-agent</title>
<link rel="icon" href="{up}site/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="{up}site/style.css">
</head>
<body>
<a class="skip" href="#main">Skip to the text</a>
<header class="bar">
<a class="name" href="{up}index.html">life-agent</a>
<nav aria-label="Site"><a href="{up}index.html#start">Start</a> <a href="{up}index.html#guides">Guides</a> <a href="{up}reference.html">Calls</a></nav>
</header>
<main id="main" class="text">
{body}</main>
</body>
</html>
"##
    )
}

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_between_guides_lead_to_their_pages() {
        assert_eq!(&*linked("gates.md#rate").unwrap(), "gates.html#rate");
        assert_eq!(&*linked("ARCHITECTURE.md").unwrap(), "architecture.html");
        assert_eq!(&*linked("openapi.yaml").unwrap(), "../openapi.yaml");
        assert_eq!(&*linked("https://example.org/a.md").unwrap(), "https://example.org/a.md");
        for out in ["../README.md", "/etc", "javascript:alert(1)", "http://example.org"] {
            assert!(linked(out).is_err(), "{out}");
        }
    }

    #[test]
    fn headings_have_the_ids_that_github_gives_them() {
        let page = rendered("# The `kill` switch, on\n\n[a](#x)\n").unwrap();
        assert!(page.contains(r#"<h1 id="the-kill-switch-on">"#), "{page}");
        let page = rendered("see [the file](../x.rs), [a](gates.md)\n").unwrap();
        assert!(page.contains("see the file, <a href=\"gates.html\">a</a>"), "{page}");
        assert!(rendered("<script>x</script>\n").is_err());
    }

    #[test]
    fn the_pages_are_current() {
        write(true).unwrap();
    }
}
