//! The model proxy under `/v1`: chat completions, responses, messages, embeddings and models, forwarded byte for
//! byte.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, Route};
use futures_util::stream::unfold;
use life_agent_engine::{
    ModelEndpoint, ProxyBody, ProxyError, ProxyEvent, ProxyReply, ProxyRequest, ProxyStream,
    Rejection,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, authenticate, read_stream};
use crate::http::middleware::envelope::Enveloped;
use crate::http::middleware::request_id;
use crate::http::model_stream;
use crate::state::AppState;
use crate::telemetry::traces;

/// What was changed in the request or in the response.
pub const CHANGED: HeaderName = HeaderName::from_static("x-life-agent-changed");
/// The code of the denial in whose place the response stands.
pub const WITHHELD: HeaderName = HeaderName::from_static("x-life-agent-withheld");
/// Largest body of a call with an `Idempotency-Key`, in bytes, and of all calls by default.
const MAX_MODEL_BODY: usize = 32 * 1024 * 1024;
/// Longest silence of a stream: then a comment says that the service is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(8);

/// A request for a model, as its API describes it. Every field reaches the provider as it is.
#[derive(Serialize, ToSchema)]
struct ModelRequest {
    /// The model; the policy's if it is missing.
    #[schema(min_length = 1, max_length = 256)]
    model: Option<String>,
    /// The conversation of chat completions and messages, oldest first.
    #[schema(value_type = Vec<Object>, min_items = 1)]
    messages: Option<Vec<Value>>,
    /// The input of responses and embeddings: a text or a list of items.
    #[schema(value_type = Object)]
    input: Option<Value>,
    /// Whether the response comes as server-sent events.
    stream: Option<bool>,
}

/// A response as the provider sent it.
#[derive(Serialize, ToSchema)]
struct ModelResponse {
    /// The provider's name for the response.
    id: Option<String>,
    /// The model that responded.
    model: Option<String>,
    /// The cost.
    #[schema(value_type = Object)]
    usage: Option<Value>,
}

macro_rules! forwards {
    ($($name:ident = $handler:ident, $operation:literal, $path:literal, $endpoint:ident, $summary:literal;)*) => {
        $(
            #[doc = concat!("`POST ", $path, "`.")]
            pub static $name: Endpoint = Endpoint::new(
                $operation,
                Verb::Post,
                $path,
                Access::ACT,
                Effect::Acts,
                || Route::new().to($handler),
            )
            .bounded()
            .idempotent()
            .max_body(MAX_MODEL_BODY)
            .errors(&[Code::LlmUnconfigured, Code::LlmFailed, Code::Timeout, Code::BudgetExceeded])
            .described(|| described($summary));

            async fn $handler(
                state: web::Data<AppState>,
                request: HttpRequest,
                payload: web::Payload,
            ) -> Result<HttpResponse, ApiError> {
                forward(ModelEndpoint::$endpoint, state, request, payload).await
            }
        )*
    };
}

forwards! {
    COMPLETIONS = completions, "chat_completions", "/v1/chat/completions", ChatCompletions, "Chat completions for OpenAI clients";
    RESPONSES = responses, "responses", "/v1/responses", Responses, "Responses for OpenAI clients";
    MESSAGES = messages, "messages", "/v1/messages", Messages, "Messages for Anthropic clients";
    COUNT_TOKENS = count_tokens, "count_tokens", "/v1/messages/count_tokens", CountTokens, "Count the tokens of messages";
    EMBEDDINGS = embeddings, "embeddings", "/v1/embeddings", Embeddings, "Embeddings for OpenAI clients";
    TEXT_COMPLETIONS = text_completions, "text_completions", "/v1/completions", Completions, "Text completions for OpenAI clients";
    MODERATIONS = moderations, "moderations", "/v1/moderations", Moderations, "Moderations for OpenAI clients";
    RERANK = rerank, "rerank", "/v1/rerank", Rerank, "Rerank documents";
    TRANSCRIPTIONS = transcriptions, "transcriptions", "/v1/audio/transcriptions", Transcriptions, "Transcriptions with a JSON body";
}

fn described(summary: &'static str) -> Description {
    Description::new(Tag::Model, summary)
        .details(
            "Point a client at this service's address plus `/v1` as its base URL, with one of this service's keys as \
             its key. The provider receives the bytes that were sent, and the response comes back as the provider \
             sent it. Every text of both passes the gates. If a credential had to be removed, the header \
             `X-Life-Agent-Changed` says so. A refused response is replaced by one in the client's own protocol \
             (`finish_reason: content_filter`, `stop_reason: refusal`), and `X-Life-Agent-Withheld` names the denial. \
             Errors of the provider keep its status, code and message; errors of this service have its envelope.",
        )
        .open_body::<ModelRequest>(json!({
            "model": "openai/gpt-oss-120b",
            "messages": [{"role": "user", "content": "What is behind the gate?"}]
        }))
        .json::<ModelResponse>(200, "The response is recorded.", Some(json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1795000000,
            "model": "openai/gpt-oss-120b",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "A road."},
                         "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
        })))
        .or_events(None)
}

/// `GET /v1/models`.
pub static MODELS: Endpoint = Endpoint::new(
    "models",
    Verb::Get,
    "/v1/models",
    Access::ACT,
    Effect::Reads,
    || Route::new().to(models),
)
.bounded()
.described(|| {
    Description::new(Tag::Model, "The models of all providers")
        .details(
            "The lists of all configured providers, limited to the models that the policy allows. If no provider \
             responds, the list holds the policy's model.",
        )
        .any_json(200, "The models.", json!({"object": "list", "data": [{"id": "openai/gpt-oss-120b", "object": "model"}]}))
});

/// `GET /v1/models/{id}`.
pub static MODEL: Endpoint =
    Endpoint::new("model", Verb::Get, "/v1/models/{id:.+}", Access::ACT, Effect::Reads, || {
        Route::new().to(model)
    })
    .bounded()
    .errors(&[Code::NotFound])
    .described(|| {
        Description::new(Tag::Model, "One model")
            .path_parameter("id", "The provider's name for the model.")
            .any_json(200, "The model.", json!({"id": "openai/gpt-oss-120b", "object": "model"}))
    });

async fn models(state: web::Data<AppState>, _: Authenticated) -> HttpResponse {
    HttpResponse::Ok().json(state.engine.models().await)
}

#[derive(Deserialize)]
struct ModelPath {
    id: String,
}

async fn model(
    state: web::Data<AppState>,
    _: Authenticated,
    path: web::Path<ModelPath>,
) -> Result<HttpResponse, ApiError> {
    match state.engine.model(&path.id).await {
        Some(model) => Ok(HttpResponse::Ok().json(model)),
        None => Err(ApiError::new(
            Code::NotFound,
            "no provider has this model; `GET /v1/models` lists them",
        )),
    }
}

async fn forward(
    endpoint: ModelEndpoint,
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    // The body is read only after authentication.
    let caller = authenticate(&request).await?.caller;
    let body = read_stream(&request, payload.into_inner(), state.max_model_body).await?.freeze();
    let headers = request.headers().iter().filter_map(|(name, value)| {
        let (name, value) = (name.as_str(), value.to_str().ok()?);
        ModelEndpoint::forwards_header(name, value).then(|| (name.to_owned(), value.to_owned()))
    });
    let asked = ProxyRequest { endpoint, body, headers: headers.collect() };
    let errors = Errors {
        endpoint,
        state: state.clone(),
        request_id: request_id::of(&request).as_ref().to_owned(),
        trace_id: traces::id_of(&request),
    };
    let engine = state.engine.clone();
    let bytes = asked.body.len();
    let replied = state.large.run(bytes, async move { engine.proxy(&caller, asked).await });
    match replied.await? {
        Ok(reply) => Ok(respond(reply, errors)),
        Err(error) => errors.response(error),
    }
}

fn respond(reply: ProxyReply, errors: Errors) -> HttpResponse {
    let ProxyReply { headers, changed, withheld, body } = reply;
    let mut response = match body {
        ProxyBody::Whole(body) => HttpResponse::Ok().content_type("application/json").body(body),
        ProxyBody::Stream(stream) => model_stream::respond(events(stream, errors)),
    };
    insert(&mut response, &headers);
    let list = response.headers_mut();
    if !changed.is_empty()
        && let Ok(changed) = HeaderValue::from_str(&changed.join(", "))
    {
        list.insert(CHANGED, changed);
    }
    if let Some(code) = withheld {
        list.insert(WITHHELD, HeaderValue::from_static(code));
    }
    response
}

/// Adds the provider's headers, except for those that the service sets itself.
fn insert(response: &mut HttpResponse, headers: &[(String, String)]) {
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
}

fn events(
    stream: ProxyStream,
    errors: Errors,
) -> impl futures_util::Stream<Item = Bytes> + 'static {
    unfold(Some((stream, errors)), |state| async move {
        let (mut stream, errors) = state?;
        match timeout(KEEP_ALIVE, stream.next()).await {
            Err(_) => Some((Bytes::from_static(b": keepalive\n\n"), Some((stream, errors)))),
            Ok(Some(ProxyEvent::Frames(frames))) => Some((frames, Some((stream, errors)))),
            Ok(Some(ProxyEvent::Failed(error))) => Some((errors.event(error), None)),
            Ok(None) => None,
        }
    })
}

/// Renders errors as the client's API has them.
struct Errors {
    endpoint: ModelEndpoint,
    state: web::Data<AppState>,
    request_id: String,
    trace_id: Option<String>,
}

impl Errors {
    fn response(&self, error: ProxyError) -> Result<HttpResponse, ApiError> {
        let rejection = self.sorted(error)?;
        let status = StatusCode::from_u16(rejection.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut response = HttpResponse::build(status).json(self.body(&rejection));
        insert(&mut response, &rejection.headers);
        if let Some(wait) = rejection.retry_after {
            let seconds = wait.as_secs_f64().ceil() as u64;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Enveloped);
        Ok(response)
    }

    fn event(&self, error: ProxyError) -> Bytes {
        let body = match self.sorted(error) {
            Ok(rejection) => self.body(&rejection),
            Err(error) => {
                let error = error.redacted(&|text| self.state.engine.redact(text));
                let envelope =
                    error.envelope(&self.request_id).with_trace(self.trace_id.as_deref());
                let mut body = serde_json::to_value(envelope).unwrap_or_default();
                if self.is_messages() {
                    body["type"] = "error".into();
                    body["error"]["type"] = "api_error".into();
                }
                body
            }
        };
        let name =
            if self.endpoint == ModelEndpoint::ChatCompletions { "" } else { "event: error\n" };
        Bytes::from(format!("{name}data: {body}\n\n"))
    }

    fn sorted(&self, error: ProxyError) -> Result<Rejection, ApiError> {
        match error {
            ProxyError::Rejected(rejection) => Ok(*rejection),
            ProxyError::Malformed(message) => Err(ApiError::new(Code::MalformedJson, message)),
            ProxyError::Invalid(faults) => Err(ApiError::validation(faults)),
            ProxyError::Engine(error) => Err(error.into()),
            _ => Err(ApiError::bare(Code::Internal)),
        }
    }

    fn is_messages(&self) -> bool {
        matches!(self.endpoint, ModelEndpoint::Messages | ModelEndpoint::CountTokens)
    }

    /// The provider's error, with the id of this request.
    fn body(&self, rejection: &Rejection) -> Value {
        let message = match rejection.message.as_str() {
            "" => format!("the model provider rejected the request (status {})", rejection.status),
            message => message.to_owned(),
        };
        let kind = rejection.kind.clone().unwrap_or_else(|| kind_of(rejection.status).to_owned());
        if self.is_messages() {
            let error = json!({"type": kind, "message": message});
            return json!({"type": "error", "error": error, "request_id": self.request_id});
        }
        json!({"error": {"message": message, "type": kind, "param": rejection.param, "code": rejection.code,
            "request_id": self.request_id}})
    }
}

/// The type of an error whose provider names none, as OpenAI and Anthropic name them.
fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "invalid_request_error",
    }
}
