//! The classes of effect and of targets, and where a command runs.

use serde::{Deserialize, Serialize};

/// What a command does, from harmless to unknown. The order serves summaries: the last effect names
/// the whole command. A decision looks at every effect of [`Assessment::effects`](super::Assessment).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum CommandEffect {
    /// Reads, lists, describes.
    #[default]
    Read,
    /// Changes files or state in a way that is part of ordinary work.
    Change,
    /// Removes or overwrites data, history, processes of others or infrastructure.
    Destroy,
    /// Makes something visible to others, or rewrites what they see.
    Publish,
    /// Reads credentials, or sends credentials or whole folders to a network.
    Exfiltrate,
    /// Gains rights, weakens protection or persists beyond the session.
    Escalate,
    /// Could not be parsed or resolved.
    Unparsed,
}

impl CommandEffect {
    /// The effects in order.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Change,
        Self::Destroy,
        Self::Publish,
        Self::Exfiltrate,
        Self::Escalate,
        Self::Unparsed,
    ];

    /// The name that policies and records use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Change => "change",
            Self::Destroy => "destroy",
            Self::Publish => "publish",
            Self::Exfiltrate => "exfiltrate",
            Self::Escalate => "escalate",
            Self::Unparsed => "unparsed",
        }
    }
}

/// The language of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shell {
    /// sh, bash, zsh and their kin.
    Posix,
    /// PowerShell.
    #[serde(rename = "powershell")]
    PowerShell,
    /// The Windows command prompt.
    Cmd,
}

/// What a path or address that a command names belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetClass {
    /// The root of a file system.
    Root,
    /// A home folder as a whole, or its settings.
    Home,
    /// A folder of the operating system.
    System,
    /// Elsewhere: outside the workspace.
    Outside,
    /// Inside the workspace.
    Workspace,
    /// Inside the workspace and made by a build: `node_modules`, `target`, `dist` and the like.
    Build,
    /// A folder for temporary files.
    Temporary,
    /// On another machine.
    Remote,
    /// A device.
    Device,
    /// Only known when the command runs.
    Unknown,
}

/// Where a command would run. Everything is optional; a missing fact makes the verdict stricter, except
/// that a relative path counts as inside the workspace.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandContext<'a> {
    /// The working directory, absolute.
    pub cwd: Option<&'a str>,
    /// The root of the workspace, absolute.
    pub workspace: Option<&'a str>,
    /// The home folder, absolute.
    pub home: Option<&'a str>,
    /// The shell; guessed from the text when missing.
    pub shell: Option<Shell>,
}
