//! Names that callers choose, checked once at the door and trusted from there on.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

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
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Takes `text` if it is a name.
            pub fn new(text: &str) -> Result<Self, BadName> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(BadName) }
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
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
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

name! {
    /// Who acts: 1–64 of `[A-Za-z0-9._:-]`.
    AgentId
}
name! {
    /// What is done: 1–64 of `[A-Za-z0-9._:-]`, known to the profile or not.
    ActionName
}

#[cfg(test)]
mod tests {
    use super::*;

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
