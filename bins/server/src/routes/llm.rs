//! `POST /llm/chat` and `GET /llm/status`: the model, once one is configured.

use actix_web::{HttpResponse, Responder, web};
use life_agent_engine::domain::command::{Chat, Message};
use serde::Deserialize;
use utoipa::ToSchema;

use super::schemas;
use crate::app::AppState;
use crate::errors::ApiError;
use crate::extract::{Authenticated, Body, Document, Faults, Strict};

/// Most messages of one conversation.
const MAX_MESSAGES: usize = 128;
/// Longest message, in characters.
const MAX_CONTENT: usize = 65_536;
const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

/// A conversation.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatBody {
    /// The conversation, oldest first.
    #[schema(value_type = Vec<ChatMessage>, required, nullable = false, min_items = 1, max_items = 128)]
    pub messages: Option<Vec<Strict<ChatMessage>>>,
}

/// One message of a conversation.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant` or `tool`.
    #[schema(required, nullable = false)]
    pub role: Option<String>,
    /// What was said.
    #[schema(required, nullable = false, min_length = 1, max_length = 65536)]
    pub content: Option<String>,
}

impl Document for ChatBody {
    type Checked = Chat;
    fn check(self, faults: &mut Faults) -> Option<Chat> {
        let messages = faults.required("messages", self.messages)?;
        if !(1..=MAX_MESSAGES).contains(&messages.len()) {
            faults.add("messages", format!("must have 1 to {MAX_MESSAGES} messages"));
            return None;
        }
        let messages = messages.into_iter().enumerate();
        let read: Vec<_> = messages.map(|(n, Strict(message))| message.check(n, faults)).collect();
        Some(Chat { messages: read.into_iter().collect::<Option<_>>()? })
    }
}

impl ChatMessage {
    fn check(self, index: usize, faults: &mut Faults) -> Option<Message> {
        let at = |field: &str| format!("messages.{index}.{field}");
        let role = faults.required(&at("role"), self.role).filter(|role| {
            let known = ROLES.contains(&role.as_str());
            if !known {
                faults.add(at("role"), "must be `system`, `user`, `assistant` or `tool`");
            }
            known
        });
        let content = faults.required(&at("content"), self.content);
        let content = content.and_then(|text| faults.length(&at("content"), text, 1..=MAX_CONTENT));
        Some(Message { role: role?, content: content? })
    }
}

/// Talk to the model
///
/// The conversation passes the gates first. Without a configured model the answer is 503
/// `llm_unconfigured`.
#[utoipa::path(
    post, path = "/llm/chat", tag = "model", operation_id = "llm_chat",
    request_body(content = ChatBody, example = json!({"messages": [{"role": "user", "content": "What is behind the gate?"}]})),
    responses(),
)]
pub async fn chat(
    state: web::Data<AppState>,
    body: Body<ChatBody>,
) -> Result<HttpResponse, ApiError> {
    match state.engine.chat(&body.caller, body.checked).await? {}
}

/// Whether a model answers, and which
#[utoipa::path(
    get, path = "/llm/status", tag = "model", operation_id = "llm_status",
    responses((status = 200, body = schemas::LlmStatus, description = "How the model is configured.", example = json!({
        "configured": false, "key_prefix": null, "model_default": "openai/gpt-oss-120b"
    }))),
)]
pub async fn status(state: web::Data<AppState>, _: Authenticated) -> impl Responder {
    HttpResponse::Ok().json(state.engine.llm_status())
}
