//! Edits: the simplest way to say what a file shall become.

use serde::{Deserialize, Serialize};

use crate::fault::{Code, PlanFault, quoted};

/// One edit. Several of one file take effect in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Edit {
    /// The file, which exists, becomes `content`.
    Replace {
        /// The file, relative to the workspace.
        path: String,
        /// Its whole new text.
        content: String,
    },
    /// `search`, which occurs exactly once in the file, becomes `replace`.
    SearchReplace {
        /// The file, relative to the workspace.
        path: String,
        /// The text to find, byte for byte; may span lines.
        search: String,
        /// What takes its place.
        replace: String,
    },
    /// The file, which does not exist, comes into being.
    Create {
        /// The file, relative to the workspace.
        path: String,
        /// Its text.
        content: String,
    },
    /// The file, which exists, goes away.
    Delete {
        /// The file, relative to the workspace.
        path: String,
    },
}

impl Edit {
    /// The file it is about.
    pub fn path(&self) -> &str {
        match self {
            Edit::Replace { path, .. }
            | Edit::SearchReplace { path, .. }
            | Edit::Create { path, .. }
            | Edit::Delete { path } => path,
        }
    }

    /// What a file's text becomes; `None` is a file that does not exist.
    pub(crate) fn apply(&self, text: Option<&str>) -> Result<Option<String>, PlanFault> {
        match (self, text) {
            (Edit::Create { .. }, Some(_)) => Err(PlanFault::new(
                Code::Exists,
                "the file exists; use `replace` or `search_replace`, or choose another name",
            )),
            (Edit::Create { content, .. }, None) => Ok(Some(content.clone())),
            (_, None) => Err(missing()),
            (Edit::Replace { content, .. }, Some(_)) => Ok(Some(content.clone())),
            (Edit::SearchReplace { search, replace, .. }, Some(text)) => {
                search_replace(text, search, replace).map(Some)
            }
            (Edit::Delete { .. }, Some(_)) => Ok(None),
        }
    }
}

pub(crate) fn missing() -> PlanFault {
    PlanFault::new(Code::Missing, "the file does not exist; check its name or create it")
}

fn search_replace(text: &str, search: &str, replace: &str) -> Result<String, PlanFault> {
    let Some(first) = search.chars().next() else {
        return Err(PlanFault::new(
            Code::EditMalformed,
            "`search` is empty; give the text to find",
        ));
    };
    let Some(at) = text.find(search) else {
        return Err(not_found(text, search));
    };
    // From the next character on, not from the end of the match: matches that overlap are several.
    if text[at + first.len_utf8()..].contains(search) {
        return Err(ambiguous(text, search, first.len_utf8()));
    }
    Ok([&text[..at], replace, &text[at + search.len()..]].concat())
}

/// How many lines a fault shows.
const SHOWN: usize = 3;

fn ambiguous(text: &str, search: &str, step: usize) -> PlanFault {
    let mut lines = Vec::new();
    let (mut from, mut line) = (0, 1);
    while let Some(at) = text[from..].find(search).filter(|_| lines.len() <= SHOWN) {
        line += text[from..from + at].matches('\n').count();
        lines.push(line);
        // A search that begins with a line break steps over it.
        line += text[from + at..from + at + step].matches('\n').count();
        from += at + step;
    }
    let more = if lines.len() > SHOWN { " and more" } else { "" };
    let shown: Vec<_> = lines.iter().take(SHOWN).map(usize::to_string).collect();
    let message = format!(
        "`search` occurs more than once, at lines {}{more}; add lines around it until it is unique",
        shown.join(", ")
    );
    PlanFault::new(Code::SearchAmbiguous, message).line(lines[0])
}

fn not_found(text: &str, search: &str) -> PlanFault {
    if text.replace("\r\n", "\n").contains(&search.replace("\r\n", "\n")) {
        return PlanFault::new(
            Code::LineEndings,
            "`search` occurs but for its line endings; send it with those of the file",
        );
    }
    let wanted = search.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let nearest = nearest_lines(text, wanted);
    let Some((line, _)) = nearest.first() else {
        return PlanFault::new(Code::SearchNotFound, "`search` does not occur; the file is empty");
    };
    let shown: Vec<_> =
        nearest.iter().map(|(line, text)| format!("line {line}: {}", quoted(text))).collect();
    let message = format!("`search` does not occur; the nearest lines are {}", shown.join(", "));
    PlanFault::new(Code::SearchNotFound, message).line(*line)
}

/// The lines most like `wanted`, best first, with their numbers.
fn nearest_lines<'t>(text: &'t str, wanted: &str) -> Vec<(usize, &'t str)> {
    let mut scored: Vec<_> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| (likeness(line.trim(), wanted), index + 1, line))
        .collect();
    scored.sort_by_key(|(score, line, _)| (std::cmp::Reverse(*score), *line));
    scored.into_iter().take(SHOWN).map(|(_, line, text)| (line, text)).collect()
}

/// How much of the longer text both share at their start and end, in thousandths. Linear, so that a
/// large file cannot hold a request; near misses mostly differ in one place.
fn likeness(left: &str, right: &str) -> usize {
    let shorter = left.len().min(right.len());
    let longer = left.len().max(right.len()).max(1);
    let start = left.bytes().zip(right.bytes()).take_while(|(l, r)| l == r).count();
    let end = left.bytes().rev().zip(right.bytes().rev()).take_while(|(l, r)| l == r).count();
    (start + end).min(shorter) * 1000 / longer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str, search: &str) -> Result<String, PlanFault> {
        search_replace(text, search, "X")
    }

    #[test]
    fn a_text_that_occurs_once_is_replaced() {
        assert_eq!(search("one\ntwo\n", "two\n").as_deref(), Ok("one\nX"));
        assert_eq!(search("äb", "ä").as_deref(), Ok("Xb"));
    }

    #[test]
    fn a_text_that_occurs_several_times_is_refused_with_its_lines() {
        let fault = search("a\nb\na\na\na\n", "a").unwrap_err();
        assert_eq!((fault.code, fault.line), (Code::SearchAmbiguous, Some(1)));
        assert!(fault.message.contains("1, 3, 4 and more"), "{}", fault.message);
        let fault = search("x\n\n\ny", "\n\n").unwrap_err();
        assert!(fault.message.contains("lines 1, 2;"), "overlapping: {}", fault.message);
    }

    #[test]
    fn a_text_that_does_not_occur_is_refused_with_the_nearest_lines() {
        let text = "fn one() {}\n    let total = 1;\n\nfn two() {}\n";
        let fault = search(text, "let totel = 1;").unwrap_err();
        assert_eq!((fault.code, fault.line), (Code::SearchNotFound, Some(2)));
        assert!(fault.message.contains("line 2: `    let total = 1;`"), "{}", fault.message);
        assert_eq!(search("", "a").unwrap_err().code, Code::SearchNotFound);
        assert_eq!(search("a", "").unwrap_err().code, Code::EditMalformed);
        assert_eq!(search("a\r\nb\r\n", "a\nb").unwrap_err().code, Code::LineEndings);
    }

    #[test]
    fn an_edit_says_what_it_needs_to_find() {
        let create = Edit::Create { path: "a".into(), content: "x".into() };
        assert_eq!(create.apply(Some("")).unwrap_err().code, Code::Exists);
        assert_eq!(create.apply(None).unwrap().as_deref(), Some("x"));
        let delete = Edit::Delete { path: "a".into() };
        assert_eq!(delete.apply(None).unwrap_err().code, Code::Missing);
        assert_eq!(delete.apply(Some("")).unwrap(), None);
    }

    #[test]
    fn edits_are_read_strictly() {
        let read = |text: &str| serde_json::from_str::<Edit>(text);
        let edit =
            read(r#"{"path":"a","op":"search_replace","search":"x","replace":"y"}"#).unwrap();
        assert_eq!(edit.path(), "a");
        for bad in [
            r#"{"path":"a","op":"rename"}"#,
            r#"{"path":"a","op":"replace"}"#,
            r#"{"path":"a","op":"delete","content":"x"}"#,
            r#"{"path":"a"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
