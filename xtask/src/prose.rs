//! `cargo xtask prose`: checks the guides for phrases that the style guide avoids, and for their length.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::root;

/// Phrases that `docs/STYLE.md` avoids, with replacements.
const AVOIDED: [(&str, &str); 12] = [
    ("all the same", "anyway"),
    ("anew", "again"),
    ("at once", "immediately, or together"),
    ("beside", "next to, or in addition to"),
    ("in force", "active"),
    ("let go", "release"),
    ("mended", "fixed"),
    ("nobody", "no caller"),
    ("somebody", "a person"),
    ("tells", "states, or returns"),
    ("told", "described, or returned"),
    ("whoever", "the caller that"),
];
/// Pages with another purpose than one task.
const EXEMPT: [&str; 3] = ["ARCHITECTURE.md", "CHANGELOG.md", "STYLE.md"];
/// The longest page, in words outside of tables and code.
const MAX_WORDS: usize = 1_400;

/// Fails with the faults of every guide.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut pages = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs"))? {
        pages.push(entry?.path());
    }
    let mut faults = Vec::new();
    for page in pages.iter().filter(|page| page.extension().is_some_and(|end| end == "md")) {
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        if !EXEMPT.contains(&name.as_ref()) {
            let text = std::fs::read_to_string(page)?;
            faults.extend(faults_of(&text).into_iter().map(|fault| format!("{name}: {fault}")));
        }
    }
    anyhow::ensure!(faults.is_empty(), "`docs/STYLE.md` avoids:\n  {}", faults.join("\n  "));
    Ok(())
}

fn faults_of(markdown: &str) -> Vec<String> {
    let (prose, tables) = prose(markdown);
    let mut faults = Vec::new();
    for (phrase, instead) in AVOIDED {
        if contains(&prose, phrase) || contains(&tables, phrase) {
            faults.push(format!("`{phrase}`; write {instead}"));
        }
    }
    let words = prose.split_whitespace().count();
    if words > MAX_WORDS {
        faults.push(format!("{words} words, at most {MAX_WORDS}; move a part to another page"));
    }
    faults
}

/// The text of paragraphs and lists, and that of tables; code, links and quotations are left out.
fn prose(markdown: &str) -> (String, String) {
    let (mut prose, mut tables) = (String::new(), String::new());
    let (mut table, mut skipped) = (false, 0_usize);
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Table(_)) => table = true,
            Event::End(TagEnd::Table) => table = false,
            Event::Start(Tag::CodeBlock(_) | Tag::BlockQuote(_)) => skipped += 1,
            Event::End(TagEnd::CodeBlock | TagEnd::BlockQuote(_)) => {
                skipped = skipped.saturating_sub(1);
            }
            Event::Text(text) if skipped == 0 => {
                let to = if table { &mut tables } else { &mut prose };
                to.push_str(&text.to_lowercase());
            }
            Event::Code(_) | Event::SoftBreak | Event::HardBreak | Event::End(_) => {
                prose.push(' ');
                tables.push(' ');
            }
            _ => {}
        }
    }
    (prose, tables)
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
            let found = faults_of(text);
            assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
            assert!(found.iter().zip(&expected).all(|(fault, word)| fault.contains(word)));
        }
    }

    #[test]
    fn a_page_has_a_bounded_length() {
        assert!(faults_of(&"word ".repeat(MAX_WORDS)).is_empty());
        assert_eq!(faults_of(&"word ".repeat(MAX_WORDS + 1)).len(), 1);
        assert!(faults_of(&format!("```\n{}\n```\n", "word ".repeat(5_000))).is_empty());
    }
}
