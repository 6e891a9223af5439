//! `POST /v1/chat/completions`: the model for OpenAI clients.

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, Route};
use life_agent_engine::{Completion, CompletionEvent};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Body, Document, Faults};
use crate::http::model_stream;
use crate::state::AppState;

/// A request with all of its fields; unknown fields pass through.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct CompletionBody(Map<String, Value>);

impl Document for CompletionBody {
    type Checked = Completion;
    fn check(self, faults: &mut Faults) -> Option<Completion> {
        Completion::read(self.0)
            .map_err(|found| found.into_iter().for_each(|f| faults.add(f.path, f.message)))
            .ok()
    }
}

/// A request for a chat completion, as OpenAI specifies it; other fields pass through to the provider.
#[derive(Serialize, ToSchema)]
struct CompletionRequest {
    /// The conversation, oldest first. `content` is a text or a list of parts of type `text`; images, audio and files
    /// are rejected.
    #[schema(value_type = Vec<CompletionMessage>, min_items = 1, max_items = 256)]
    messages: Vec<Value>,
    /// The provider's name for the model; the policy's model by default.
    #[schema(min_length = 1, max_length = 128)]
    model: Option<String>,
    /// 0 to 2; the policy's value by default.
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f64>,
    /// Longest response, in tokens; the policy's value by default. `max_tokens` means the same.
    #[schema(minimum = 1, maximum = 8192)]
    max_completion_tokens: Option<u32>,
    /// Whether to stream the response in chunks.
    stream: Option<bool>,
    /// `{"include_usage": true}` adds a last chunk with the usage.
    #[schema(value_type = Object)]
    stream_options: Option<Value>,
    /// Tools that the model may call. The service never calls them.
    #[schema(value_type = Vec<Object>)]
    tools: Option<Value>,
    /// `none`, `auto`, `required` or one tool.
    #[schema(value_type = Object)]
    tool_choice: Option<Value>,
    /// The format of the response.
    #[schema(value_type = Object)]
    response_format: Option<Value>,
}

/// A message as OpenAI specifies it; other fields pass through.
#[derive(Serialize, ToSchema)]
struct CompletionMessage {
    /// The role of the author.
    #[schema(pattern = "^(system|developer|user|assistant|tool|function)$")]
    role: String,
    /// A text, or a list of parts of type `text`.
    #[schema(value_type = Option<Value>)]
    content: Option<Value>,
}

/// A chat completion as OpenAI specifies it, with everything that the provider sent.
#[derive(Serialize, ToSchema)]
struct CompletionAnswer {
    id: Option<String>,
    /// `chat.completion`
    object: String,
    /// The model that answered.
    model: String,
    /// One choice, with the message.
    #[schema(value_type = Vec<Object>)]
    choices: Vec<Value>,
    /// Tokens of the call.
    #[schema(value_type = Object)]
    usage: Option<Value>,
}

/// `POST /v1/chat/completions`.
pub static COMPLETIONS: Endpoint = Endpoint::new(
    "chat_completions",
    Verb::Post,
    "/v1/chat/completions",
    Access::ACT,
    Effect::Acts,
    || Route::new().to(completions),
)
.bounded()
.idempotent()
.errors(&[Code::LlmUnconfigured, Code::LlmFailed, Code::Timeout])
.described(describe);

fn describe() -> Description {
    Description::new(Tag::Model, "Chat completions for OpenAI clients")
        .details(
            "Point a client at this service's address plus `/v1` as its base URL, with one of this service's keys as \
             its key. Every text of the request passes the gates (messages, names, arguments of tool calls, tools, \
             schemas and unknown fields), as does every text of the response, and credentials are removed from both. \
             A finding in `messages/N` with N beyond the last message is in one of the other fields. Not supported: \
             `n` above 1, `logprobs`, and content that is not text. With `stream`, text is sent with a held-back tail, \
             and tool calls are sent whole. Errors use this service's envelope, in a stream as its last event.",
        )
        .open_body::<CompletionRequest>(json!({
            "model": "openai/gpt-oss-120b",
            "messages": [{"role": "user", "content": "What is behind the gate?"}]
        }))
        .json::<CompletionAnswer>(200, "The response is recorded.", Some(json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1795000000,
            "model": "openai/gpt-oss-120b",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "A road."},
                         "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
        })))
        .or_events(None)
}
async fn completions(
    state: web::Data<AppState>,
    body: Body<CompletionBody>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let Body { caller, checked } = body;
    if !checked.streams() {
        return Ok(HttpResponse::Ok().json(state.engine.completion(&caller, checked).await?));
    }
    let events = state.engine.completion_events(&caller, checked).await?;
    let errors = model_stream::StreamErrors::new(&state, &request);
    Ok(model_stream::respond(futures_util::stream::unfold(events, move |mut events| {
        let errors = errors.clone();
        async move {
            let text = match events.next().await? {
                CompletionEvent::Chunk(chunk) => format!("data: {chunk}\n\n"),
                CompletionEvent::Done => "data: [DONE]\n\n".to_owned(),
                CompletionEvent::Failed(error) => format!("data: {}\n\n", errors.line(error)),
            };
            Some((Bytes::from(text), events))
        }
    })))
}
