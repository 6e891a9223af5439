//! The settings, endpoints and error codes that the pages name exist: they are in the generated references.

use std::collections::BTreeSet;

use regex::Regex;

use crate::support::snippets::{page, repository};

/// Pages about other services, and about the past.
const FREE: [&str; 5] =
    ["CHANGELOG.md", "STYLE.md", "findings.md", "migrating-data.md", "migrating.md"];
/// The start of variables that are not settings of the service.
const OTHERS: [&str; 11] = [
    "ANTHROPIC_",
    "GITHUB_",
    "HTTPS_",
    "HTTP_",
    "LIFE_AGENT_",
    "MIMALLOC_",
    "NO_PROXY",
    "OPENAI_",
    "SSL_CERT_",
    "WIKI_",
    "API_TOKEN",
];

fn found(text: &str, pattern: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_pages_name_existing_settings_endpoints_and_codes() {
    let settings = found(&page("docs/settings.md"), r"(?m)^\| `([A-Z0-9_]+)` \|");
    let codes = found(&page("docs/errors.md"), r"\| [0-9]{3} \| `([a-z_]+)` \|");
    let paths = found(&page("docs/openapi.yaml"), r"(?m)^  (/[^: ]*):$");
    assert!(settings.len() > 50 && codes.len() > 30 && paths.len() > 40);
    let (mut unknown, mut checked) = (Vec::new(), 0);
    let mut pages = vec!["README.md".to_owned()];
    for entry in std::fs::read_dir(repository().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") && !FREE.contains(&name.as_str()) {
            pages.push(format!("docs/{name}"));
        }
    }
    for name in pages {
        let text = page(&name);
        let named = found(&text, r"`([A-Z][A-Z0-9]+_[A-Z0-9_]+)(?:=[^`]*)?`");
        let named = named.difference(&settings);
        let ours = |name: &&String| !OTHERS.iter().any(|other| name.starts_with(other));
        unknown.extend(named.filter(ours).map(|setting| format!("{name}: setting {setting}")));
        let named = found(&text, r"[45][0-9]{2} `([a-z_]+)`");
        unknown.extend(named.difference(&codes).map(|code| format!("{name}: code {code}")));
        let named = found(&text, r"`(?:GET|POST|DELETE) (/[^` ?,\n]*)");
        let open = |path: &&String| {
            !["/v1", "/mcp", "/ui", "/.well-known"].iter().any(|start| path.starts_with(start))
        };
        unknown.extend(
            named.difference(&paths).filter(open).map(|path| format!("{name}: endpoint {path}")),
        );
        checked += 1;
    }
    assert!(checked > 40, "{checked}");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}
