//! Names that callers choose, checked once at the door and trusted from there on.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use unicode_normalization::UnicodeNormalization;

pub use crate::governance::principal::Principal;
use crate::governance::redaction::Redact;

/// Longest agent id or action name, in characters.
pub const MAX_NAME: usize = 64;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_NAME} characters out of `A-Z a-z 0-9 . _ : -`")]
pub struct BadName;

fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(allowed)
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $error:ident, $read:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Takes `text` if it is a name.
            pub fn new(text: &str) -> Result<Self, $error> {
                $read(text).map(|name| Self(name.as_ref().into())).ok_or($error)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The same name, or the name `redacted` where this one holds a credential.
            pub fn redacted(self, redactor: &dyn Redact) -> Self {
                match redactor.redact(&self.0) {
                    Cow::Borrowed(_) => self,
                    Cow::Owned(_) => Self("redacted".into()),
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, $error> {
                Self::new(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().into()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn agent_id(text: &str) -> Option<Cow<'_, str>> {
    is_name(text).then_some(Cow::Borrowed(text))
}

name! {
    /// Who acts: 1–64 of `[A-Za-z0-9._:-]`.
    AgentId, BadName, agent_id
}
/// Letters, digits, `. _ : -` and single spaces between them, composed (NFC). Characters that look like a plain
/// one and are not (full-width, ligatures, fillers) would slip past a rule for the plain name.
fn action_name(text: &str) -> Option<Cow<'_, str>> {
    if is_name(text) {
        return Some(Cow::Borrowed(text));
    }
    // No text of more bytes has few enough characters.
    if text.len() > MAX_NAME * 16 {
        return None;
    }
    let name: String = text.nfc().collect();
    let filler = |c: char| {
        matches!(c, '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}')
    };
    let allowed = |c: char| (c.is_alphanumeric() && !filler(c)) || " ._:-".contains(c);
    let fits = (1..=MAX_NAME).contains(&name.chars().count())
        && name.chars().all(allowed)
        && name.trim() == name
        && !name.contains("  ")
        && name.nfkc().eq(name.chars());
    fits.then_some(Cow::Owned(name))
}

/// Why a text is not the name of an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_NAME} letters, digits, `. _ : -` or single spaces")]
pub struct BadActionName;

name! {
    /// What is done: 1–64 letters, digits, `. _ : -` and single spaces, in NFC; known to the profile or not.
    ActionName, BadActionName, action_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_may_have_letters_of_any_script_and_spaces_and_are_composed() {
        for good in
            ["rest", "Tür öffnen", "открыть дверь", "扉を開ける", "step 2: go", &"ä".repeat(64)]
        {
            assert_eq!(ActionName::new(good).unwrap().as_str(), good);
        }
        assert_eq!(ActionName::new("Tu\u{308}r").unwrap().as_str(), "T\u{fc}r");
        for bad in [
            "",
            " ",
            " rest",
            "rest ",
            "a  b",
            "a\nb",
            "a/b",
            "a\u{200b}b",
            "a\u{202e}b",
            "\u{ff44}eploy",
            "\u{fb01}re",
            "a\u{3164}",
            "a\u{a0}b",
            "\u{1f600}",
            "a\u{e0041}",
            &"ä".repeat(65),
        ] {
            assert!(ActionName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_what_the_contract_says() {
        for good in ["a", "A.b_c:d-9", &"x".repeat(64)] {
            assert!(AgentId::new(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "ä", "a/b", "a\n", &"x".repeat(65)] {
            assert!(AgentId::new(bad).is_err(), "{bad:?}");
        }
    }
}
