//! The hosts whose hooks are understood.

use std::fmt;
use std::str::FromStr;

/// A host's own JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Claude Code.
    ClaudeCode,
    /// Codex CLI.
    Codex,
    /// Cursor.
    Cursor,
    /// GitHub Copilot CLI.
    Copilot,
    /// Gemini CLI, and its relatives such as Qwen Code.
    Gemini,
    /// goose.
    Goose,
    /// Any other host, in a plain form.
    Generic,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Dialect; 7] = [
        Dialect::ClaudeCode,
        Dialect::Codex,
        Dialect::Cursor,
        Dialect::Copilot,
        Dialect::Gemini,
        Dialect::Goose,
        Dialect::Generic,
    ];

    /// The name in paths, commands and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::ClaudeCode => "claude-code",
            Dialect::Codex => "codex",
            Dialect::Cursor => "cursor",
            Dialect::Copilot => "copilot",
            Dialect::Gemini => "gemini",
            Dialect::Goose => "goose",
            Dialect::Generic => "generic",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name is not one of a dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown host; known are `claude-code`, `codex`, `cursor`, `copilot`, `gemini`, `goose` and `generic`"
)]
pub struct UnknownDialect;

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.as_str() == name).ok_or(UnknownDialect)
    }
}
