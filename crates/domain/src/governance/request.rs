//! A request of any kind, and its recorded form.

use serde::{Deserialize, Serialize};

use crate::governance::command::{Act, Chat, Command, Kind, Label, Message, Plan, Tool, Turn};
use crate::governance::ids::{ActionName, AgentId};
use crate::governance::payload::{Arguments, Payload};

/// A command of any kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// See [`Act`].
    Act(Act),
    /// See [`Turn`].
    Turn(Turn),
    /// See [`Plan`].
    Plan(Plan),
    /// See [`Chat`].
    Chat(Chat),
    /// See [`Tool`].
    Tool(Tool),
}

/// The body of a call, as a row keeps it.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum RequestBody<'a> {
    /// The body of an act.
    Act {
        /// The agent.
        agent_id: &'a str,
        /// The action.
        action: &'a str,
        /// The details.
        payload: &'a Payload,
    },
    /// The body of a turn.
    Turn {
        /// The agent.
        agent_id: &'a str,
        /// The text.
        input: &'a str,
    },
    /// The body of a plan.
    Plan {
        /// The purpose.
        intent: &'a str,
        /// Notes for reviewers.
        context: &'a str,
        /// The paths.
        target_paths: &'a [String],
    },
    /// The body of a chat.
    Chat {
        /// The conversation.
        messages: &'a [Message],
    },
    /// The body of a tool call.
    Tool {
        /// The agent.
        agent_id: &'a str,
        /// The tool.
        tool: &'a Label,
        /// The arguments.
        arguments: &'a Arguments,
        /// The MCP server.
        #[serde(skip_serializing_if = "Option::is_none")]
        server: Option<&'a Label>,
        /// The host's session.
        #[serde(skip_serializing_if = "Option::is_none")]
        session_id: Option<&'a Label>,
        /// The host's id for the call.
        #[serde(skip_serializing_if = "Option::is_none")]
        call_id: Option<&'a Label>,
        /// The working directory.
        #[serde(skip_serializing_if = "Option::is_none")]
        cwd: Option<&'a str>,
    },
}

impl<'a> From<Command<'a>> for RequestBody<'a> {
    fn from(command: Command<'a>) -> Self {
        match command {
            Command::Act(act) => RequestBody::Act {
                agent_id: act.agent.as_str(),
                action: act.action.as_str(),
                payload: &act.payload,
            },
            Command::Turn(turn) => {
                RequestBody::Turn { agent_id: turn.agent.as_str(), input: &turn.input }
            }
            Command::Plan(plan) => RequestBody::Plan {
                intent: &plan.intent,
                context: &plan.context,
                target_paths: &plan.targets,
            },
            Command::Chat(chat) => RequestBody::Chat { messages: &chat.messages },
            Command::Tool(tool) => RequestBody::Tool {
                agent_id: tool.agent.as_str(),
                tool: &tool.tool,
                arguments: &tool.arguments,
                server: tool.server.as_ref(),
                session_id: tool.session_id.as_ref(),
                call_id: tool.call_id.as_ref(),
                cwd: tool.cwd.as_deref(),
            },
        }
    }
}

impl Request {
    /// Reads a recorded body. The agent is part of the body in a denial's row, and a column of its own
    /// (`agent`) in the rows of steps.
    pub fn read(kind: Kind, agent: Option<&str>, body: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct AgentField {
            agent_id: AgentId,
        }
        let agent = || match agent {
            Some(id) => AgentId::new(id).map_err(serde::de::Error::custom),
            None => serde_json::from_str::<AgentField>(body).map(|field| field.agent_id),
        };
        Ok(match kind {
            Kind::Act => {
                #[derive(Deserialize)]
                struct Body {
                    action: ActionName,
                    payload: Payload,
                }
                let Body { action, payload } = serde_json::from_str(body)?;
                Request::Act(Act { agent: agent()?, action, payload })
            }
            Kind::Turn => {
                #[derive(Deserialize)]
                struct Body {
                    input: String,
                }
                let Body { input } = serde_json::from_str(body)?;
                Request::Turn(Turn { agent: agent()?, input })
            }
            Kind::Plan => {
                #[derive(Deserialize)]
                struct Body {
                    intent: String,
                    context: String,
                    target_paths: Vec<String>,
                }
                let Body { intent, context, target_paths: targets } = serde_json::from_str(body)?;
                Request::Plan(Plan { intent, context, targets })
            }
            Kind::Chat => {
                #[derive(Deserialize)]
                struct Body {
                    messages: Vec<Message>,
                }
                let Body { messages } = serde_json::from_str(body)?;
                Request::Chat(Chat { messages })
            }
            Kind::Tool => {
                #[derive(Deserialize)]
                struct Body {
                    tool: Label,
                    arguments: Arguments,
                    server: Option<Label>,
                    session_id: Option<Label>,
                    call_id: Option<Label>,
                    cwd: Option<String>,
                }
                let Body { tool, arguments, server, session_id, call_id, cwd } =
                    serde_json::from_str(body)?;
                let agent = agent()?;
                Request::Tool(Tool { agent, tool, server, arguments, session_id, call_id, cwd })
            }
        })
    }
}
