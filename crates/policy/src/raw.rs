//! The policy document as written, before validation.
//!
//! For serde, every field is optional, so that reading continues to the end and finds every fault; garde and the
//! JSON Schema state the required fields. `read_all` finds unknown keys, so `deny_unknown_fields` appears in the
//! schema only.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::risk::KindOverrides;
use crate::document::{
    Approvals, Categories, Category, Llm, Match, Mode, Observer, Plans, Price, RuleEffect,
};
use crate::mcp::Mcp;

pub(crate) mod budgets;
pub(crate) mod commands;
pub(crate) mod tools;

/// The maximum length of an id; the schema states length and characters as a pattern.
const MAX_ID: usize = 64;
pub(crate) const ID_PATTERN: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";

/// The policy of the service. See `policy/policy.yaml` for a commented example and `docs/policy.md` for a guide.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, title = "life-agent policy", extend("required" = ["version", "allowed_dirs"]))]
pub(crate) struct Policy {
    /// The version of this format: "1", in quotes.
    #[garde(required, custom(check_version))]
    #[schemars(extend("const" = "1"))]
    pub(crate) version: Option<String>,
    /// Directories that plans may change, relative to the workspace.
    #[garde(required, length(min = 1, max = 64))]
    pub(crate) allowed_dirs: Option<Vec<String>>,
    /// Globs over paths that no plan and no tool call may touch. Case is ignored; a glob without `/` matches at
    /// any depth.
    #[garde(length(max = 256))]
    pub(crate) deny_globs: Vec<String>,
    /// The maximum of added and removed lines of a plan together.
    #[garde(range(max = 5000))]
    pub(crate) max_diff_lines: u32,
    /// Settings of model calls.
    #[garde(dive)]
    pub(crate) llm: Llm,
    /// Your own rules, for every kind of request.
    #[garde(length(max = 256), dive)]
    pub(crate) rules: Vec<Rule>,
    /// Effects and patterns of the risk gate.
    #[garde(dive)]
    pub(crate) risk: Risk,
    /// Settings of the journal.
    #[garde(dive)]
    pub(crate) observer: Observer,
    /// Settings of plans.
    #[garde(skip)]
    pub(crate) plans: Plans,
    /// The meaning of each tool's arguments, and the tools that are denied or need an approval. Common
    /// tools of coding agents are built in; arguments of unknown tools are data.
    #[garde(skip)]
    #[schemars(with = "tools::ToolsSchema")]
    pub(crate) tools: tools::Tools,
    /// The effect of a command by what it does.
    #[garde(skip)]
    pub(crate) commands: commands::RawCommands,
    /// Settings of approvals.
    #[garde(dive)]
    pub(crate) approvals: Approvals,
    /// The MCP servers behind the gateway.
    #[garde(dive)]
    pub(crate) mcp: Mcp,
    /// What calls to models may use: tokens, requests, money. A call counts against every budget that
    /// matches it.
    #[garde(length(max = 64), dive)]
    pub(crate) budgets: Vec<budgets::Budget>,
    /// Prices of models by name, where `*` stands for any characters; the longest name that matches holds.
    #[garde(dive)]
    pub(crate) prices: BTreeMap<String, Price>,
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
            mcp: Mcp::default(),
            budgets: Vec::new(),
            prices: BTreeMap::new(),
        }
    }
}

/// A rule: conditions and an effect. The severest effect of the matching rules applies: `deny`, then `ask`;
/// `observe` only records.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["id", "match", "effect"]))]
pub(crate) struct Rule {
    /// The name in responses and rows, unique among all rules and patterns.
    #[garde(required, custom(check_id))]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub(crate) id: Option<String>,
    /// A comment for people.
    #[garde(length(chars, max = 1000))]
    #[schemars(with = "String")]
    pub(crate) description: Option<String>,
    /// The conditions: every list must match, and a list matches if one of its entries does.
    #[garde(required, dive)]
    pub(crate) r#match: Option<Match>,
    /// The effect on requests that match.
    #[garde(required)]
    pub(crate) effect: Option<RuleEffect>,
    /// Categories of risk from which matching requests are exempt; only with the effect `allow`. With `fields`
    /// or `commands` in `match`, only those fields or commands are exempt.
    #[garde(length(max = 5))]
    pub(crate) exempt: Vec<Category>,
}

/// Effects and patterns of the risk gate.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Risk {
    /// `enforce` applies the effects below; `observe` records the requests that they would deny.
    #[garde(skip)]
    pub(crate) mode: Mode,
    /// The effect of each category, for every kind of request.
    #[garde(skip)]
    pub(crate) categories: Categories,
    /// Effects for single kinds of request.
    #[garde(skip)]
    pub(crate) kinds: KindOverrides,
    /// Ids of patterns that the gate ignores. Redaction still uses them.
    #[garde(length(max = 128))]
    pub(crate) patterns_off: Vec<String>,
    /// Your own patterns, in addition to the built-in ones.
    #[garde(length(max = 128), dive)]
    pub(crate) patterns: Vec<Pattern>,
}

/// Your own pattern.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["id", "category", "pattern"]))]
pub(crate) struct Pattern {
    /// The name in responses and rows, unique among all rules and patterns.
    #[garde(required, custom(check_id))]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub(crate) id: Option<String>,
    /// The category, which sets the effect.
    #[garde(required)]
    pub(crate) category: Option<Category>,
    /// A regular expression.
    #[garde(required)]
    pub(crate) pattern: Option<String>,
}

/// Checks the version of a policy or profile.
pub(crate) fn check_version(version: &Option<String>, _: &()) -> garde::Result {
    match version.as_deref() {
        None | Some(crate::document::VERSION) => Ok(()),
        Some(_) => Err(garde::Error::new("must be \"1\", the only version")),
    }
}

/// Checks the id of a rule, pattern or intent.
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
