//! The `risk` section of a policy: the effects of risk patterns in a request.

use life_agent_domain::governance::command::Kind;
use life_agent_domain::governance::gate::Effect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Effects and patterns of the risk gate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Risk {
    /// `observe` turns every denial of this gate into an observation.
    pub mode: Mode,
    /// The effect of each category where `kinds` does not set another.
    pub categories: Categories,
    /// The resulting effect of each category for each kind of request.
    pub kinds: KindEffects,
    /// Ids of patterns that the gate ignores. Redaction still uses them.
    pub patterns_off: Vec<String>,
    /// The operator's own patterns.
    pub patterns: Vec<CustomPattern>,
}

impl Risk {
    /// The effect of a finding of this category in a request of this kind; `None` if the category is off.
    /// `severe` is true for patterns without a harmless use.
    pub fn effect(&self, kind: Kind, category: Category, severe: bool) -> Option<Effect> {
        let refuses = match self.kinds.of(kind).effect(category) {
            CategoryEffect::Off => return None,
            CategoryEffect::Deny => true,
            CategoryEffect::DenySevere => severe,
            CategoryEffect::Observe => false,
        };
        let is_enforced = refuses && self.mode == Mode::Enforce;
        Some(if is_enforced { Effect::Deny } else { Effect::Observe })
    }

    /// Whether the pattern with this id is disabled.
    pub fn is_off(&self, pattern: &str) -> bool {
        self.patterns_off.iter().any(|id| id == pattern)
    }
}

/// Whether the risk gate refuses requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Each category has its configured effect.
    #[default]
    Enforce,
    /// Findings that would deny a request are only recorded.
    Observe,
}

/// The effect of each category of risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Categories {
    /// Shell, script and process commands.
    pub command_exec: CategoryEffect,
    /// Credentials.
    pub secrets: CategoryEffect,
    /// Addresses that lead into an internal network or hide their host.
    pub url: CategoryEffect,
    /// Paths that leave their directory.
    pub path_traversal: CategoryEffect,
    /// Texts that try to give a model new instructions. The patterns are heuristic, so the default is
    /// `observe`.
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

impl Categories {
    /// The effect set for a category.
    pub fn effect(&self, category: Category) -> CategoryEffect {
        match category {
            Category::CommandExec => self.command_exec,
            Category::Secrets => self.secrets,
            Category::Url => self.url,
            Category::PathTraversal => self.path_traversal,
            Category::PromptInjection => self.prompt_injection,
        }
    }

    /// The effects for text about code, which mentions commands, addresses and paths without using them: only
    /// severe findings deny the request.
    fn for_text_about_code(&self) -> Self {
        let only_severe = |effect| match effect {
            CategoryEffect::Deny => CategoryEffect::DenySevere,
            weaker => weaker,
        };
        Self {
            command_exec: only_severe(self.command_exec),
            url: only_severe(self.url),
            path_traversal: only_severe(self.path_traversal),
            ..self.clone()
        }
    }
}

/// The effect of each category for each kind of request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindEffects {
    /// Actions with a payload.
    pub act: Categories,
    /// Texts to an agent.
    pub turn: Categories,
    /// Changes to the workspace.
    pub plan: Categories,
    /// Conversations with the model.
    pub chat: Categories,
    /// Tool calls: credentials in all texts, and addresses in arguments declared as `url`.
    pub tool: Categories,
}

impl KindEffects {
    /// The effects for one kind of request.
    pub fn of(&self, kind: Kind) -> &Categories {
        match kind {
            Kind::Act => &self.act,
            Kind::Turn => &self.turn,
            Kind::Plan => &self.plan,
            Kind::Chat => &self.chat,
            Kind::Tool => &self.tool,
        }
    }

    /// The effects of a policy that sets `categories` and these `overrides`.
    ///
    /// Conversations contain text about code. Unless set, their effects for commands, addresses and paths are
    /// `deny_severe` where `categories` says `deny`.
    pub(crate) fn resolve(categories: &Categories, overrides: &KindOverrides) -> Self {
        let lenient = categories.for_text_about_code();
        Self {
            act: overrides.act.over(categories),
            turn: overrides.turn.over(categories),
            plan: overrides.plan.over(categories),
            chat: overrides.chat.over(&lenient),
            tool: overrides.tool.over(categories),
        }
    }
}

impl Default for KindEffects {
    fn default() -> Self {
        Self::resolve(&Categories::default(), &KindOverrides::default())
    }
}

/// Effects per kind of request. A category that is not set for a kind has the effect in `categories`,
/// except that `command_exec`, `url` and `path_traversal` are at most `deny_severe` in `chat`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "KindEffects")]
pub(crate) struct KindOverrides {
    /// For actions with a payload.
    act: CategoryOverrides,
    /// For texts to an agent.
    turn: CategoryOverrides,
    /// For changes to the workspace.
    plan: CategoryOverrides,
    /// For conversations with the model.
    chat: CategoryOverrides,
    /// For tool calls.
    tool: CategoryOverrides,
}

/// The effects that a policy sets for one kind of request.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "CategoryEffects")]
struct CategoryOverrides {
    /// Shell, script and process commands.
    #[schemars(with = "CategoryEffect")]
    command_exec: Option<CategoryEffect>,
    /// Credentials.
    #[schemars(with = "CategoryEffect")]
    secrets: Option<CategoryEffect>,
    /// Addresses that lead into an internal network or hide their host.
    #[schemars(with = "CategoryEffect")]
    url: Option<CategoryEffect>,
    /// Paths that leave their directory.
    #[schemars(with = "CategoryEffect")]
    path_traversal: Option<CategoryEffect>,
    /// Texts that try to give a model new instructions.
    #[schemars(with = "CategoryEffect")]
    prompt_injection: Option<CategoryEffect>,
}

impl CategoryOverrides {
    fn over(&self, base: &Categories) -> Categories {
        Categories {
            command_exec: self.command_exec.unwrap_or(base.command_exec),
            secrets: self.secrets.unwrap_or(base.secrets),
            url: self.url.unwrap_or(base.url),
            path_traversal: self.path_traversal.unwrap_or(base.path_traversal),
            prompt_injection: self.prompt_injection.unwrap_or(base.prompt_injection),
        }
    }
}

/// The effect of a finding of a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CategoryEffect {
    /// A finding denies the request.
    Deny,
    /// A finding of a severe pattern, such as `rm -rf /`, denies the request; others are recorded.
    DenySevere,
    /// A finding is recorded.
    Observe,
    /// The gate does not search for the category.
    Off,
}

/// The five categories of risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Shell, script and process commands.
    CommandExec,
    /// Credentials.
    Secrets,
    /// Addresses that lead into an internal network or hide their host.
    Url,
    /// Paths that leave their directory.
    PathTraversal,
    /// Texts that try to give a model new instructions.
    PromptInjection,
}

impl Category {
    /// All categories, in the order of the document.
    pub const ALL: [Category; 5] = [
        Category::CommandExec,
        Category::Secrets,
        Category::Url,
        Category::PathTraversal,
        Category::PromptInjection,
    ];

    /// The name in documents, rows and responses.
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

/// A pattern of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustomPattern {
    /// Unique among all rules and patterns.
    pub id: String,
    /// The category, which sets the effect.
    pub category: Category,
    /// A regular expression that [`BoundedRegex`](crate::bounded::BoundedRegex) accepts.
    pub pattern: String,
}

#[cfg(test)]
mod tests;
