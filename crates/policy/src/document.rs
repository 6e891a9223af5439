//! The policy document once it is valid. It serializes to the shape that it is written in.

use std::collections::BTreeMap;

use life_agent_domain::governance::command::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::llm::{JudgeToolCalls, Media, OnFailure, Provider};
use crate::mcp::Mcp;

mod approvals;
mod budgets;
mod commands;
pub mod risk;
mod tools;

pub use approvals::{Approvals, webhook_origin};
pub use budgets::{Budget, BudgetLimits, BudgetMatch, Price};
pub use commands::{CommandClass, CommandPattern, CommandRule, Commands, TargetClass};
pub use risk::{Categories, Category, CategoryEffect, CustomPattern, KindEffects, Mode, Risk};
pub use tools::{Access, ActionEffect, Meaning, Tool, Tools};

/// The only version of the document there is.
pub const VERSION: &str = "1";

/// A valid policy. Regular expressions and globs are texts here; `snapshot` holds them compiled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Policy {
    /// Always [`VERSION`].
    pub version: String,
    /// Directories that plans may target; relative to the workspace, at least one.
    pub allowed_dirs: Vec<String>,
    /// Paths that plans may never target, whatever is allowed; see `DenyGlobs` for how they match.
    pub deny_globs: Vec<String>,
    /// Most lines that a plan may add and remove, 0 to 5,000.
    pub max_diff_lines: u32,
    /// How the model is asked.
    pub llm: Llm,
    /// The operator's own rules, in the order of the document.
    pub rules: Vec<Rule>,
    /// What is done about risky texts.
    pub risk: Risk,
    /// How the journal works.
    pub observer: Observer,
    /// How plans are handled.
    pub plans: Plans,
    /// The meaning of tools' arguments, and the effects of their calls.
    pub tools: Tools,
    /// The effects of commands.
    pub commands: Commands,
    /// How approvals are requested.
    pub approvals: Approvals,
    /// The MCP servers behind the gateway.
    pub mcp: Mcp,
    /// What calls to models may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// Prices of models.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, Price>,
}

/// How the model is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Llm {
    /// The provider's name for the model.
    #[garde(length(chars, min = 1, max = 128))]
    pub model: String,
    /// 0 for the same answer every time, up to 1 for the most varied.
    #[garde(range(min = 0.0, max = 1.0))]
    pub temperature: f64,
    /// Longest answer, in tokens.
    #[garde(range(min = 1, max = 8192))]
    pub max_tokens: u32,
    /// How long the model may take to tell a turn, all that it does on the way included.
    #[garde(range(min = 1, max = 120))]
    pub turn_seconds: u32,
    /// How much of an agent's past exchanges goes with a turn, in tokens of about four bytes.
    #[garde(range(max = 8192))]
    pub history_tokens: u32,
    /// Whether turns and plans go on without a model that fails.
    #[garde(skip)]
    pub on_failure: OnFailure,
    /// The models that forwarded requests may name, where `*` stands for any characters; all models
    /// without it.
    #[garde(length(max = 256))]
    pub models: Vec<String>,
    /// Whether images, audio and files in forwarded requests pass unread.
    #[garde(skip)]
    pub media: Media,
    /// Whether the tool calls in responses to forwarded requests are judged like calls of `/tool`.
    #[garde(skip)]
    pub judge_tool_calls: JudgeToolCalls,
    /// Further providers, chosen by the model's name; the first that serves a model gets it.
    #[garde(length(max = 32), dive)]
    pub providers: Vec<Provider>,
}

impl Default for Llm {
    fn default() -> Self {
        // Groq withdrew its Llama 3.3 on 2026-08-16; this is what it names as the successor.
        Self {
            model: "openai/gpt-oss-120b".to_owned(),
            temperature: 0.0,
            max_tokens: 2048,
            turn_seconds: 30,
            history_tokens: 1024,
            on_failure: OnFailure::default(),
            models: Vec::new(),
            media: Media::default(),
            judge_tool_calls: JudgeToolCalls::default(),
            providers: Vec::new(),
        }
    }
}

/// One rule of the operator: what it is about, and what happens then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Unique among all rules and patterns.
    pub id: String,
    /// For people; the service does nothing with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the rule is about.
    #[serde(rename = "match")]
    pub matches: Match,
    /// What happens to requests that match.
    pub effect: RuleEffect,
    /// Categories of risk that requests which match are exempt from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exempt: Vec<Category>,
}

/// What happens to requests that match a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleEffect {
    /// The rule is noted with the request; the other gates still decide, except about the categories that
    /// the rule exempts from.
    Allow,
    /// The request is refused; this beats every other effect.
    Deny,
    /// The request needs an approval.
    Ask,
    /// It is recorded that the rule would have refused the request.
    Observe,
}

/// What a rule is about: every list given must match, and a list matches if one of its items does.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, garde::Validate,
)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Match {
    /// Kinds of request.
    #[garde(length(max = 5))]
    #[schemars(with = "Vec<KindName>")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Kind>,
    /// Regular expressions for the intent: a plan's, or the one that a turn was understood as.
    #[garde(length(max = 64))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub intents: Vec<String>,
    /// Regular expressions for the name of an act's action.
    #[garde(length(max = 64))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// Globs for a plan's target paths.
    #[garde(length(max = 64))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Regular expressions for free text: a turn's input, a plan's context, a payload, a message.
    #[garde(length(max = 64))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// Globs for the name of a tool. Case does not count.
    #[garde(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Globs for the name of the MCP server that provides the tool. Case does not count.
    #[garde(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// Globs for the name of the caller's key.
    #[garde(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<String>,
    /// Globs for the id of the agent.
    #[garde(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// JSON pointers into a tool call's arguments or an act's payload: `inputs` are searched for there
    /// only, and a request without such a field does not match.
    #[garde(length(max = 64))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Commands that a tool call would run: the beginning of a command, such as `git push --force`, or a
    /// map of conditions.
    #[garde(length(max = 64))]
    #[schemars(with = "Vec<crate::raw::commands::PatternSchema>")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandPattern>,
}

impl Match {
    /// Whether no list is given, so that the rule would be about nothing in particular.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
            && self.commands.is_empty()
            && [
                &self.intents,
                &self.actions,
                &self.targets,
                &self.inputs,
                &self.tools,
                &self.servers,
                &self.principals,
                &self.agents,
                &self.fields,
            ]
            .iter()
            .all(|list| list.is_empty())
    }
}

/// A kind of request.
// The schema of `Kind`, whose crate knows nothing of schemas.
#[derive(JsonSchema)]
#[schemars(rename = "Kind")]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum KindName {
    Act,
    Turn,
    Plan,
    Chat,
    Tool,
}

/// How the journal works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Observer {
    /// Steps of an agent between two stored snapshots of its state.
    #[garde(range(min = 1, max = 10_000))]
    pub snapshot_every: u32,
}

impl Default for Observer {
    fn default() -> Self {
        Self { snapshot_every: 100 }
    }
}

/// How plans are handled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Plans {
    /// Whether the caller who made a plan may also review it.
    pub self_review: bool,
}
