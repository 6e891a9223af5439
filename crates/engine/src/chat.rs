//! Model calls: chats, chat completions, and the calls behind narrations and drafts.

mod call;
mod failure;
mod fallback;
mod in_flight_calls;
mod model_calls;
mod provider;
mod stream;
pub(crate) mod stream_guard;
pub(crate) mod text_extraction;

use std::sync::Arc;
use std::time::Instant;

use life_agent_domain::governance::command::{Chat, Message};
use life_agent_domain::governance::event::TokenUsage;
use life_agent_domain::governance::gate::GateNotes;
use life_agent_groq::{self as groq, BreakerState, ChatMessage, Limits, seed};
use serde::Serialize;
use serde_json::json;

pub(crate) use call::{DEFAULT_PROVIDER, Deadline, ModelCall, Reply, is_rejection, tokens};
pub(crate) use failure::CallFailure;
pub(crate) use fallback::{fallback, goes_on};
pub(crate) use model_calls::ModelCalls;
pub(crate) use provider::{Both, OwnKey, Provider, with_version};
pub(crate) use stream::StreamItem;
use stream::{Piece, Pieces};
use text_extraction::body_of;

use crate::approvals::record_use;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::govern::{Governor, Metered};

/// Chats and chat completions.
pub(crate) struct ChatService {
    calls: Arc<ModelCalls>,
    governor: Arc<Governor>,
}

/// A conversation and the parameters of the call. The policy has the defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The provider's name for the model.
    pub model: Option<String>,
    /// 0 to 1.
    pub temperature: Option<f64>,
    /// Longest reply, in tokens.
    pub max_tokens: Option<u32>,
}

/// A durable reply that passed the gates.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChatOutcome {
    /// The model.
    pub model: String,
    /// The text, redacted.
    pub content: String,
    /// The reason for stopping: `stop`, or `length` at the token limit.
    pub finish_reason: Option<String>,
    /// The cost, if the provider reports it.
    pub usage: Option<TokenUsage>,
    /// The number of its row.
    pub event_id: u64,
    /// The findings in the conversation.
    #[serde(flatten)]
    pub notes: GateNotes,
    /// The findings in the reply.
    pub answer_notes: GateNotes,
}

/// A streamed reply. Dropping it does not end the call, which is recorded regardless.
pub struct ChatEvents(Pieces);

/// One event of a streamed reply.
#[derive(Debug)]
pub enum ChatEvent {
    /// More of the text, redacted.
    Delta(String),
    /// The reply is complete and durable.
    Done(Box<ChatOutcome>),
    /// The call failed. The last event.
    Failed(EngineError),
}

/// The provider of the model and its state.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LlmStatus {
    /// Whether a provider and a key are configured.
    pub configured: bool,
    /// The first characters of the key, the rest masked.
    pub key_prefix: Option<String>,
    /// The model of the policy.
    pub model_default: String,
    /// Host and port of the provider.
    pub base_host: Option<String>,
    /// The state of the circuit breaker.
    pub breaker: Option<BreakerState>,
    /// Calls in flight.
    pub under_way: usize,
    /// The limits in the provider's last response.
    pub limits: Option<Limits>,
}

impl ChatService {
    pub(crate) fn new(calls: Arc<ModelCalls>, governor: Arc<Governor>) -> Self {
        Self { calls, governor }
    }

    /// Calls the model. The reply is durable.
    pub(crate) async fn chat(
        &self,
        context: &RequestContext,
        asked: ChatRequest,
    ) -> Result<ChatOutcome, EngineError> {
        let call = self.chat_call(context, asked).await?;
        Ok(self.calls.run(call).await?.into())
    }

    /// Calls the model and streams the reply. Returns the errors that occur before the reply begins.
    pub(crate) async fn chat_events(
        &self,
        context: &RequestContext,
        asked: ChatRequest,
    ) -> Result<ChatEvents, EngineError> {
        let call = self.chat_call(context, asked).await?;
        Ok(ChatEvents(self.calls.stream(call).await?))
    }

    async fn chat_call(
        &self,
        context: &RequestContext,
        asked: ChatRequest,
    ) -> Result<ModelCall, EngineError> {
        let begun = Instant::now();
        let policy = self.governor.policy();
        let ChatRequest { model, temperature, max_tokens, .. } = &asked;
        let rest = || json!({"model": model, "temperature": temperature, "max_tokens": max_tokens});
        let chat = Chat { messages: asked.messages.clone() };
        let (permit, mut used) =
            self.governor.permit_asked(context, &policy, chat, Metered::Yes, &rest).await?;
        let llm = self.calls.provider()?;
        record_use(&mut used, context, &policy).await?;
        let defaults = &policy.snapshot.policy.llm;
        let redactor = policy.chain.redactor();
        let model = asked.model.unwrap_or_else(|| defaults.model.clone());
        let messages = permit.command().messages.iter();
        let request = groq::ChatRequest {
            model: redactor.redact(&model).into_owned(),
            messages: messages.map(|m| ChatMessage::new(&m.role, m.content.as_str())).collect(),
            temperature: Some(asked.temperature.unwrap_or(defaults.temperature)),
            max_completion_tokens: Some(asked.max_tokens.unwrap_or(defaults.max_tokens)),
            seed: Some(seed(llm.seed, context.principal.as_str(), 0)),
            ..groq::ChatRequest::default()
        };
        let body = body_of(&request, policy.chain.redactor())?;
        Ok(ModelCall::new(context, policy, permit, body, "/llm/chat", begun))
    }

    /// The provider and its state.
    pub(crate) fn status(&self) -> LlmStatus {
        let policy = self.governor.policy();
        let llm = self.calls.provider.as_ref();
        let status = llm.and_then(|llm| llm.status());
        LlmStatus {
            configured: llm.is_some(),
            key_prefix: status.as_ref().map(|status| status.key_prefix.clone()),
            model_default: policy.snapshot.policy.llm.model.clone(),
            base_host: llm.map(|llm| llm.base_host.clone()),
            breaker: status.as_ref().map(|status| status.breaker),
            under_way: status.as_ref().map_or(0, |status| status.under_way),
            limits: status.and_then(|status| status.limits),
        }
    }
}

impl ChatEvents {
    /// The next event; none after [`ChatEvent::Done`] or [`ChatEvent::Failed`].
    pub async fn next(&mut self) -> Option<ChatEvent> {
        loop {
            return Some(match self.0.next().await? {
                Piece::Text("content", text) => ChatEvent::Delta(text),
                // The reasoning of a model is not part of a chat.
                Piece::Begun | Piece::Text(..) => continue,
                Piece::Done(answered) => ChatEvent::Done(Box::new((*answered).into())),
                Piece::Failed(error) => ChatEvent::Failed(error),
            });
        }
    }
}

impl From<Reply> for ChatOutcome {
    fn from(answered: Reply) -> Self {
        let Reply { reply, event_id, notes, answer_notes } = answered;
        Self {
            model: reply.model,
            content: reply.content,
            finish_reason: reply.finish_reason,
            usage: reply.usage.map(Into::into),
            event_id,
            notes,
            answer_notes,
        }
    }
}
