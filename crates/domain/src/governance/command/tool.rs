//! A call of a tool that runs outside the service: the agent's own shell, editor or MCP server.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Command, Field, Gated};
use crate::governance::ids::AgentId;
use crate::governance::payload::Arguments;
use crate::governance::redaction::{Redact, redact_owned};

/// Longest [`Label`], in characters.
pub const MAX_LABEL: usize = 256;

/// The text is not a [`Label`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_LABEL} characters without control characters")]
pub struct BadLabel;

/// A name or id that a host chose: 1–256 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`BadLabel`] if `text` is empty, too long or has a control character.
    pub fn new(text: impl Into<String>) -> Result<Self, BadLabel> {
        let text = text.into();
        let fits = (1..=MAX_LABEL).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) { Ok(Self(text)) } else { Err(BadLabel) }
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn redacted(self, redactor: &dyn Redact) -> Self {
        Self(redact_owned(self.0, redactor))
    }
}

impl TryFrom<String> for Label {
    type Error = BadLabel;
    fn try_from(text: String) -> Result<Self, BadLabel> {
        Self::new(text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> String {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An action that `agent` is about to perform with a tool outside the service.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// The agent that calls the tool.
    pub agent: AgentId,
    /// The host's name for the tool.
    pub tool: Label,
    /// The MCP server that provides the tool, if any.
    pub server: Option<Label>,
    /// The arguments exactly as the tool receives them.
    pub arguments: Arguments,
    /// The host's session.
    pub session_id: Option<Label>,
    /// The host's id for this call. A repeated call has the same id.
    pub call_id: Option<Label>,
    /// The directory that relative paths in the arguments start from.
    pub cwd: Option<String>,
}

impl Tool {
    /// The MCP server that provides the tool: the server of the call, or the one that hosts write in front
    /// of the tool's name, as in `mcp__github__create_issue`.
    pub fn server_name(&self) -> Option<&str> {
        let named = || self.tool.as_str().strip_prefix("mcp__")?.split_once("__");
        self.server.as_ref().map(Label::as_str).or_else(|| named().map(|(server, _)| server))
    }

    /// Every text of the call with its field.
    pub(super) fn texts(&self) -> Vec<(Field, &str)> {
        let labels = [
            (Field::Agent, Some(self.agent.as_str())),
            (Field::Tool, Some(self.tool.as_str())),
            (Field::Server, self.server.as_ref().map(Label::as_str)),
            (Field::Session, self.session_id.as_ref().map(Label::as_str)),
            (Field::Call, self.call_id.as_ref().map(Label::as_str)),
            (Field::Cwd, self.cwd.as_deref()),
        ];
        let mut arguments = Vec::new();
        self.arguments.texts(&mut arguments);
        let arguments = arguments.into_iter().enumerate();
        let labels = labels.into_iter().filter_map(|(field, text)| Some((field, text?)));
        labels.chain(arguments.map(|(n, text)| (Field::Argument(n), text))).collect()
    }
}

impl Gated for Tool {
    fn view(&self) -> Command<'_> {
        Command::Tool(self)
    }

    fn redacted(self, redactor: &dyn Redact) -> Self {
        let label = |label: Option<Label>| label.map(|label| label.redacted(redactor));
        Tool {
            agent: self.agent.redacted(redactor),
            tool: self.tool.redacted(redactor),
            server: label(self.server),
            arguments: self.arguments.redacted(redactor),
            session_id: label(self.session_id),
            call_id: label(self.call_id),
            cwd: self.cwd.map(|cwd| redact_owned(cwd, redactor)),
        }
    }

    fn adjoining(&mut self) -> Vec<&mut String> {
        self.arguments.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::json;

    use super::*;

    struct Stars;

    impl Redact for Stars {
        fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
            if text.contains("hunter2") { text.replace("hunter2", "*").into() } else { text.into() }
        }
    }

    fn call() -> Tool {
        let label = |text: &str| Label::new(text).unwrap();
        let arguments = json!({"command": "login hunter2", "env": {"hunter2": ["hunter2"]}});
        Tool {
            agent: AgentId::new("hunter2").unwrap(),
            tool: label("mcp__hunter2__run"),
            server: Some(label("hunter2")),
            arguments: Arguments::try_from(arguments.as_object().cloned().unwrap()).unwrap(),
            session_id: Some(label("s-hunter2")),
            call_id: Some(label("c-hunter2")),
            cwd: Some("/home/hunter2".to_owned()),
        }
    }

    #[test]
    fn every_text_of_a_call_is_redacted() {
        assert!(!format!("{:?}", call().redacted(&Stars)).contains("hunter2"));
    }

    #[test]
    fn every_text_of_a_call_is_listed_with_its_field() {
        let call = call();
        let texts = Command::Tool(&call).texts();
        assert_eq!(texts.iter().filter(|(_, text)| text.contains("hunter2")).count(), 9);
        let names: Vec<_> =
            texts.iter().map(|(field, _)| Command::Tool(&call).field_name(*field)).collect();
        let expected = [
            "agent_id",
            "tool",
            "server",
            "session_id",
            "call_id",
            "cwd",
            "arguments/command",
            "arguments/command",
            "arguments/env",
            "arguments/env/hunter2",
            "arguments/env/hunter2/0",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn labels_are_bounded_and_printable() {
        for good in ["Bash", "mcp__github__create_issue", "toolu_01/α β", &"x".repeat(MAX_LABEL)]
        {
            assert!(Label::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a\nb", "\u{1b}[2J", &"x".repeat(MAX_LABEL + 1)] {
            assert!(Label::new(bad).is_err(), "{bad:?}");
        }
    }
}
