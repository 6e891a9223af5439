//! `POST /llm/chat` and `GET /llm/status`: the model behind the gates.

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, Responder, Route};
use life_agent_engine::domain::governance::command::Message;
use life_agent_engine::{ChatEvent, ChatOutcome, ChatRequest, LlmStatus};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Gpt, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Body, Document, Faults, Strict};
use crate::http::model_stream;
use crate::state::AppState;

/// Most messages of one conversation.
const MAX_MESSAGES: usize = 256;
/// Longest message, in characters.
const MAX_CONTENT: usize = 65_536;
/// Longest name of a model, in characters.
const MAX_MODEL: usize = 128;
/// Largest `max_tokens`.
const MAX_TOKENS: u32 = 4096;
const ROLES: [&str; 3] = ["system", "user", "assistant"];

/// A conversation.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatBody {
    /// The conversation, oldest first.
    #[schema(value_type = Vec<ChatMessage>, required, nullable = false, min_items = 1, max_items = 256)]
    pub messages: Option<Vec<Strict<ChatMessage>>>,
    /// The provider's name for the model; the policy's model by default.
    #[schema(min_length = 1, max_length = 128)]
    pub model: Option<String>,
    /// 0 for the most deterministic response, up to 1 for the most varied; the policy's value by default.
    #[schema(minimum = 0, maximum = 1)]
    pub temperature: Option<f64>,
    /// Longest response, in tokens; the policy's value by default.
    #[schema(minimum = 1, maximum = 4096)]
    pub max_tokens: Option<u32>,
    /// Whether to stream the response as server-sent events: `delta` with more of the text in `content`, then `done`
    /// with the whole response, or `error` with the error envelope.
    pub stream: Option<bool>,
}

/// One message of a conversation.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    #[schema(required, nullable = false, pattern = "^(system|user|assistant)$")]
    pub role: Option<String>,
    /// The text of the message.
    #[schema(required, nullable = false, min_length = 1, max_length = 65536)]
    pub content: Option<String>,
}

/// A checked conversation, and whether to stream the response.
#[derive(Debug)]
pub struct ChatCall {
    pub(super) asked: ChatRequest,
    stream: bool,
}

impl Document for ChatBody {
    type Checked = ChatCall;
    fn check(self, faults: &mut Faults) -> Option<ChatCall> {
        let messages = faults.required("messages", self.messages);
        let messages = messages.and_then(|messages| conversation(messages, faults));
        if let Some(model) = &self.model {
            faults.length("model", model.clone(), 1..=MAX_MODEL);
        }
        if self.temperature.is_some_and(|t| !(0.0..=1.0).contains(&t)) {
            faults.add("temperature", "must be from 0 to 1");
        }
        if self.max_tokens.is_some_and(|n| !(1..=MAX_TOKENS).contains(&n)) {
            faults.add("max_tokens", format!("must be a number from 1 to {MAX_TOKENS}"));
        }
        let Self { model, temperature, max_tokens, .. } = self;
        let asked = ChatRequest { messages: messages?, model, temperature, max_tokens };
        Some(ChatCall { asked, stream: self.stream == Some(true) })
    }
}

fn conversation(messages: Vec<Strict<ChatMessage>>, faults: &mut Faults) -> Option<Vec<Message>> {
    if !(1..=MAX_MESSAGES).contains(&messages.len()) {
        faults.add("messages", format!("must have 1 to {MAX_MESSAGES} messages"));
        return None;
    }
    let messages = messages.into_iter().enumerate();
    let read: Vec<_> = messages.map(|(n, Strict(message))| message.check(n, faults)).collect();
    read.into_iter().collect()
}

impl ChatMessage {
    fn check(self, index: usize, faults: &mut Faults) -> Option<Message> {
        let at = |field: &str| format!("messages.{index}.{field}");
        let role = faults.required(&at("role"), self.role).filter(|role| {
            let known = ROLES.contains(&role.as_str());
            if !known {
                faults.add(at("role"), "must be `system`, `user` or `assistant`");
            }
            known
        });
        let content = faults.required(&at("content"), self.content);
        let content = content.and_then(|text| faults.length(&at("content"), text, 1..=MAX_CONTENT));
        Some(Message { role: role?, content: content? })
    }
}

/// `POST /llm/chat`.
pub static CHAT: Endpoint =
    Endpoint::new("llm_chat", Verb::Post, "/llm/chat", Access::ACT, Effect::Acts, || {
        Route::new().to(chat)
    })
    .bounded()
    .idempotent()
    .errors(&[
        Code::LlmUnconfigured,
        Code::LlmFailed,
        Code::Timeout,
        Code::BudgetExceeded,
        Code::ResponseWithheld,
    ])
    .described(describe_chat);

fn describe_chat() -> Description {
    Description::new(Tag::Model, "Chat with the model")
        .details(
            "The conversation passes the gates, and the model receives it without credentials. The model's response \
             passes the same gates: a denied response is withheld, and credentials are removed. A response means that \
             the exchange is recorded; a stream ends with `done` once it is. Without a configured model the response \
             is 503 `llm_unconfigured`.",
        )
        .body::<ChatBody>(json!({"messages": [{"role": "user", "content": "What is behind the gate?"}]}))
        .json::<ChatOutcome>(200, "The response has passed the gates and is recorded.", Some(json!({
            "model": "openai/gpt-oss-120b", "content": "A courtyard, and a person who waits.",
            "finish_reason": "stop",
            "usage": {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21}, "event_id": 12,
            "score": 0.0, "findings": [], "applied_policies": [], "would_deny": [],
            "answer_notes": {"score": 0.0, "findings": [], "applied_policies": [], "would_deny": []}
        })))
        .or_events(Some(json!("event: delta\ndata: {\"content\":\"A courtyard\"}\n\nevent: done\ndata: {}\n\n")))
}
async fn chat(
    state: web::Data<AppState>,
    body: Body<ChatBody>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    if !body.checked.stream {
        let chatted = body.run(&state, |engine, caller, call| async move {
            engine.chat(&caller, call.asked).await
        });
        return Ok(HttpResponse::Ok().json(chatted.await?));
    }
    let events =
        body.run(&state, |engine, caller, call| async move {
            engine.chat_events(&caller, call.asked).await
        })
        .await?;
    let errors = model_stream::StreamErrors::new(&state, &request);
    Ok(model_stream::respond(futures_util::stream::unfold(events, move |mut events| {
        let errors = errors.clone();
        async move {
            let (name, data) = match events.next().await? {
                ChatEvent::Delta(text) => ("delta", json!({ "content": text }).to_string()),
                ChatEvent::Done(chatted) => {
                    ("done", serde_json::to_string(&chatted).unwrap_or_default())
                }
                ChatEvent::Failed(error) => ("error", errors.line(error)),
            };
            Some((Bytes::from(format!("event: {name}\ndata: {data}\n\n")), events))
        }
    })))
}

/// `GET /llm/status`.
pub static STATUS: Endpoint =
    Endpoint::new("llm_status", Verb::Get, "/llm/status", Access::READ, Effect::Reads, || {
        Route::new().to(status)
    })
    .or_act()
    .gpt(Gpt::reads(
        "Call it to find out whether a language model is configured behind the service.",
    ))
    .described(describe_status);

fn describe_status() -> Description {
    Description::new(Tag::Model, "Read the configuration of the model").json::<LlmStatus>(
        200,
        "The configuration and condition of the model.",
        Some(json!({
            "configured": false, "key_prefix": null, "model_default": "openai/gpt-oss-120b",
            "base_host": null, "breaker": null, "under_way": 0, "limits": null
        })),
    )
}
async fn status(state: web::Data<AppState>, _: Authenticated) -> impl Responder {
    HttpResponse::Ok().json(state.engine.llm_status())
}
