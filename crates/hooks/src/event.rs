//! A hook's payload once it is read.

use life_agent_domain::governance::command::{BadLabel, Label, Tool};
use life_agent_domain::governance::ids::{AgentId, BadName, MAX_NAME};
use life_agent_domain::governance::payload::{Arguments, BadObject};
use serde_json::{Map, Value};

use crate::dialect::Dialect;

/// Longest working directory, in bytes.
const MAX_CWD: usize = 4096;

/// The payload of one hook.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// The host.
    pub dialect: Dialect,
    /// The host's name for the event; empty if the payload names none.
    pub name: String,
    /// The event.
    pub event: HookEvent,
}

/// The event behind a hook.
#[derive(Debug, Clone, PartialEq)]
pub enum HookEvent {
    /// A tool is about to be called.
    PreTool(ToolCall),
    /// A tool has returned.
    PostTool(ToolResult),
    /// Any other event, which needs no decision.
    Other,
}

/// A call that a host is about to make.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolCall {
    /// The agent that calls, if the host names one.
    pub agent: Option<String>,
    /// The host's session.
    pub session_id: Option<String>,
    /// The host's name for the tool.
    pub tool: String,
    /// The MCP server that provides the tool, if any.
    pub server: Option<String>,
    /// The tool's arguments.
    pub arguments: Map<String, Value>,
    /// The host's id for the call.
    pub call_id: Option<String>,
    /// The directory that the host works in.
    pub cwd: Option<String>,
}

/// The result of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolResult {
    /// The host's session.
    pub session_id: Option<String>,
    /// The host's id for the call.
    pub call_id: Option<String>,
    /// The host's name for the tool.
    pub tool: String,
    /// The result, in the host's form.
    pub result: Value,
    /// Whether the tool failed, if the host says so.
    pub is_error: Option<bool>,
    /// The duration of the call in milliseconds, if the host says so.
    pub duration_ms: Option<u64>,
}

/// The payload is not one of its dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// Not a JSON object.
    #[error("the hook's input is not a JSON object")]
    NotAnObject,
    /// A field that a decision needs is missing.
    #[error("the hook's input has no `{0}`")]
    Missing(&'static str),
}

/// The call exceeds the bounds of a tool call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCall {
    /// A name or id.
    #[error("`{0}` {1}")]
    Label(&'static str, BadLabel),
    /// The agent.
    #[error("`agent_id` {0}")]
    Agent(BadName),
    /// The arguments.
    #[error("`arguments` {0}")]
    Arguments(BadObject),
    /// The working directory.
    #[error("`cwd` must be at most {MAX_CWD} bytes long")]
    Cwd,
}

impl ToolCall {
    /// The call as a command for the gates. The agent is the host's agent or else its session; both are
    /// reduced to the characters that agent ids may have.
    ///
    /// # Errors
    /// [`BadCall`] if a part of the call exceeds its bounds.
    pub fn into_command(self, dialect: Dialect) -> Result<Tool, BadCall> {
        let label = |field: &'static str, text: Option<String>| {
            let text = text.map(Label::new).transpose();
            text.map_err(|error| BadCall::Label(field, error))
        };
        if self.cwd.as_ref().is_some_and(|cwd| cwd.len() > MAX_CWD) {
            return Err(BadCall::Cwd);
        }
        let named = self.agent.as_deref().or(self.session_id.as_deref()).unwrap_or_default();
        Ok(Tool {
            agent: agent_id(named, dialect)?,
            tool: Label::new(self.tool).map_err(|error| BadCall::Label("tool", error))?,
            server: label("server", self.server)?,
            arguments: Arguments::try_from(self.arguments).map_err(BadCall::Arguments)?,
            session_id: label("session_id", self.session_id)?,
            call_id: label("call_id", self.call_id)?,
            cwd: self.cwd,
        })
    }
}

/// `name` with `-` for each character that ids do not have; the host's name if it is empty.
fn agent_id(name: &str, dialect: Dialect) -> Result<AgentId, BadCall> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
    let name = if name.is_empty() { dialect.as_str() } else { name };
    let plain: String =
        name.chars().take(MAX_NAME).map(|c| if allowed(c) { c } else { '-' }).collect();
    AgentId::new(&plain).map_err(BadCall::Agent)
}
