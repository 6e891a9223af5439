//! `POST /mcp`: the service as an MCP server.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, Route, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, MAX_BODY, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, read_json};
use crate::http::middleware::envelope::Enveloped;
use crate::mcp;
use crate::state::AppState;

/// A JSON-RPC message of a client.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body")]
pub struct RpcMessage {
    /// Always `2.0`.
    #[schema(pattern = "^2\\.0$")]
    jsonrpc: String,
    /// A text or a whole number; absent in a notification.
    #[schema(value_type = Value, required = false)]
    id: Option<Value>,
    /// The method, such as `tools/call`.
    method: String,
    /// The parameters of the method.
    #[schema(value_type = Option<Object>, required = false)]
    params: Option<Value>,
}

/// A JSON-RPC message of the service: with `result`, or with `error`.
#[derive(Debug, Serialize, ToSchema)]
pub struct RpcReply {
    /// Always `2.0`.
    jsonrpc: String,
    /// The id of the request; absent if it could not be read.
    #[schema(value_type = Value, required = false)]
    id: Option<Value>,
    /// The result of the method.
    #[schema(value_type = Object, required = false)]
    result: Option<Value>,
    /// The error of the protocol: `code`, `message` and sometimes `data`.
    #[schema(value_type = Object, required = false)]
    error: Option<Value>,
}

/// `POST /mcp`.
pub static MCP: Endpoint =
    Endpoint::new("mcp", Verb::Post, "/mcp", Access::ACT, Effect::Reads, || Route::new().to(mcp))
        .bounded()
        .errors(&[Code::OriginForbidden, Code::Overloaded])
        .described(describe);

fn describe() -> Description {
    let error = |code: i64, message: &str| json!({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}});
    Description::new(Tag::Agents, "Call the service as an MCP server")
        .details(
            "The Model Context Protocol over Streamable HTTP, revision 2026-07-28 and the revisions that begin with \
             `initialize`. Each tool makes the call of one endpoint, with the same scopes, gates, limits and rows. \
             A refused call is a result with `isError` and the error of the endpoint.",
        )
        .open_body::<RpcMessage>(json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "act", "arguments": {"agent_id": "hero", "action": "explore"}}
        }))
        .json::<RpcReply>(200, "The response, or an error of the protocol.", Some(json!({
            "jsonrpc": "2.0", "id": 1,
            "result": {"content": [{"type": "text", "text": "{\"status\":\"ok\"}"}], "isError": false,
                       "_meta": {"event_id": 7, "hash": "a1b2…", "policy_hash": "5ee3…"}}
        })))
        .empty(202, "The message is a notification, which has no response.")
        .json::<RpcReply>(
            400,
            "The message is invalid, or its headers differ from it.",
            Some(error(-32600, "a message must be an object")),
        )
        .json::<RpcReply>(
            404,
            "The method is unknown, in revision 2026-07-28.",
            Some(error(-32601, "unknown method `prompts/list`")),
        )
}

async fn mcp(
    request: HttpRequest,
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    mcp::check_origin(&request, &state)?;
    let body = read_json(&request, payload.into_inner(), MAX_BODY).await?;
    let reply = mcp::respond(&request, &state, &grant, &body).await;
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    let Some(message) = reply.message else { return Ok(response.finish()) };
    let mut response = response.json(message);
    // An error of the protocol is complete as it is.
    response.extensions_mut().insert(Enveloped);
    Ok(response)
}
