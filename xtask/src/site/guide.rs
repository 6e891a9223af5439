//! The page of a guide: the list of all guides next to it, the headings of the page, and the guides before and after.

use std::fmt::Write;

use super::escaped;

/// A guide of the landing page's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guide {
    /// The name of the page without `.html`.
    pub(super) stem: String,
    pub(super) title: String,
    /// The heading above its list.
    pub(super) group: String,
}

/// A heading of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) level: u8,
    pub(super) id: String,
    pub(super) title: String,
    /// The text below it, up to the next heading.
    pub(super) text: String,
}

/// The guides in the order of the landing page, which links to `NAME.md` in one list per group.
pub(super) fn listed(landing: &str) -> Vec<Guide> {
    let mut guides = Vec::new();
    let mut group = String::new();
    for part in landing.split("<ul class=\"guides\">") {
        if !group.is_empty() {
            let list = part.split("</ul>").next().unwrap_or_default();
            guides.extend(list.split("<a href=\"").skip(1).filter_map(|item| {
                let (name, rest) = item.split_once(".md\">")?;
                let title = rest.split("</a>").next()?.to_owned();
                Some(Guide { stem: name.to_lowercase(), title, group: group.clone() })
            }));
        }
        let above = part.rsplit_once("<h3>").and_then(|(_, rest)| rest.split_once("</h3>"));
        group = above.map_or_else(String::new, |(title, _)| title.to_owned());
    }
    guides
}

/// The page, one folder below the landing page.
pub(super) fn page(
    title: &str,
    stem: &str,
    guides: &[Guide],
    headings: &[Heading],
    body: &str,
) -> String {
    let (pages, contents) = (pages(stem, guides), contents(headings));
    let (title, around) = (escaped(title), neighbors(stem, guides));
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'">
<meta name="color-scheme" content="light dark">
<title>{title} · life-agent</title>
<link rel="icon" href="../site/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="../site/style.css">
<script defer src="../site/search.js"></script>
</head>
<body>
<a class="skip" href="#main">Skip to the text</a>
<header class="bar">
<a class="name" href="../index.html">life-agent</a>
<nav aria-label="Site"><a href="../index.html#start">Start</a> <a href="#pages">Guides</a> <a href="../index.html#calls">Calls</a></nav>
</header>
<div class="guide">
<main id="main" class="text">
{body}{around}</main>
{contents}{pages}</div>
</body>
</html>
"##
    )
}

/// The lists of all guides, one per group.
fn pages(stem: &str, guides: &[Guide]) -> String {
    let mut out = String::from("<nav id=\"pages\" class=\"pages\" aria-label=\"Guides\">\n");
    for group in guides.chunk_by(|one, next| one.group == next.group) {
        let title = group.first().map_or("", |guide| &guide.group);
        let _ = write!(out, "<p>{title}</p>\n<ul>\n");
        for Guide { stem: name, title, .. } in group {
            let current = if name == stem { " aria-current=\"page\"" } else { "" };
            let _ = writeln!(out, "<li><a href=\"{name}.html\"{current}>{title}</a></li>");
        }
        out += "</ul>\n";
    }
    out + "</nav>\n"
}

/// The headings of a page that has several.
fn contents(headings: &[Heading]) -> String {
    let shown: Vec<_> = headings.iter().filter(|heading| matches!(heading.level, 2 | 3)).collect();
    if shown.len() < 2 {
        return String::new();
    }
    let mut out = String::from(
        "<nav class=\"contents\" aria-label=\"On this page\">\n<p>On this page</p>\n<ul>\n",
    );
    for heading in shown {
        let _ = writeln!(
            out,
            "<li class=\"level-{}\"><a href=\"#{}\">{}</a></li>",
            heading.level,
            heading.id,
            escaped(&heading.title)
        );
    }
    out + "</ul>\n</nav>\n"
}

/// Links to the guides before and after this one.
fn neighbors(stem: &str, guides: &[Guide]) -> String {
    let Some(at) = guides.iter().position(|guide| guide.stem == stem) else { return String::new() };
    let link = |guide: Option<&Guide>, rel: &str, word: &str| match guide {
        Some(Guide { stem, title, .. }) => {
            format!("<a rel=\"{rel}\" href=\"{stem}.html\"><span>{word}</span> {title}</a>\n")
        }
        None => String::new(),
    };
    let before = link(at.checked_sub(1).and_then(|at| guides.get(at)), "prev", "Previous");
    let after = link(guides.get(at + 1), "next", "Next");
    format!("<nav class=\"around\" aria-label=\"Previous and next\">\n{before}{after}</nav>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guides() -> Vec<Guide> {
        let landing = "<h3>Use</h3>\n<ul class=\"guides\">\n<li><a href=\"a.md\">First</a> <span>x</span></li>\n\
                       </ul>\n<h3>Run</h3>\n<ul class=\"guides\">\n<li><a href=\"B.md\">Second</a></li></ul>\
                       <h3>Calls</h3><ul><li><a href=\"c.md\">no guide</a></li></ul>";
        listed(landing)
    }

    #[test]
    fn the_order_is_that_of_the_landing_page() {
        let guide = |stem: &str, title: &str, group: &str| Guide {
            stem: stem.to_owned(),
            title: title.to_owned(),
            group: group.to_owned(),
        };
        assert_eq!(guides(), [guide("a", "First", "Use"), guide("b", "Second", "Run")]);
    }

    #[test]
    fn a_page_marks_itself_and_lists_its_headings_and_neighbors() {
        let heading = |level, id: &str| Heading {
            level,
            id: id.to_owned(),
            title: format!("<{id}>"),
            text: String::new(),
        };
        let headings =
            [heading(1, "top"), heading(2, "one"), heading(3, "two"), heading(4, "deep")];
        let page = page("T", "b", &guides(), &headings, "<p>x</p>\n");
        for expected in [
            "<p>Run</p>\n<ul>\n<li><a href=\"b.html\"",
            "<a href=\"b.html\" aria-current=\"page\">Second</a>",
            "<li class=\"level-3\"><a href=\"#two\">&lt;two&gt;</a></li>",
            "<a rel=\"prev\" href=\"a.html\"><span>Previous</span> First</a>",
        ] {
            assert!(page.contains(expected), "{expected}: {page}");
        }
        assert!(
            !page.contains("#top\"") && !page.contains("#deep\"") && !page.contains("rel=\"next\"")
        );
        assert!(contents(&headings[..2]).is_empty(), "one heading needs no list");
    }
}
