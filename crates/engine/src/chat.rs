//! `chat`: talk to the model.

use std::time::Instant;

use life_agent_domain::governance::command::{Chat, Message};
use life_agent_groq::{BreakerState, ChatMessage, ChatRequest, Limits, Usage, seed};
use serde::Serialize;

use crate::answers::GateNotes;
use crate::engine::{Caller, Engine};
use crate::error::EngineError;
use crate::llm::{Answered, Exchange, Piece, Pieces, body_of};

/// A conversation, and how the model is to be asked; what is left out is as the policy says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatAsked {
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The provider's name for the model.
    pub model: Option<String>,
    /// 0 to 1.
    pub temperature: Option<f64>,
    /// Longest answer, in tokens.
    pub max_tokens: Option<u32>,
}

/// An answer of the model that has passed the gates and is on the record.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Chatted {
    /// The model that answered.
    pub model: String,
    /// What it says, without credentials.
    pub content: String,
    /// Why it stopped: `stop`, or `length` when it reached the longest answer.
    pub finish_reason: Option<String>,
    /// Its cost, where the provider tells.
    pub usage: Option<Usage>,
    /// The number of its row.
    pub event_id: u64,
    /// What the gates noted about the conversation.
    #[serde(flatten)]
    pub notes: GateNotes,
    /// What the gates noted about the answer.
    pub answer_notes: GateNotes,
}

/// A streamed answer. Leaving it does not end the exchange, which is recorded all the same.
pub struct ChatEvents(Pieces);

/// One event of a streamed answer.
#[derive(Debug)]
pub enum ChatEvent {
    /// More of the text, redacted.
    Delta(String),
    /// All of it, on the record.
    Done(Box<Chatted>),
    /// It ends here; nothing comes after this.
    Failed(EngineError),
}

/// Whether a model answers, and how its provider fares.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LlmStatus {
    /// Whether a provider and a key are configured.
    pub configured: bool,
    /// The first characters of the key, the rest masked; none without a key.
    pub key_prefix: Option<String>,
    /// The model that the policy names.
    pub model_default: String,
    /// Host and port of the provider.
    pub base_host: Option<String>,
    /// Whether the provider is left alone for now because it failed again and again.
    pub breaker: Option<BreakerState>,
    /// Calls under way.
    pub under_way: usize,
    /// The limits that the provider told with its last answer.
    pub limits: Option<Limits>,
}

impl Engine {
    /// Lets the model answer a conversation. The answer means that the exchange is durable.
    pub async fn chat(&self, caller: &Caller, asked: ChatAsked) -> Result<Chatted, EngineError> {
        let exchange = self.chat_exchange(caller, asked).await?;
        Ok(self.exchange(exchange).await?.into())
    }

    /// The same in pieces; what goes wrong before the answer begins is an error here.
    pub async fn chat_events(
        &self,
        caller: &Caller,
        asked: ChatAsked,
    ) -> Result<ChatEvents, EngineError> {
        let exchange = self.chat_exchange(caller, asked).await?;
        Ok(ChatEvents(self.stream(exchange).await?))
    }

    async fn chat_exchange(
        &self,
        caller: &Caller,
        asked: ChatAsked,
    ) -> Result<Exchange, EngineError> {
        let begun = Instant::now();
        let policy = self.policy.in_force();
        let permit = self.permit(caller, &policy, Chat { messages: asked.messages }).await?;
        let llm = self.llm.as_ref().ok_or(EngineError::LlmUnconfigured)?;
        let defaults = &policy.snapshot.policy.llm;
        let redactor = policy.chain.redactor();
        let model = asked.model.unwrap_or_else(|| defaults.model.clone());
        let messages = permit.command().messages.iter();
        let request = ChatRequest {
            model: redactor.redact(&model).into_owned(),
            messages: messages.map(|m| ChatMessage::new(&m.role, m.content.as_str())).collect(),
            temperature: Some(asked.temperature.unwrap_or(defaults.temperature)),
            max_completion_tokens: Some(asked.max_tokens.unwrap_or(defaults.max_tokens)),
            seed: Some(seed(llm.seed, caller.principal.as_str(), 0)),
            ..ChatRequest::default()
        };
        let body = body_of(&request, policy.chain.redactor())?;
        Ok(Exchange::new(caller, policy, permit, body, "/llm/chat", begun))
    }

    /// Whether a model answers, and which.
    pub fn llm_status(&self) -> LlmStatus {
        let policy = self.policy.in_force();
        let llm = self.llm.as_ref();
        let status = llm.map(|llm| llm.status());
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

    /// Cuts exchanges and queued turns short that still wait for the model: each is recorded, and its
    /// caller told that the service stops. [`Engine::close`] does so too, for those that are left.
    pub fn stop_exchanges(&self) {
        self.exchanges.stop();
        self.queue.cut();
    }
}

impl ChatEvents {
    /// The next event; none after [`ChatEvent::Done`] or [`ChatEvent::Failed`].
    pub async fn next(&mut self) -> Option<ChatEvent> {
        loop {
            return Some(match self.0.next().await? {
                Piece::Text("content", text) => ChatEvent::Delta(text),
                // What a model thinks before it answers is not asked for here.
                Piece::Begun(_) | Piece::Text(..) => continue,
                Piece::Done(answered) => ChatEvent::Done(Box::new((*answered).into())),
                Piece::Failed(error) => ChatEvent::Failed(error),
            });
        }
    }
}

impl From<Answered> for Chatted {
    fn from(answered: Answered) -> Self {
        let Answered { reply, event_id, notes, answer_notes } = answered;
        Self {
            model: reply.model,
            content: reply.content,
            finish_reason: reply.finish_reason,
            usage: reply.usage,
            event_id,
            notes,
            answer_notes,
        }
    }
}
