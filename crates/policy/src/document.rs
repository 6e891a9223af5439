//! The policy document once it is valid. It serialises to the shape that it is written in.

use life_agent_domain::governance::command::Kind;
use life_agent_domain::governance::gate::Effect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

/// What happens to requests that match a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleEffect {
    /// The rule is noted with the request; the other gates still decide.
    Allow,
    /// The request is refused; this beats `allow`.
    Deny,
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
}

impl Match {
    /// Whether no list is given, so that the rule would be about nothing in particular.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
            && [&self.intents, &self.actions, &self.targets, &self.inputs]
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

/// What is done about risky texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Risk {
    /// `observe` turns every denial of this gate into an observation.
    pub mode: Mode,
    /// What is done about each category.
    pub categories: Categories,
    /// The operator's own patterns, beside the built-in ones.
    pub patterns: Vec<CustomPattern>,
}

/// Whether the risk gate bites.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Categories do what they are set to.
    #[default]
    Enforce,
    /// What would be refused is only recorded.
    Observe,
}

/// What is done about each category of risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Categories {
    /// Shell, script and process commands.
    pub command_exec: CategoryEffect,
    /// Credentials.
    pub secrets: CategoryEffect,
    /// Addresses that reach into a network or hide their host.
    pub url: CategoryEffect,
    /// Paths that leave their directory.
    pub path_traversal: CategoryEffect,
    /// Texts that try to give a model new instructions; a guess, hence observed unless set.
    pub prompt_injection: CategoryEffect,
}

impl Default for Categories {
    fn default() -> Self {
        use CategoryEffect::{Deny, Observe};
        Self {
            command_exec: Deny,
            secrets: Deny,
            url: Deny,
            path_traversal: Deny,
            prompt_injection: Observe,
        }
    }
}

/// What is done about a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CategoryEffect {
    /// A finding refuses the request.
    Deny,
    /// A finding is recorded.
    Observe,
    /// The category is not looked for.
    Off,
}

/// The five kinds of risk that texts are searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Shell, script and process commands.
    CommandExec,
    /// Credentials.
    Secrets,
    /// Addresses that reach into a network or hide their host.
    Url,
    /// Paths that leave their directory.
    PathTraversal,
    /// Texts that try to give a model new instructions.
    PromptInjection,
}

impl Category {
    /// All of them, in the order of the document.
    pub const ALL: [Category; 5] = [
        Category::CommandExec,
        Category::Secrets,
        Category::Url,
        Category::PathTraversal,
        Category::PromptInjection,
    ];

    /// The name in documents, rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Category::CommandExec => "command_exec",
            Category::Secrets => "secrets",
            Category::Url => "url",
            Category::PathTraversal => "path_traversal",
            Category::PromptInjection => "prompt_injection",
        }
    }
}

impl Risk {
    /// What a finding of this category does; none when the category is off.
    pub fn effect(&self, category: Category) -> Option<Effect> {
        let set = match category {
            Category::CommandExec => self.categories.command_exec,
            Category::Secrets => self.categories.secrets,
            Category::Url => self.categories.url,
            Category::PathTraversal => self.categories.path_traversal,
            Category::PromptInjection => self.categories.prompt_injection,
        };
        match (set, self.mode) {
            (CategoryEffect::Off, _) => None,
            (CategoryEffect::Deny, Mode::Enforce) => Some(Effect::Deny),
            (CategoryEffect::Deny, Mode::Observe) | (CategoryEffect::Observe, _) => {
                Some(Effect::Observe)
            }
        }
    }
}

/// A pattern of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustomPattern {
    /// Unique among all rules and patterns.
    pub id: String,
    /// The category whose effect it takes.
    pub category: Category,
    /// A regular expression that [`BoundedRegex`](crate::bounded::BoundedRegex) accepts.
    pub pattern: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observing_softens_denials_and_off_stays_off() {
        let mut risk = Risk::default();
        assert_eq!(risk.effect(Category::Secrets), Some(Effect::Deny));
        assert_eq!(risk.effect(Category::PromptInjection), Some(Effect::Observe));
        risk.categories.url = CategoryEffect::Off;
        risk.mode = Mode::Observe;
        let effects = Category::ALL.map(|category| risk.effect(category));
        let observe = Some(Effect::Observe);
        assert_eq!(effects, [observe, observe, None, observe, observe]);
    }

    #[test]
    fn a_category_is_called_the_same_everywhere() {
        let keys = serde_json::to_value(Categories::default()).unwrap();
        for category in Category::ALL {
            assert_eq!(serde_json::to_value(category).unwrap(), category.as_str());
            assert!(keys.get(category.as_str()).is_some());
        }
    }
}
