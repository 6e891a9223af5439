//! Resources: states, plans, rows and the policy, read through their endpoints.

use actix_web::{HttpRequest, web};
use life_agent_mcp::era::Era;
use life_agent_mcp::error::RpcError;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::call::{Call, Called};
use crate::http::endpoint::Endpoint;
use crate::http::errors::ApiError;
use crate::routes;
use crate::state::AppState;

const SCHEME: &str = "life-agent://";
const TYPE: &str = "application/json";
/// The code of a missing resource in the older era.
const NOT_FOUND: i64 = -32002;

/// The resources that exist once.
pub(super) fn list() -> Value {
    json!([{
        "uri": format!("{SCHEME}policy"), "name": "policy", "title": "The active policy",
        "description": "The rules that every call is subject to, with their hash.", "mimeType": TYPE,
    }])
}

/// The resources that exist for each agent, plan and row.
pub(super) fn templates() -> Value {
    let template = |kind: &str, parameter: &str, title: &str| {
        json!({
            "uriTemplate": format!("{SCHEME}{kind}/{{{parameter}}}"), "name": kind, "title": title,
            "mimeType": TYPE,
        })
    };
    json!([
        template("state", "agent", "The state of an agent"),
        template("plan", "id", "A change plan and its review"),
        template("row", "id", "A row of the journal"),
    ])
}

/// How a resource is read.
struct Source<'a> {
    endpoint: &'static Endpoint,
    path: Vec<(&'static str, &'a str)>,
    query: Value,
}

impl<'a> Source<'a> {
    fn of(uri: &'a str) -> Option<Self> {
        let name = uri.strip_prefix(SCHEME)?;
        let source = |endpoint, query| Self { endpoint, path: Vec::new(), query };
        match name.split_once('/') {
            None if name == "policy" => Some(source(&routes::policy::POLICY, json!({}))),
            Some(("state", agent)) if !agent.is_empty() => {
                Some(source(&routes::state::STATE, json!({"agent_id": agent})))
            }
            Some(("plan", id)) if !id.is_empty() => {
                let path = vec![("id", id)];
                Some(Self { path, ..source(&routes::plans::PLAN_VIEW, json!({})) })
            }
            Some(("row", id)) => {
                let before = id.parse::<u64>().ok()?.checked_sub(1)?;
                let query = json!({"after": before, "limit": 1});
                Some(source(&routes::journal::JOURNAL, query))
            }
            _ => None,
        }
    }
}

/// The contents of a resource.
pub(super) async fn read(
    uri: &str,
    era: Era,
    outer: &HttpRequest,
    state: &web::Data<AppState>,
) -> Result<Map<String, Value>, RpcError> {
    let source = Source::of(uri).ok_or_else(|| missing(uri, era))?;
    let arguments: Box<RawValue> =
        to_raw_value(&source.query).map_err(|error| RpcError::internal(error.to_string()))?;
    let call = Call {
        endpoint: source.endpoint,
        path: &source.path,
        arguments: &arguments,
        idempotency_key: None,
    };
    let Called { status, body, .. } =
        call.make(outer, state).await.map_err(|error| refused(&error))?;
    let text = String::from_utf8_lossy(&body).into_owned();
    if !status.is_success() {
        return Err(match status.as_u16() {
            404 | 422 => missing(uri, era),
            _ => of_envelope(&text),
        });
    }
    let text = match uri.strip_prefix("life-agent://row/") {
        Some(id) => row(&text, id).ok_or_else(|| missing(uri, era))?,
        None => text,
    };
    let contents = json!([{"uri": uri, "mimeType": TYPE, "text": text}]);
    Ok([("contents".to_owned(), contents)].into_iter().collect())
}

/// The only row of a page, if it has this number.
fn row(page: &str, id: &str) -> Option<String> {
    let page: Value = serde_json::from_str(page).ok()?;
    let row = page["events"].get(0)?;
    (row["id"].as_u64() == id.parse().ok()).then(|| row.to_string())
}

fn missing(uri: &str, era: Era) -> RpcError {
    let error = RpcError::invalid_params("resource not found").with_data(json!({"uri": uri}));
    match era {
        Era::Stateless => error,
        Era::Handshake => RpcError { code: NOT_FOUND, ..error },
    }
}

fn refused(error: &ApiError) -> RpcError {
    RpcError::internal(error.message()).with_data(json!({"code": error.code.as_str()}))
}

fn of_envelope(text: &str) -> RpcError {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let error = &value["error"];
    let message = error["message"].as_str().unwrap_or("the resource cannot be read");
    RpcError::internal(message).with_data(error.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_endpoints() {
        let operation = |uri: &str| Source::of(uri).map(|source| source.endpoint.operation);
        for (uri, expected) in [
            ("life-agent://policy", Some("policy")),
            ("life-agent://state/hero", Some("state")),
            ("life-agent://plan/k3v5", Some("plan_view")),
            ("life-agent://row/7", Some("journal")),
            ("life-agent://row/0", None),
            ("life-agent://row/x", None),
            ("life-agent://state/", None),
            ("life-agent://keys", None),
            ("file:///etc/passwd", None),
            ("", None),
        ] {
            assert_eq!(operation(uri), expected, "{uri}");
        }
    }
}
