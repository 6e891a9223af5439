//! The server side of the protocol: the response to each method.

use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, web};
use life_agent_mcp::era::{
    Era, HANDSHAKE, Headers, METHOD_HEADER, NAME_HEADER, SUPPORTED, VERSION_HEADER,
};
use life_agent_mcp::error::RpcError;
use life_agent_mcp::message::{Message, Request, success};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::call::{Call, path_arguments};
use super::{origin, resources, result, tools};
use crate::auth::grant::Grant;
use crate::http::errors::ApiError;
use crate::http::middleware::idempotency::IDEMPOTENCY_KEY;
use crate::http::middleware::request_id;
use crate::state::AppState;

/// How long a client may keep lists and the description of the server, in milliseconds.
const LIST_TTL: u64 = 60_000;
/// The metadata that works like the header `Idempotency-Key`.
const KEY_FIELD: &str = "life-agent/idempotency-key";
const SERVER_FIELD: &str = "io.modelcontextprotocol/serverInfo";
const INSTRUCTIONS: &str = "Acts and turns of agents, judged by a policy and recorded. A result with `isError` holds \
                            an error code and a message that states what to do next; do not work around a refusal.";

/// A response: its status and message; none for a notification.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The message.
    pub message: Option<Value>,
}

impl From<RpcError> for Response {
    fn from(error: RpcError) -> Self {
        Self { status: error.status, message: Some(error.response(None)) }
    }
}

/// Fails for a page of a foreign origin.
pub fn check_origin(request: &HttpRequest, state: &AppState) -> Result<(), ApiError> {
    origin::check(request, &state.allowed_origins)
}

/// The response to the message in `body`.
pub async fn respond(
    outer: &HttpRequest,
    state: &web::Data<AppState>,
    grant: &Grant,
    body: &[u8],
) -> Response {
    let request = match Message::read(body) {
        Ok(Message::Request(request)) => request,
        // The service sends no requests, so a response belongs to none.
        Ok(Message::Notification(_) | Message::Response) => {
            return Response { status: 202, message: None };
        }
        Err(error) => return error.into(),
    };
    if request.id.as_str().is_some_and(|id| state.engine.redact(id) != id) {
        return RpcError::invalid_request("`id` holds a credential; number the requests").into();
    }
    let values = [VERSION_HEADER, METHOD_HEADER, NAME_HEADER].map(|name| header(outer, name));
    let [version, method, name] = &values;
    let headers =
        Headers { version: version.as_deref(), method: method.as_deref(), name: name.as_deref() };
    let responded = match Era::of(&request, &headers) {
        Ok(era) => method_result(&request, era, outer, state, grant).await,
        Err(error) => Err(error),
    };
    match responded {
        Ok(result) => Response { status: 200, message: Some(success(&request.id, result)) },
        Err(error) => {
            // Messages repeat parts of the request.
            let error = error.with_texts(&|text| state.engine.redact(text));
            Response { status: error.status, message: Some(error.response(Some(&request.id))) }
        }
    }
}

/// The value of a header. Several values count as one that equals nothing in a body.
fn header(request: &HttpRequest, name: &str) -> Option<String> {
    let mut values = request.headers().get_all(name).map(|value| value.to_str().unwrap_or("\0"));
    let first = values.next()?;
    Some(if values.next().is_some() { "\0".to_owned() } else { first.to_owned() })
}

async fn method_result(
    request: &Request,
    era: Era,
    outer: &HttpRequest,
    state: &web::Data<AppState>,
    grant: &Grant,
) -> Result<Map<String, Value>, RpcError> {
    let params = &request.params;
    let uncursored = || match &params.cursor {
        Some(_) => Err(RpcError::invalid_params("unknown `cursor`; the list has one page")),
        None => Ok(()),
    };
    let listed = |name: &str, items: Value| {
        uncursored()?;
        Ok(cacheable(json!({ name: items }), era, LIST_TTL))
    };
    let result = match (request.method.as_str(), era) {
        ("server/discover", Era::Stateless) => cacheable(
            json!({
                "supportedVersions": SUPPORTED, "capabilities": capabilities(), "instructions": INSTRUCTIONS,
            }),
            era,
            LIST_TTL,
        ),
        ("initialize", Era::Handshake) => initialized(params.protocol_version.as_deref())?,
        ("ping", Era::Handshake) => Map::new(),
        ("tools/list", _) => listed("tools", tools::definitions(grant).into())?,
        ("tools/call", _) => tool_result(request, outer, state).await?,
        ("resources/list", _) => listed("resources", resources::list())?,
        ("resources/templates/list", _) => listed("resourceTemplates", resources::templates())?,
        ("resources/read", _) => {
            let uri = params.uri.as_deref();
            let uri = uri.ok_or_else(|| RpcError::invalid_params("`params.uri` is missing"))?;
            let contents = resources::read(uri, era, outer, state).await?;
            cacheable(contents.into(), era, 0)
        }
        (method, Era::Stateless) => return Err(RpcError::unknown_method(method, 404)),
        (method, Era::Handshake) => return Err(RpcError::unknown_method(method, 200)),
    };
    Ok(match era {
        Era::Stateless => complete(result),
        Era::Handshake => result,
    })
}

fn server_info() -> Value {
    json!({"name": "life-agent", "title": "life-agent", "version": env!("CARGO_PKG_VERSION")})
}

fn capabilities() -> Value {
    json!({"tools": {}, "resources": {}})
}

/// The end of the handshake. A client that requests an unknown version gets the latest one.
fn initialized(requested: Option<&str>) -> Result<Map<String, Value>, RpcError> {
    let requested =
        requested.ok_or_else(|| RpcError::invalid_params("`params.protocolVersion` is missing"))?;
    let version = HANDSHAKE.into_iter().find(|version| *version == requested);
    Ok(object(json!({
        "protocolVersion": version.unwrap_or(HANDSHAKE[0]), "capabilities": capabilities(),
        "serverInfo": server_info(), "instructions": INSTRUCTIONS,
    })))
}

async fn tool_result(
    request: &Request,
    outer: &HttpRequest,
    state: &web::Data<AppState>,
) -> Result<Map<String, Value>, RpcError> {
    let params = &request.params;
    let name = params.name.as_deref();
    let name = name.ok_or_else(|| RpcError::invalid_params("`params.name` is missing"))?;
    let endpoint = tools::endpoint(name)
        .ok_or_else(|| RpcError::invalid_params(format!("unknown tool `{name}`")))?;
    let none = RawValue::from_string("{}".to_owned());
    let none = none.map_err(|error| RpcError::internal(error.to_string()))?;
    let arguments = params.arguments.as_deref().unwrap_or(&none);
    if !arguments.get().starts_with('{') {
        return Err(RpcError::invalid_params("`params.arguments` must be an object"));
    }
    let idempotency_key = idempotency_key(request, outer)?;
    let made = async {
        let (path, rest) = path_arguments(endpoint, arguments)?;
        let path: Vec<_> = path.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let arguments = rest.as_deref().unwrap_or(arguments);
        Call { endpoint, path: &path, arguments, idempotency_key }.make(outer, state).await
    };
    Ok(match made.await {
        Ok(called) => result::of(called, state).await,
        Err(error) => result::failed(&error, state, &request_id::of(outer)),
    })
}

/// The key in the metadata, or else in the header.
fn idempotency_key(
    request: &Request,
    outer: &HttpRequest,
) -> Result<Option<HeaderValue>, RpcError> {
    let Some(key) = request.params.meta(KEY_FIELD) else {
        return Ok(outer.headers().get(IDEMPOTENCY_KEY).cloned());
    };
    let value = key.as_str().and_then(|key| HeaderValue::from_str(key).ok());
    let message = || format!("`_meta[\"{KEY_FIELD}\"]` must be 1 to 128 visible ASCII characters");
    value.map(Some).ok_or_else(|| RpcError::invalid_params(message()))
}

/// Adds what the newer era expects of every result.
fn complete(mut result: Map<String, Value>) -> Map<String, Value> {
    result.insert("resultType".to_owned(), "complete".into());
    let meta = result.entry("_meta").or_insert_with(|| json!({}));
    meta[SERVER_FIELD] = server_info();
    result
}

/// Adds the caching hints of the newer era. Every result may depend on the caller's key.
fn cacheable(result: Value, era: Era, ttl: u64) -> Map<String, Value> {
    let mut result = object(result);
    if era == Era::Stateless {
        result.insert("ttlMs".to_owned(), ttl.into());
        result.insert("cacheScope".to_owned(), "private".into());
    }
    result
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
