//! The `commands` section of a policy: the effect of a command by what it does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tools::ActionEffect;

/// Effects by class, and the operator's own rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commands {
    /// Commands that read, list or describe.
    pub read: ActionEffect,
    /// Commands that change files or state as ordinary work does, in the workspace, in build folders and
    /// in temporary folders.
    pub change: ActionEffect,
    /// Commands that remove or overwrite data, history, other people's processes or infrastructure.
    pub destroy: ActionEffect,
    /// Commands that make something visible to others, or rewrite what others see.
    pub publish: ActionEffect,
    /// Commands that read credentials, or send credentials or files to a network.
    pub exfiltrate: ActionEffect,
    /// Commands that gain rights, weaken protection or persist beyond the session.
    pub escalate: ActionEffect,
    /// Commands that cannot be parsed or resolved.
    pub unparsed: ActionEffect,
    /// The operator's own rules. For an invocation that some of them match, the severest of their effects
    /// replaces the effect of its class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<CommandRule>,
}

impl Default for Commands {
    fn default() -> Self {
        use ActionEffect::{Allow, Ask, Deny};
        Self {
            read: Allow,
            change: Allow,
            destroy: Ask,
            publish: Ask,
            exfiltrate: Deny,
            escalate: Deny,
            unparsed: Ask,
            rules: Vec::new(),
        }
    }
}

impl Commands {
    /// The effect of a class.
    pub fn effect(&self, class: CommandClass) -> ActionEffect {
        match class {
            CommandClass::Read => self.read,
            CommandClass::Change => self.change,
            CommandClass::Destroy => self.destroy,
            CommandClass::Publish => self.publish,
            CommandClass::Exfiltrate => self.exfiltrate,
            CommandClass::Escalate => self.escalate,
            CommandClass::Unparsed => self.unparsed,
        }
    }
}

/// One of `commands.rules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandRule {
    /// Shown in answers and records. Without one, `commands.rules.N` is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The invocations that the rule is about.
    #[serde(flatten)]
    pub pattern: CommandPattern,
    /// The effect of an invocation that matches.
    pub effect: ActionEffect,
}

/// Conditions on one invocation of a parsed command. Every condition given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CommandPattern {
    /// Names of programs; `*` and `?` match within a name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub program: Vec<String>,
    /// The leading arguments that are not options, separated by blanks, such as `remote add`. A leading
    /// `**` matches at any of the first places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subcommand: Vec<String>,
    /// One of these arguments must occur. `-f` also matches in `-xf`, `--force` also `--force=now`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<String>,
    /// All of these arguments must occur; `|` separates spellings of one option.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<String>,
    /// None of these arguments may occur.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub none: Vec<String>,
    /// One of the invocation's targets must be in one of these places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target: Vec<TargetClass>,
    /// The invocation must be of one of these classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<CommandClass>,
}

impl CommandPattern {
    /// Whether no condition is given, so that every command would match.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A class of commands: what a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandClass {
    /// Reads, lists, describes.
    Read,
    /// Changes files or state as ordinary work does.
    Change,
    /// Removes or overwrites data, history, other people's processes or infrastructure.
    Destroy,
    /// Makes something visible to others, or rewrites what others see.
    Publish,
    /// Reads credentials, or sends credentials or files to a network.
    Exfiltrate,
    /// Gains rights, weakens protection or persists beyond the session.
    Escalate,
    /// Cannot be parsed or resolved.
    Unparsed,
}

/// The place of a path or address that a command names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetClass {
    /// The root of a file system.
    Root,
    /// A home folder as a whole, or the settings in it.
    Home,
    /// A folder of the operating system.
    System,
    /// Elsewhere outside the workspace.
    Outside,
    /// In the workspace.
    Workspace,
    /// In the workspace, made by a build.
    Build,
    /// In a folder for temporary files.
    Temporary,
    /// On another machine.
    Remote,
    /// A device.
    Device,
    /// Only known when the command runs.
    Unknown,
}
