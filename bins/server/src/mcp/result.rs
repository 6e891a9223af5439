//! Results of tools, from the responses of their endpoints.

use actix_web::web;
use serde_json::{Map, Value, json};

use super::call::Called;
use crate::http::errors::ApiError;
use crate::state::AppState;

/// The result of a tool. An error of the endpoint is a result too, so that a model can read it.
pub(super) async fn of(called: Called, state: &web::Data<AppState>) -> Map<String, Value> {
    let Called { status, body, is_replay } = called;
    let text = String::from_utf8_lossy(&body).into_owned();
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_error = !status.is_success();
    let row = if is_error { &value["error"]["details"]["event_id"] } else { &value["event_id"] };
    let mut meta = row_meta(state, row.as_u64()).await;
    if is_replay {
        meta.insert("life-agent/idempotency-replayed".to_owned(), true.into());
    }
    let mut result = content(&text, is_error);
    if !is_error && value.is_object() {
        result.insert("structuredContent".to_owned(), value);
    }
    result.insert("_meta".to_owned(), meta.into());
    result
}

/// The result of a call that did not reach its endpoint.
pub(super) fn failed(
    error: &ApiError,
    state: &web::Data<AppState>,
    id: &str,
) -> Map<String, Value> {
    let error = error.redacted(&|text| state.engine.redact(text));
    content(&json!(error.envelope(id)).to_string(), true)
}

fn content(text: &str, is_error: bool) -> Map<String, Value> {
    let content = json!([{"type": "text", "text": text}]);
    [("content".to_owned(), content), ("isError".to_owned(), is_error.into())].into_iter().collect()
}

/// The row of a call, its hash, and the policy that decided.
async fn row_meta(state: &web::Data<AppState>, row: Option<u64>) -> Map<String, Value> {
    let mut meta = Map::new();
    let found = match row {
        Some(id) => state.engine.journal().row(id).await.ok().flatten(),
        None => None,
    };
    let policy = match &found {
        Some(row) => row.envelope().map(|envelope| envelope.policy_hash.into_owned()).ok(),
        None => None,
    };
    if let Some(row) = found {
        meta.insert("event_id".to_owned(), row.id.into());
        meta.insert("hash".to_owned(), row.hash.into());
    }
    let policy = policy.unwrap_or_else(|| state.engine.policy_hash());
    meta.insert("policy_hash".to_owned(), policy.into());
    meta
}
