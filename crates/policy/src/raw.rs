//! The policy document as it is written, before anything in it is known to be right.
//!
//! Nothing is required here as far as serde is concerned, so that reading goes on to the end and finds
//! every fault; what must be there is told to garde and to the JSON Schema. Unknown keys are found by
//! `read_all`, hence no `deny_unknown_fields` but in the schema.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::risk::KindOverrides;
use crate::document::{
    Approvals, Categories, Category, Llm, Match, Mode, Observer, Plans, RuleEffect,
};

pub(crate) mod commands;
pub(crate) mod tools;

/// Longest id, and the characters of one; the schema has them as a pattern.
const MAX_ID: usize = 64;
pub(crate) const ID_PATTERN: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";

/// What agents may do in this workspace. See `policy/policy.yaml` for a commented example.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, title = "life-agent policy", extend("required" = ["version", "allowed_dirs"]))]
pub(crate) struct Policy {
    /// The version of this format: "1", in quotes.
    #[garde(required, custom(check_version))]
    #[schemars(extend("const" = "1"))]
    pub(crate) version: Option<String>,
    /// Directories that plans may target, relative to the workspace.
    #[garde(required, length(min = 1, max = 64))]
    pub(crate) allowed_dirs: Option<Vec<String>>,
    /// Globs for paths that plans may never target, whatever is allowed. Case does not count; a glob
    /// without `/` holds at any depth.
    #[garde(length(max = 256))]
    pub(crate) deny_globs: Vec<String>,
    /// Most lines that a plan may add and remove.
    #[garde(range(max = 5000))]
    pub(crate) max_diff_lines: u32,
    /// How the model is asked.
    #[garde(dive)]
    pub(crate) llm: Llm,
    /// Rules of your own, for every kind of request.
    #[garde(length(max = 256), dive)]
    pub(crate) rules: Vec<Rule>,
    /// What is done about risky texts.
    #[garde(dive)]
    pub(crate) risk: Risk,
    /// How the journal works.
    #[garde(dive)]
    pub(crate) observer: Observer,
    /// How plans are handled.
    #[garde(skip)]
    pub(crate) plans: Plans,
    /// The meaning of each tool's arguments, and the tools that are denied or need an approval. Common
    /// tools of coding agents are known without an entry; an unknown tool's arguments are data.
    #[garde(skip)]
    #[schemars(with = "tools::ToolsSchema")]
    pub(crate) tools: tools::Tools,
    /// The effect of a command by what it does.
    #[garde(skip)]
    pub(crate) commands: commands::RawCommands,
    /// How approvals are requested.
    #[garde(dive)]
    pub(crate) approvals: Approvals,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            version: None,
            allowed_dirs: None,
            deny_globs: Vec::new(),
            max_diff_lines: 800,
            llm: Llm::default(),
            rules: Vec::new(),
            risk: Risk::default(),
            observer: Observer::default(),
            plans: Plans::default(),
            tools: tools::Tools::default(),
            commands: commands::RawCommands::default(),
            approvals: Approvals::default(),
        }
    }
}

/// A rule: the requests it is about, and its effect on them. The severest effect of the rules that match
/// holds: `deny`, then `ask`; `observe` only records.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["id", "match", "effect"]))]
pub(crate) struct Rule {
    /// A name for answers and records, unique among all rules and patterns.
    #[garde(required, custom(check_id))]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub(crate) id: Option<String>,
    /// For people.
    #[garde(length(chars, max = 1000))]
    #[schemars(with = "String")]
    pub(crate) description: Option<String>,
    /// What the rule is about: every list given must match, and one match in a list is enough.
    #[garde(required, dive)]
    pub(crate) r#match: Option<Match>,
    /// What happens to requests that match.
    #[garde(required)]
    pub(crate) effect: Option<RuleEffect>,
    /// Categories of risk that requests which match are exempt from; only with the effect `allow`. With
    /// `fields` or `commands` in `match`, only those fields or commands are exempt.
    #[garde(length(max = 5))]
    pub(crate) exempt: Vec<Category>,
}

/// What happens to a request in which a risk pattern is found.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Risk {
    /// `enforce` applies the effects below; `observe` records what they would have refused.
    #[garde(skip)]
    pub(crate) mode: Mode,
    /// The effect of each category, for every kind of request.
    #[garde(skip)]
    pub(crate) categories: Categories,
    /// Effects for single kinds of request.
    #[garde(skip)]
    pub(crate) kinds: KindOverrides,
    /// Ids of patterns that the gate does not search for. Redaction still uses them.
    #[garde(length(max = 128))]
    pub(crate) patterns_off: Vec<String>,
    /// Your own patterns, in addition to the built-in ones.
    #[garde(length(max = 128), dive)]
    pub(crate) patterns: Vec<Pattern>,
}

/// A pattern of your own.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["id", "category", "pattern"]))]
pub(crate) struct Pattern {
    /// A name for answers and records, unique among all rules and patterns.
    #[garde(required, custom(check_id))]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub(crate) id: Option<String>,
    /// The category whose effect it takes.
    #[garde(required)]
    pub(crate) category: Option<Category>,
    /// A regular expression.
    #[garde(required)]
    pub(crate) pattern: Option<String>,
}

/// The one version of policy and profile.
pub(crate) fn check_version(version: &Option<String>, _: &()) -> garde::Result {
    match version.as_deref() {
        None | Some(crate::document::VERSION) => Ok(()),
        Some(_) => Err(garde::Error::new("must be \"1\", the only version there is")),
    }
}

/// What ids of rules, patterns and intents look like.
pub(crate) fn check_id(id: &Option<String>, _: &()) -> garde::Result {
    let Some(id) = id else { return Ok(()) };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let first = id.bytes().next().is_some_and(plain);
    let rest = id.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
    if first && rest && id.len() <= MAX_ID {
        return Ok(());
    }
    Err(garde::Error::new(format!(
        "must be 1 to {MAX_ID} characters out of `a-z 0-9 . _ -`, a letter or digit first"
    )))
}
