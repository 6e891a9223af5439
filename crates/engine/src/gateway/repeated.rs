//! Calls with an idempotency key: the same call is forwarded once and has one result.

use life_agent_mcp::message::Request;
use life_agent_mcp::object::RawObject;
use life_agent_observer::StoredResponse;
use serde_json::{Value, json};

use super::call::{add_meta, error_result};
use super::{GatewayRequest, GatewayService};
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::idempotency::{Claim, Effect, KeyedCall, Mark};

/// The metadata that names a call so that it can be repeated.
pub(super) const KEY_FIELD: &str = "life-agent/idempotency-key";
/// Longest key, in bytes.
const MAX_KEY: usize = 128;

/// What a call with a key is.
pub(super) enum Claimed {
    /// The call has no key.
    None,
    First(Mark),
    /// The result of an earlier call with the key, or why there is none.
    Reply(RawObject),
}

/// Claims the key of a call, if it has one.
pub(super) async fn claim(
    gateway: &GatewayService,
    context: &RequestContext,
    request: &GatewayRequest,
    call: &Request,
    params: &RawObject,
) -> Result<Claimed, EngineError> {
    let header = request.headers.iter().find(|(name, _)| name == "idempotency-key");
    let key = match call.params.meta(KEY_FIELD) {
        Some(key) => Some(key.as_str().unwrap_or_default()),
        None => header.map(|(_, value)| value.as_str()),
    };
    let Some(key) = key else { return Ok(Claimed::None) };
    let reply = |code: &str, message: &str| {
        let result = error_result(&json!({"error": {"code": code, "message": message}}));
        Ok(Claimed::Reply(result))
    };
    if !(1..=MAX_KEY).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return reply(
            "validation_error",
            "the idempotency key must be 1 to 128 visible ASCII characters",
        );
    }
    // The id and the metadata of a repeated call differ.
    let arguments = params.get("arguments").map(serde_json::value::RawValue::get);
    let body = format!(
        "{} {}",
        call.params.name.as_deref().unwrap_or_default(),
        arguments.unwrap_or("{}")
    );
    let keyed = KeyedCall { method: "mcp", path: &request.server, key, body: body.as_bytes() };
    match gateway.0.idempotency.claim(context, keyed).await? {
        Claim::First(mark) => Ok(Claimed::First(mark)),
        Claim::Answered(answer) => {
            let text = String::from_utf8_lossy(&answer.body);
            let mut result = RawObject::read(&text).unwrap_or_default();
            add_meta(&mut result, [("life-agent/idempotency-replayed", Value::Bool(true))]);
            Ok(Claimed::Reply(result))
        }
        Claim::OtherBody => {
            let message =
                "this key was used before with other arguments; send a new key with these";
            reply("idempotency_mismatch", message)
        }
        Claim::UnderWay => reply("conflict", "the first call with this key is still in progress"),
        Claim::Unanswered(Effect::Row(row)) => {
            let result = row.to_string();
            let result = KeyedCall { method: "tool", path: "result", key: &result, body: b"" };
            let message = match gateway.0.idempotency.row_of(context, result).await? {
                Some(result) => format!(
                    "the call with this key was made and its result is on the record, but the response was lost; see \
                     rows {row} and {result}, and send a new key to call again"
                ),
                None => format!(
                    "the call with this key was forwarded, but its outcome is unknown; see row {row}, and send a \
                     new key to call again"
                ),
            };
            reply("conflict", &message)
        }
        Claim::Unanswered(Effect::Job(_)) => {
            reply("conflict", "this key was used for another request")
        }
    }
}

/// Stores a result for repetitions of its call.
pub(super) async fn keep(gateway: &GatewayService, mark: Option<Mark>, result: &RawObject) {
    let (Some(mark), Ok(body)) = (mark, result.raw()) else { return };
    if !mark.is_taken() {
        return;
    }
    // The caller gets the result as it is; the database must not hold its secrets.
    let value: Option<Value> = serde_json::from_str(body.get()).ok();
    let body = match value.and_then(|value| gateway.clean(&value)) {
        Some(clean) => clean.to_string().into_bytes(),
        None => body.get().as_bytes().to_vec(),
    };
    let headers = "content-type: application/json".to_owned();
    let answer = StoredResponse { status: 200, headers, body };
    if let Err(error) = gateway.0.idempotency.keep_answer(mark, answer).await {
        tracing::warn!(%error, "the result of a call with an idempotency key could not be stored");
    }
}
