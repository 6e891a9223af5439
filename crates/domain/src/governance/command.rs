//! The requests that pass the gates: their types, and the view that gates and rules judge.

use serde::{Deserialize, Serialize};

use crate::governance::ids::{ActionName, AgentId};
use crate::governance::payload::Payload;
use crate::governance::redaction::{Redact, redact_owned};

mod subject;
mod tool;

pub(crate) use subject::Computed;
pub use subject::Subject;
pub use tool::{BadLabel, Label, MAX_LABEL, Tool};

/// The kinds of request that pass the gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = CheckKind))]
pub enum Kind {
    /// Apply a named action to an agent.
    Act,
    /// Free text that an agent answers.
    Turn,
    /// A change to the workspace, as a plan.
    Plan,
    /// A conversation with the model.
    Chat,
    /// A call of a tool that runs outside the service.
    Tool,
}

impl Kind {
    /// All of them, for tables and labels.
    pub const ALL: [Kind; 5] = [Kind::Act, Kind::Turn, Kind::Plan, Kind::Chat, Kind::Tool];

    /// The name used in policies, rows and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Act => "act",
            Kind::Turn => "turn",
            Kind::Plan => "plan",
            Kind::Chat => "chat",
            Kind::Tool => "tool",
        }
    }
}

/// Apply `action` to `agent`.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// Whose state it is.
    pub agent: AgentId,
    /// What is done; one that the profile does not know is recorded and costs nothing.
    pub action: ActionName,
    /// Free-form details, recorded with the step.
    pub payload: Payload,
}

/// Let `agent` answer `input`.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Whose turn it is.
    pub agent: AgentId,
    /// Free text, 1–8,192 characters.
    pub input: String,
}

/// Intend a change to `targets`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What the change is for, in a line.
    pub intent: String,
    /// Whatever a reviewer should know.
    pub context: String,
    /// Paths relative to the workspace, as the caller wrote them.
    pub targets: Vec<String>,
}

/// Talk to the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// A borrowed view of any command, for the gates.
#[derive(Debug, Clone, Copy)]
pub enum Command<'a> {
    /// See [`Act`].
    Act(&'a Act),
    /// See [`Turn`].
    Turn(&'a Turn),
    /// See [`Plan`].
    Plan(&'a Plan),
    /// See [`Chat`].
    Chat(&'a Chat),
    /// See [`Tool`].
    Tool(&'a Tool),
}

/// Which text of a command a finding is about. Offsets of a finding count from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `agent_id`
    Agent,
    /// `action`
    Action,
    /// The n-th of [`Payload::texts`].
    Payload(usize),
    /// `input`
    Input,
    /// `intent`
    Intent,
    /// `context`
    Context,
    /// The content of the n-th message.
    Message(usize),
    /// The n-th target path.
    Target(usize),
    /// `tool`
    Tool,
    /// `server`
    Server,
    /// `session_id`
    Session,
    /// `call_id`
    Call,
    /// `cwd`
    Cwd,
    /// The n-th text of a tool call's arguments; see [`BoundedObject::texts`].
    ///
    /// [`BoundedObject::texts`]: crate::governance::payload::BoundedObject::texts
    Argument(usize),
}

impl<'a> Command<'a> {
    /// The kind of the request.
    pub fn kind(self) -> Kind {
        match self {
            Command::Act(_) => Kind::Act,
            Command::Turn(_) => Kind::Turn,
            Command::Plan(_) => Kind::Plan,
            Command::Chat(_) => Kind::Chat,
            Command::Tool(_) => Kind::Tool,
        }
    }

    /// The agent concerned, where there is one.
    pub fn agent(self) -> Option<&'a AgentId> {
        match self {
            Command::Act(act) => Some(&act.agent),
            Command::Turn(turn) => Some(&turn.agent),
            Command::Tool(tool) => Some(&tool.agent),
            Command::Plan(_) | Command::Chat(_) => None,
        }
    }

    /// The paths it is about; empty for all but plans.
    pub fn targets(self) -> &'a [String] {
        match self {
            Command::Plan(plan) => &plan.targets,
            _ => &[],
        }
    }

    /// Every text a caller wrote, target paths aside (those are judged as paths).
    pub fn texts(self) -> Vec<(Field, &'a str)> {
        match self {
            Command::Act(act) => {
                let mut leaves = Vec::new();
                act.payload.texts(&mut leaves);
                let names =
                    [(Field::Agent, act.agent.as_str()), (Field::Action, act.action.as_str())];
                let leaves = leaves.into_iter().enumerate();
                names.into_iter().chain(leaves.map(|(n, text)| (Field::Payload(n), text))).collect()
            }
            Command::Turn(turn) => {
                vec![(Field::Agent, turn.agent.as_str()), (Field::Input, turn.input.as_str())]
            }
            Command::Plan(plan) => {
                vec![(Field::Intent, plan.intent.as_str()), (Field::Context, plan.context.as_str())]
            }
            Command::Chat(chat) => {
                let messages = chat.messages.iter().enumerate();
                messages.map(|(n, message)| (Field::Message(n), message.content.as_str())).collect()
            }
            Command::Tool(tool) => tool.texts(),
        }
    }

    /// Bytes of the texts whose size only the body bounds; 0 for kinds with a small bound.
    pub fn weight(self) -> usize {
        match self {
            Command::Act(_) | Command::Turn(_) => 0,
            Command::Plan(plan) => plan.intent.len() + plan.context.len(),
            Command::Chat(chat) => chat.messages.iter().map(|message| message.content.len()).sum(),
            Command::Tool(tool) => tool.arguments.weight(),
        }
    }

    /// How callers know the field: a key of the request body, with a JSON pointer below it.
    pub fn field_name(self, field: Field) -> String {
        match (field, self) {
            (Field::Payload(n), Command::Act(act)) => format!("payload{}", act.payload.pointer(n)),
            (Field::Payload(_), _) => "payload".to_owned(),
            (Field::Agent, _) => "agent_id".to_owned(),
            (Field::Action, _) => "action".to_owned(),
            (Field::Input, _) => "input".to_owned(),
            (Field::Intent, _) => "intent".to_owned(),
            (Field::Context, _) => "context".to_owned(),
            (Field::Message(n), _) => format!("messages/{n}/content"),
            (Field::Target(n), _) => format!("target_paths/{n}"),
            (Field::Tool, _) => "tool".to_owned(),
            (Field::Server, _) => "server".to_owned(),
            (Field::Session, _) => "session_id".to_owned(),
            (Field::Call, _) => "call_id".to_owned(),
            (Field::Cwd, _) => "cwd".to_owned(),
            (Field::Argument(n), Command::Tool(tool)) => {
                format!("arguments{}", tool.arguments.pointer(n))
            }
            (Field::Argument(_), _) => "arguments".to_owned(),
        }
    }
}

/// A command that the chain can judge and then strip of secrets.
pub trait Gated: Send + Sync + 'static {
    /// The view that gates judge.
    fn view(&self) -> Command<'_>;
    /// The same command without its secrets.
    fn redacted(self, redactor: &dyn Redact) -> Self;
    /// The texts that are read one after another, in order: a credential may be split over them.
    fn adjoining(&mut self) -> Vec<&mut String> {
        Vec::new()
    }
}

/// A command without its secrets, also those that lie across several of its texts.
pub fn without_secrets<C: Gated>(mut command: C, redactor: &dyn Redact) -> C {
    redactor.redact_across(&mut command.adjoining());
    command.redacted(redactor)
}

impl Gated for Act {
    fn view(&self) -> Command<'_> {
        Command::Act(self)
    }
    fn redacted(self, redactor: &dyn Redact) -> Self {
        Act {
            agent: self.agent.redacted(redactor),
            action: self.action.redacted(redactor),
            payload: self.payload.redacted(redactor),
        }
    }
    fn adjoining(&mut self) -> Vec<&mut String> {
        self.payload.values_mut()
    }
}

impl Gated for Turn {
    fn view(&self) -> Command<'_> {
        Command::Turn(self)
    }
    fn redacted(self, redactor: &dyn Redact) -> Self {
        Turn { agent: self.agent.redacted(redactor), input: redact_owned(self.input, redactor) }
    }
}

impl Gated for Plan {
    fn view(&self) -> Command<'_> {
        Command::Plan(self)
    }
    fn redacted(self, redactor: &dyn Redact) -> Self {
        Plan {
            intent: redact_owned(self.intent, redactor),
            context: redact_owned(self.context, redactor),
            targets: self.targets.into_iter().map(|path| redact_owned(path, redactor)).collect(),
        }
    }
    fn adjoining(&mut self) -> Vec<&mut String> {
        [&mut self.intent, &mut self.context].into_iter().chain(&mut self.targets).collect()
    }
}

impl Gated for Chat {
    fn view(&self) -> Command<'_> {
        Command::Chat(self)
    }
    fn redacted(self, redactor: &dyn Redact) -> Self {
        let message = |message: Message| Message {
            role: redact_owned(message.role, redactor),
            content: redact_owned(message.content, redactor),
        };
        Chat { messages: self.messages.into_iter().map(message).collect() }
    }
    fn adjoining(&mut self) -> Vec<&mut String> {
        self.messages.iter_mut().map(|message| &mut message.content).collect()
    }
}
