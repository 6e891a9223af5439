//! `cargo xtask site`: the reference section of `docs/index.html`, and the whole site in `target/site`.
//!
//! `docs/` works as a GitHub Pages source as it is: a landing page with the rendered API reference, and the
//! specifications. The built site adds a page per guide, and a search. It opens from a folder, works without its
//! script, and requests nothing from other hosts.

mod guide;
mod links;
mod reference;
mod search;

use std::path::Path;

use anyhow::Context;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};
use serde_json::Value;

use crate::root;
use guide::Heading;
use search::Index;

/// The markers around the generated part of the landing page.
const REFERENCE: [&str; 2] =
    ["<!-- reference: written by `cargo xtask site` -->\n", "<!-- /reference -->"];
/// Files of `docs/` that the site contains unchanged.
const COPIED: [&str; 15] = [
    "openapi.yaml",
    "openapi-actions.yaml",
    "overview.svg",
    "examples/guarded_langchain.py",
    "examples/guarded_openai_agents.py",
    "examples/life_agent_guard.py",
    "requests.http",
    "grafana/dashboard.json",
    "grafana/provisioning/dashboards.yaml",
    "grafana/provisioning/datasources.yaml",
    "prometheus/alerts.yaml",
    "prometheus/prometheus.yml",
    "site/mark.svg",
    "site/search.js",
    "site/style.css",
];

/// Updates the reference section (or checks that it is current), then builds the site.
pub(crate) fn write(check: bool) -> anyhow::Result<()> {
    let path = root().join("docs/index.html");
    let current = std::fs::read_to_string(&path).context("cannot read `docs/index.html`")?;
    let document = serde_json::to_value(life_agent_server::openapi::document(None))?;
    let landing = with_reference(&current, &reference::body(&document))?;
    if check {
        anyhow::ensure!(current == landing, "`docs/index.html` is stale; run `cargo xtask site`");
    } else {
        std::fs::write(&path, &landing)?;
    }
    let site = root().join("target/site");
    build(&landing, &document, &site)?;
    links::check(&site)
}

/// The landing page with its reference section replaced.
fn with_reference(landing: &str, reference: &str) -> anyhow::Result<String> {
    let parts = landing.split_once(REFERENCE[0]).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(REFERENCE[1])?;
        Some((before, after))
    });
    let (before, after) = parts.context("`docs/index.html` lacks the reference markers")?;
    Ok(format!("{before}{}{reference}{}{after}", REFERENCE[0], REFERENCE[1]))
}

/// Writes the site into an empty folder: the landing page, the copied files, the pictures, and a page per guide.
fn build(landing: &str, document: &Value, folder: &Path) -> anyhow::Result<()> {
    let docs = root().join("docs");
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder.join("guides"))?;
    for name in COPIED {
        let copy = folder.join(name);
        copy.parent().map(std::fs::create_dir_all).transpose()?;
        std::fs::copy(docs.join(name), copy).with_context(|| format!("`docs/{name}`"))?;
    }
    std::fs::create_dir_all(folder.join("pictures"))?;
    for picture in std::fs::read_dir(docs.join("pictures"))? {
        let picture = picture?;
        std::fs::copy(picture.path(), folder.join("pictures").join(picture.file_name()))?;
    }
    let guides = guide::listed(landing);
    let (mut landing, mut index) = (searchable(landing)?, Index::default());
    let mut paths: Vec<_> =
        std::fs::read_dir(&docs)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    // The same index on every machine.
    paths.sort();
    for path in paths {
        if path.extension().is_none_or(|end| end != "md") {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.trim_end_matches(".md").to_lowercase();
        let text = std::fs::read_to_string(&path)?;
        let (body, headings) = rendered(&text).with_context(|| format!("in `docs/{name}`"))?;
        let title = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or("Guide");
        index.add(title, &stem, &headings);
        let page = guide::page(title, &stem, &guides, &headings, &body);
        std::fs::write(folder.join(format!("guides/{stem}.html")), page)?;
        landing =
            landing.replace(&format!("href=\"{name}\""), &format!("href=\"guides/{stem}.html\""));
    }
    index.add_calls(document);
    std::fs::write(folder.join("site/index.js"), index.script())?;
    Ok(std::fs::write(folder.join("index.html"), landing)?)
}

/// The landing page with the search, which `docs/` alone does not have.
fn searchable(landing: &str) -> anyhow::Result<String> {
    let parts = landing.split_once("img-src 'self'\">").and_then(|(before, rest)| {
        let (middle, after) = rest.split_once("</head>")?;
        Some((before, middle, after))
    });
    let (before, middle, after) = parts.context("`docs/index.html` has another head")?;
    let script = "<script defer src=\"site/search.js\"></script>\n</head>";
    Ok(format!("{before}img-src 'self'; script-src 'self'\">{middle}{script}{after}"))
}

/// Markdown as HTML, with an id on each heading and links to the built pages, and its headings.
fn rendered(markdown: &str) -> anyhow::Result<(String, Vec<Heading>)> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut events: Vec<_> = Parser::new_ext(markdown, options).collect();
    let (mut heading, mut leads_out) = (None, false);
    let mut headings: Vec<Heading> = Vec::new();
    for at in 0..events.len() {
        match &events[at] {
            Event::Start(Tag::Heading { .. }) => heading = Some((at, String::new())),
            Event::Text(text) | Event::Code(text) => {
                if let Some((_, title)) = &mut heading {
                    title.push_str(text);
                } else if let Some(last) = headings.last_mut() {
                    last.text.push_str(text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some((start, title)) = heading.take()
                    && let Event::Start(Tag::Heading { id, level, .. }) = &mut events[start]
                {
                    *id = Some(slug(&title).into());
                    let (id, level, text) = (slug(&title), *level as u8, String::new());
                    headings.push(Heading { level, id, title, text });
                }
            }
            Event::SoftBreak | Event::HardBreak | Event::End(_) => {
                if let Some(last) = headings.last_mut() {
                    last.text.push(' ');
                }
            }
            // Markers for programs, for example around generated figures.
            Event::Html(text) if text.starts_with("<!--") && text.trim_end().ends_with("-->") => {
                events[at] = Event::Text("".into());
            }
            Event::Html(text) | Event::InlineHtml(text) => {
                anyhow::bail!("`{}`: raw HTML; write Markdown", text.trim());
            }
            _ => {}
        }
        match &mut events[at] {
            // The site holds `docs/` only; a link to the rest of the repository becomes plain text.
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
    // Wide content scrolls inside its own box, also by keyboard.
    let text = text
        .replace("<pre>", "<pre tabindex=\"0\">")
        .replace("<table>", "<div class=\"wide\" tabindex=\"0\"><table>")
        .replace("</table>", "</table></div>");
    Ok((text, headings))
}

/// The target of a guide's link, relative to its page in `guides/`.
fn linked(target: &str) -> anyhow::Result<CowStr<'static>> {
    if target.starts_with("https://") || target.starts_with("mailto:") || target.starts_with('#') {
        return Ok(target.to_owned().into());
    }
    anyhow::ensure!(
        !target.starts_with("../") && !target.starts_with('/') && !target.contains(':'),
        "`{target}` is outside of `docs/`, which the site does not contain"
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

/// The id of a heading, as GitHub forms it.
fn slug(heading: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == ' ';
    heading.to_lowercase().chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-")
}

/// Text with the characters escaped that HTML reserves.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_between_guides_lead_to_pages() {
        assert_eq!(&*linked("gates.md#rate").unwrap(), "gates.html#rate");
        assert_eq!(&*linked("ARCHITECTURE.md").unwrap(), "architecture.html");
        assert_eq!(&*linked("openapi.yaml").unwrap(), "../openapi.yaml");
        assert_eq!(&*linked("https://example.org/a.md").unwrap(), "https://example.org/a.md");
        for out in ["../README.md", "/etc", "javascript:alert(1)", "http://example.org"] {
            assert!(linked(out).is_err(), "{out}");
        }
    }

    #[test]
    fn headings_have_ids_as_on_github() {
        let (page, headings) = rendered("# The `kill` switch, on\n\n[a](#x)\n").unwrap();
        assert!(page.contains(r#"<h1 id="the-kill-switch-on">"#), "{page}");
        assert_eq!(
            (headings[0].title.as_str(), headings[0].text.trim()),
            ("The kill switch, on", "a")
        );
        let (page, _) = rendered("see [the file](../x.rs), [a](gates.md)\n").unwrap();
        assert!(page.contains("see the file, <a href=\"gates.html\">a</a>"), "{page}");
        assert!(rendered("<script>x</script>\n").is_err());
    }

    #[test]
    fn the_reference_is_current_and_the_site_builds() {
        write(true).unwrap();
        let folder = root().join("target/site");
        let landing = std::fs::read_to_string(folder.join("index.html")).unwrap();
        let guides: Vec<_> = landing
            .split("href=\"guides/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(guides.len() > 10, "{guides:?}");
        for guide in guides {
            assert!(folder.join("guides").join(guide).exists(), "{guide}");
        }
        assert!(!landing.contains(".md\""), "a guide of the landing page has no page");
        let page = std::fs::read_to_string(folder.join("guides/gates.html")).unwrap();
        for part in ["class=\"pages\"", "class=\"contents\"", "rel=\"next\"", "script-src 'self'"] {
            assert!(page.contains(part), "{part}");
        }
        let index = std::fs::metadata(folder.join("site/index.js")).unwrap().len();
        assert!((20_000..600_000).contains(&index), "{index}");
    }
}
