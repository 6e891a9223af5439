//! `docs/` as a Pages source: every internal link resolves, and no page loads anything from other hosts.

use std::path::{Path, PathBuf};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").canonicalize().unwrap()
}

fn files(folder: &Path, end: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, end, found);
        } else if path.extension().is_some_and(|extension| extension == end) {
            found.push(path);
        }
    }
}

/// The links of a page: `href` and `src`, and the targets of Markdown links.
fn links(text: &str, markdown: bool) -> Vec<&str> {
    let starts: &[(&str, char)] =
        if markdown { &[("](", ')')] } else { &[("href=\"", '"'), ("src=\"", '"')] };
    let of = |&(start, end): &(&str, char)| -> Vec<&str> {
        text.split(start).skip(1).map(|rest| rest.split(end).next().unwrap()).collect()
    };
    starts.iter().flat_map(of).collect()
}

#[test]
fn every_internal_link_resolves() {
    let mut checked = 0;
    for (end, markdown) in [("html", false), ("md", true)] {
        let mut pages = Vec::new();
        files(&docs(), end, &mut pages);
        for page in pages {
            let text = std::fs::read_to_string(&page).unwrap();
            for link in links(&text, markdown) {
                if link.starts_with("https://") || link.starts_with("mailto:") {
                    continue;
                }
                let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
                let target =
                    if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
                let target = target.canonicalize();
                let target = target.unwrap_or_else(|_| panic!("{}: `{link}`", page.display()));
                // Guides may link to files of the repository; the site shows only the text of such links.
                let root = docs();
                let root = if markdown { root.parent().unwrap() } else { &root };
                assert!(target.starts_with(root), "{}: `{link}` leads out", page.display());
                if !fragment.is_empty() && !markdown {
                    let there = std::fs::read_to_string(&target).unwrap();
                    let id = format!("id=\"{fragment}\"");
                    assert!(there.contains(&id), "{}: `{link}`", page.display());
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn the_pages_load_nothing_from_other_hosts_and_run_no_script() {
    let mut pages = Vec::new();
    files(&docs(), "html", &mut pages);
    assert_eq!(pages.len(), 1, "one landing page; the guides are built into `target/site`");
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let name = page.display();
        assert!(text.contains("default-src 'none'; style-src 'self'; img-src 'self'"), "{name}");
        for forbidden in
            ["<script", "<style", " style=\"", " onclick", " onload", "<iframe", "src=\"http"]
        {
            assert!(!text.contains(forbidden), "`{forbidden}` in {name}");
        }
        assert!(!text.contains("<link rel=\"stylesheet\" href=\"http"), "{name}");
    }
    // Without this file GitHub Pages would run Jekyll over the Markdown.
    assert!(docs().join(".nojekyll").exists());
}
