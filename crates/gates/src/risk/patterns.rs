//! The built-in patterns: what one is, how its text is written, and the list of them all.
//!
//! A pattern is a plain regular expression without look-around, so that its search is linear in the
//! text; what an expression cannot tell (whether a value looks random) is a small function beside it.

use life_agent_policy::document::Category;

mod command_exec;
mod command_lines;
mod credentials;
mod issuers;
mod names;
mod path_traversal;
mod positions;
mod prompt_injection;
pub(crate) mod provenance;
mod secrets;
mod shown;
mod url;
mod vocabulary;

/// One thing to look for.
#[derive(Debug)]
pub struct Pattern {
    /// Unique among all patterns; stands in findings, rows and `[redacted:<id>]`.
    pub id: &'static str,
    /// What it finds, for `docs/patterns.md`.
    pub description: &'static str,
    /// A regular expression on bytes, ASCII only, in verbose mode, without regard to case, line by
    /// line; `<name>` stands for a part out of the crate's vocabulary.
    pub(crate) regex: &'static str,
    /// What a hit adds to the score, 0 to 1.
    pub weight: f64,
    /// The last word on a hit.
    pub(crate) accept: Option<fn(&Hit<'_>) -> bool>,
    /// Whether it is only looked for where a reading differs from the text as it came.
    pub(crate) disguised: bool,
    /// Texts in which it is found.
    pub examples: &'static [&'static str],
    /// Texts that come near and in which it is not.
    pub counter_examples: &'static [&'static str],
}

/// What most patterns have in common.
const PLAIN: Pattern = Pattern {
    id: "",
    description: "",
    regex: "",
    weight: 0.0,
    accept: None,
    disguised: false,
    examples: &[],
    counter_examples: &[],
};

/// What an expression found: the first of its groups that took part, or all of it.
#[derive(Debug)]
pub(crate) struct Hit<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Whether it reads the same in the text as received.
    pub(crate) is_plain: bool,
}

impl Hit<'_> {
    pub(crate) fn value(&self) -> &[u8] {
        self.text.get(self.start..self.end).unwrap_or_default()
    }

    /// The byte in front; a blank at the start of the text.
    pub(crate) fn before(&self) -> u8 {
        self.start.checked_sub(1).map_or(b' ', |at| self.text[at])
    }
}

/// All lists of patterns, in the order in which they are searched for: what must not be kept first, what
/// is only a guess last.
pub fn all() -> [(Category, &'static [Pattern]); 9] {
    [
        (Category::Secrets, secrets::PATTERNS),
        (Category::Secrets, issuers::PATTERNS),
        (Category::Secrets, positions::PATTERNS),
        (Category::Secrets, credentials::PATTERNS),
        (Category::CommandExec, command_exec::PATTERNS),
        (Category::CommandExec, command_lines::PATTERNS),
        (Category::Url, url::PATTERNS),
        (Category::PathTraversal, path_traversal::PATTERNS),
        (Category::PromptInjection, prompt_injection::PATTERNS),
    ]
}

/// Patterns for what no text has a reason to say, even a text about code: the destruction of a system, a climb to
/// its password file, an edit outside of the workspace. With `deny_severe`, only these refuse a request.
const SEVERE: [&str; 3] = ["destroys_system", "reads_system_file", "edit_outside"];

/// Whether the pattern with this id is severe. A policy's own patterns are: their author wants them enforced.
pub(crate) fn is_severe(id: &str) -> bool {
    SEVERE.contains(&id) || !life_agent_policy::built_in::PATTERNS.contains(&id)
}

/// Credentials that only their context gives away. Code is full of them: the passwords of tests, examples and local
/// databases.
const SECRETS_BY_CONTEXT: [&str; 9] = [
    "named_secret",
    "option_password",
    "password_hash",
    "plain_password",
    "quoted_password",
    "session_cookie",
    "told_password",
    "unquoted_password",
    "url_password",
];

/// Whether the pattern finds credentials by their context, without the format of an issuer.
pub(crate) fn is_by_context(id: &str) -> bool {
    SECRETS_BY_CONTEXT.contains(&id)
}

/// The expression as the engine takes it.
pub(crate) fn source(pattern: &Pattern) -> String {
    let parts = vocabulary::PARTS.iter();
    let expanded =
        parts.fold(pattern.regex.to_owned(), |text, (name, part)| text.replace(name, part));
    format!("(?imx-u){expanded}")
}

#[cfg(test)]
mod tests;
