//! `cargo xtask prose`: checks the guides for phrases that the style guide avoids, for empty table headers, and for
//! their length.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::root;

/// Phrases that `docs/STYLE.md` avoids, with replacements.
const AVOIDED: [(&str, &str); 14] = [
    ("all the same", "anyway"),
    ("among more", "and"),
    ("anew", "again"),
    ("at once", "immediately, or together"),
    ("beside", "next to, or in addition to"),
    ("in force", "active"),
    ("let go", "release"),
    ("mended", "fixed"),
    ("nobody", "no caller"),
    ("somebody", "a person"),
    ("tells", "states, or returns"),
    ("that which", "the noun"),
    ("told", "described, or returned"),
    ("whoever", "the caller that"),
];
/// Pages whose words are not checked: they quote or describe the avoided phrases.
const FREE: [&str; 2] = ["CHANGELOG.md", "STYLE.md"];
/// Pages without a limit: references that are generated or compared with the code, and pages that are not read in
/// one sitting.
const LONG: [&str; 8] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "cli.md",
    "events.md",
    "findings.md",
    "performance.md",
    "policy-reference.md",
    "settings.md",
];
/// The longest guide, in words as `wc -w` counts them.
const MAX_WORDS: usize = 1_000;

/// Fails with the faults of every guide.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut pages = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs"))? {
        pages.push(entry?.path());
    }
    let mut faults = Vec::new();
    for page in pages.iter().filter(|page| page.extension().is_some_and(|end| end == "md")) {
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(page)?;
        let mut found = empty_headers(&text);
        if !FREE.contains(&name.as_ref()) {
            found.extend(avoided(&text));
        }
        if !LONG.contains(&name.as_ref()) {
            found.extend(too_long(&text));
        }
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    anyhow::ensure!(faults.is_empty(), "against `docs/STYLE.md`:\n  {}", faults.join("\n  "));
    Ok(())
}

/// The avoided phrases of a page.
fn avoided(markdown: &str) -> Vec<String> {
    let prose = prose(markdown);
    let found = AVOIDED.iter().filter(|(phrase, _)| contains(&prose, phrase));
    found.map(|(phrase, instead)| format!("`{phrase}`; write {instead}")).collect()
}

/// The length of a page that is too long.
fn too_long(markdown: &str) -> Option<String> {
    let words = markdown.split_whitespace().count();
    (words > MAX_WORDS)
        .then(|| format!("{words} words, at most {MAX_WORDS}; move a part to another page"))
}

/// The tables of a page with an empty header cell, which screen readers cannot announce.
fn empty_headers(markdown: &str) -> Vec<String> {
    let (mut cell, mut faults): (Option<String>, _) = (None, Vec::new());
    let mut is_head = false;
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::TableHead) => is_head = true,
            Event::End(TagEnd::TableHead) => is_head = false,
            Event::Start(Tag::TableCell) if is_head => cell = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(cell) = &mut cell {
                    cell.push_str(&text);
                }
            }
            Event::End(TagEnd::TableCell) => {
                let empty = cell.take().filter(|text| text.trim().is_empty());
                let fault = "a table has a header cell without text; name the column";
                faults.extend(empty.map(|_| fault.to_owned()));
            }
            _ => {}
        }
    }
    faults
}

/// The text of paragraphs, lists and tables in lower case; code, links and quotations are left out.
fn prose(markdown: &str) -> String {
    let (mut prose, mut skipped) = (String::new(), 0_usize);
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(_) | Tag::BlockQuote(_)) => skipped += 1,
            Event::End(TagEnd::CodeBlock | TagEnd::BlockQuote(_)) => {
                skipped = skipped.saturating_sub(1);
            }
            Event::Text(text) if skipped == 0 => prose.push_str(&text.to_lowercase()),
            Event::Code(_) | Event::SoftBreak | Event::HardBreak | Event::End(_) => prose.push(' '),
            _ => {}
        }
    }
    prose
}

/// Whether the lower-case text contains the phrase as whole words.
fn contains(text: &str, phrase: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric();
    text.match_indices(phrase).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        !before.is_some_and(is_letter) && !after.is_some_and(is_letter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avoided_phrases_are_found_in_prose_and_tables_and_not_in_code() {
        for (text, expected) in [
            ("The caller is told to\nwait.", vec!["told"]),
            ("| a |\n| --- |\n| the policy in force |\n", vec!["in force"]),
            ("It runs at\nonce.", vec!["at once"]),
            ("`told`, besides and untold.\n\n```\ntold\n```\n", vec![]),
        ] {
            let found = avoided(text);
            assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
            assert!(found.iter().zip(&expected).all(|(fault, word)| fault.contains(word)));
        }
    }

    #[test]
    fn a_page_has_a_bounded_length() {
        assert!(too_long(&"word ".repeat(MAX_WORDS)).is_none());
        assert!(too_long(&"word ".repeat(MAX_WORDS + 1)).is_some());
    }

    #[test]
    fn each_header_cell_needs_a_text() {
        let table = |head: &str| format!("{head}\n| --- | --- |\n| x | |\n");
        assert!(empty_headers(&table("| a | `b` |")).is_empty());
        assert_eq!(empty_headers(&table("| a | |")).len(), 1);
        assert_eq!(empty_headers(&table("| | |")).len(), 2);
    }
}
