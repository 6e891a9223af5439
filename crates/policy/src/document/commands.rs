//! The `commands` section of a policy: the effect of a command by what it does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tools::ActionEffect;

/// Effects by class, and the operator's own rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commands {
    /// Commands that read, list or describe.
    pub read: ActionEffect,
    /// Commands that change files or state in ordinary work: in the workspace, build folders and temporary
    /// folders.
    pub change: ActionEffect,
    /// Commands that remove or overwrite data, history, other people's processes or infrastructure.
    pub destroy: ActionEffect,
    /// Commands that publish something, or rewrite something published.
    pub publish: ActionEffect,
    /// Commands that read credentials, or send credentials or files to a network.
    pub exfiltrate: ActionEffect,
    /// Commands that gain rights, weaken protection or persist beyond the session.
    pub escalate: ActionEffect,
    /// Commands that cannot be parsed or resolved.
    pub unparsed: ActionEffect,
    /// The operator's own rules. The severest effect of the matching rules replaces the effect of the class.
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
    /// The name in responses and rows; `commands.rules.N` without an id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A comment for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The conditions on an invocation.
    #[serde(flatten)]
    pub pattern: CommandPattern,
    /// The effect on invocations that match.
    pub effect: ActionEffect,
}

/// Conditions on one invocation of a parsed command. All of them must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CommandPattern {
    /// Names of programs; `*` and `?` match within a name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub program: Vec<String>,
    /// The leading arguments without options, separated by spaces, such as `remote add`. A leading
    /// `**` matches at any of the first positions.
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
    /// Whether there is no condition, so that every command would match.
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
    /// Changes files or state in ordinary work.
    Change,
    /// Removes or overwrites data, history, other people's processes or infrastructure.
    Destroy,
    /// Publishes something, or rewrites something published.
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
    /// Outside the workspace, in none of the other places.
    Outside,
    /// In the workspace.
    Workspace,
    /// In the workspace, created by a build.
    Build,
    /// In a folder for temporary files.
    Temporary,
    /// On another machine.
    Remote,
    /// A device.
    Device,
    /// Unknown until the command runs.
    Unknown,
}
