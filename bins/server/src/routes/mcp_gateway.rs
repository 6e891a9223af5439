//! `POST /mcp/{server}`: the gateway to the MCP servers that the policy names.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, Route};
use futures_util::StreamExt;
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::{GatewayBody, GatewayReply, GatewayRequest};
use life_agent_mcp::message::{Message, Request};
use serde_json::json;

use super::mcp::{RpcMessage, RpcReply};
use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Faults, read_json};
use crate::http::middleware::envelope::Enveloped;
use crate::http::model_stream;
use crate::mcp;
use crate::state::AppState;

/// Names the agent that calls; without it the key's name is the agent.
const AGENT_HEADER: HeaderName = HeaderName::from_static("x-agent-id");
const AGENT_FIELD: &str = "life-agent/agent-id";
/// The agent of a key whose name is no agent ID.
const NO_AGENT: &str = "mcp";
/// Largest message, in bytes: the arguments of a tool call and what is around them.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// `POST /mcp/{server}`.
pub static GATEWAY: Endpoint =
    Endpoint::new("mcp_gateway", Verb::Post, "/mcp/{server}", Access::ACT, Effect::Reads, || {
        Route::new().to(gateway)
    })
    .names_agent()
    .max_body(MAX_BODY)
    .bounded()
    .errors(&[
        Code::OriginForbidden,
        Code::NotFound,
        Code::Conflict,
        Code::JournalUnavailable,
        Code::Overloaded,
    ])
    .described(describe);

fn describe() -> Description {
    Description::new(Tag::Agents, "Call an MCP server through the gateway")
        .details(
            "Forwards a message to the MCP server of this name in the policy (`mcp.servers`). `tools/list` returns \
             the tools that the policy and the pins allow. Each `tools/call` is a tool call as in `/tool`: it is \
             judged, recorded before it is forwarded, and finished with the row of its result. A refused call is a \
             result with `isError`.",
        )
        .path_parameter("server", "The name of the server.")
        .header(
            "X-Agent-Id",
            "The agent that calls; the name of the key without it.",
            Some("^[A-Za-z0-9._:-]{1,64}$"),
        )
        .open_body::<RpcMessage>(json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "search", "arguments": {"query": "weather in Vienna"}}
        }))
        .json::<RpcReply>(
            200,
            "The response of the server, or an error of the protocol.",
            Some(json!({
                "jsonrpc": "2.0", "id": 1,
                "result": {"content": [{"type": "text", "text": "sunny"}], "isError": false,
                           "_meta": {"event_id": 12, "hash": "a1b2…", "result_event_id": 13}}
            })),
        )
        .or_events(None)
        .empty(202, "The message is a notification, which has no response.")
        .json::<RpcReply>(
            400,
            "The message is invalid, or its headers differ from it.",
            Some(json!({"jsonrpc": "2.0", "error": {"code": -32600, "message": "a message must be an object"}})),
        )
}

async fn gateway(
    request: HttpRequest,
    state: web::Data<AppState>,
    Authenticated { caller, grant }: Authenticated,
    server: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    mcp::check_origin(&request, &state)?;
    let body = read_json(&request, payload.into_inner(), MAX_BODY).await?.to_vec();
    let agent = agent(&request, &body, grant.principal.as_str())?;
    grant.check_agent(&agent)?;
    let headers = request.headers().iter().filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    let call =
        GatewayRequest { server: server.into_inner(), agent, body, headers: headers.collect() };
    let engine = state.engine.clone();
    let bytes = call.body.len();
    let reply = state.large.run(bytes, async move { engine.mcp(&caller, call).await }).await??;
    Ok(respond(reply, &state))
}

fn respond(reply: GatewayReply, state: &AppState) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = match reply.body {
        GatewayBody::Empty => HttpResponse::build(status).finish(),
        GatewayBody::Json(body) => {
            HttpResponse::build(status).insert_header(header::ContentType::json()).body(body)
        }
        GatewayBody::Events(receiver) => {
            let stopping = state.stopping.clone().cancelled_owned();
            let events = futures_util::stream::unfold(receiver, |mut receiver| async move {
                let piece = receiver.recv().await?;
                Some((Bytes::from(piece), receiver))
            });
            model_stream::respond(events.take_until(stopping))
        }
    };
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    // An error of the protocol is complete as it is.
    response.extensions_mut().insert(Enveloped);
    response
}

/// The agent in the message or in the header, or the one that the key stands for.
fn agent(request: &HttpRequest, body: &[u8], principal: &str) -> Result<AgentId, ApiError> {
    let in_message = match Message::read(body) {
        Ok(Message::Request(Request { params, .. })) => params.meta(AGENT_FIELD).cloned(),
        _ => None,
    };
    let in_header =
        request.headers().get(AGENT_HEADER).map(|value| value.to_str().unwrap_or_default());
    let (place, named) = match (&in_message, in_header) {
        (Some(agent), _) => (AGENT_FIELD, agent.as_str().unwrap_or_default()),
        (None, Some(agent)) => ("X-Agent-Id", agent),
        (None, None) => {
            let own = AgentId::new(principal).or_else(|_| AgentId::new(NO_AGENT));
            return own.map_err(|_| ApiError::bare(Code::Internal));
        }
    };
    AgentId::new(named).map_err(|error| {
        let mut faults = Faults::default();
        faults.add(place, error.to_string());
        match faults.result(None::<()>) {
            Err(error) => error,
            Ok(()) => ApiError::bare(Code::ValidationError),
        }
    })
}
