//! `Prefer: respond-async` on `POST /turn`, and `/turns/{id}`: turns that are taken later.

use actix_web::guard::GuardContext;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, Route, guard, web};
use life_agent_engine::domain::governance::event::Row;
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::observer::JobStatus;
use life_agent_engine::{Engine, EngineError, QueuedTurn, Turned, Wording};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::turn::{TurnAnswer, TurnBody};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::extract::{Authenticated, Body};
use crate::middleware::idempotency::PREFERENCE_APPLIED;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const RESPOND_ASYNC: &str = "respond-async";

/// What of a turn's row is no part of its answer.
const NOT_ANSWERED: [&str; 2] = ["input", "policy_hash"];

/// How the queue words what callers are answered.
pub const WORDING: Wording = Wording { turned, failed };

/// A turn that is taken later.
#[derive(Serialize, ToSchema)]
pub struct TurnLater {
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    status: &'static str,
    /// Its id.
    id: String,
    /// Whose turn it is.
    agent_id: String,
    /// When it was queued: RFC 3339, UTC.
    created: String,
    /// When its turn began.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished: Option<String>,
    /// What `POST /turn` would have answered, once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TurnAnswer>)]
    result: Option<Box<RawValue>>,
    /// Why it failed: `code`, `message` and perhaps `details`, as in the envelope of errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<Box<RawValue>>,
}

impl From<QueuedTurn> for TurnLater {
    fn from(queued: QueuedTurn) -> Self {
        let QueuedTurn { job, rows } = queued;
        let result = job.result.clone().or_else(|| {
            let answer = answer_of_rows(&job.agent_id, &job.input, &rows)?;
            to_raw_value(&answer).ok()
        });
        Self {
            status: job.status.as_str(),
            id: job.id,
            agent_id: job.agent_id,
            created: job.created,
            started: job.started,
            finished: job.finished,
            result,
            error: job.error,
        }
    }
}

/// `POST /turn` of callers who do not want to wait.
pub(super) fn queued() -> Vec<(Method, Route)> {
    let prefers = |request: &GuardContext<'_>| prefers_async(request.head().headers());
    vec![(Method::POST, Route::new().guard(guard::fn_guard(prefers)).to(queue_turn))]
}

async fn queue_turn(
    state: web::Data<AppState>,
    body: Body<TurnBody>,
) -> Result<HttpResponse, ApiError> {
    let queued = state.engine.queue_turn(&body.caller, body.checked).await?;
    let location = format!("/turns/{}", queued.job.id);
    Ok(HttpResponse::Accepted()
        .insert_header((header::LOCATION, location))
        .insert_header((PREFERENCE_APPLIED, RESPOND_ASYNC))
        .json(TurnLater::from(queued)))
}

/// A turn that was queued
///
/// Turns are queued by `POST /turn` with `Prefer: respond-async`. One that has ended is kept for seven
/// days. Each caller sees their own.
#[utoipa::path(
    get, path = "/turns/{id}", tag = "agents", operation_id = "queued_turn",
    params(("id" = String, Path, description = "The turn, from `Location`.")),
    responses((status = 200, body = TurnLater, description = "Where it stands.", example = json!({
        "status": "queued", "id": "019ab3c1-7a52-7cc0-a0a5-0c9d9c3c7c11", "agent_id": "hero",
        "created": "2026-11-23T00:05:10.000000Z"
    }))),
)]
pub async fn queued_turn(
    state: web::Data<AppState>,
    Authenticated(caller): Authenticated,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let found = state.engine.queued_turn(&caller, &id).await?;
    Ok(HttpResponse::Ok().json(TurnLater::from(found)))
}

/// Take a queued turn back
///
/// One that waits is cancelled at once (200). One that is being taken is told to end (202): it ends
/// `cancelled` with the state as before, unless its turn is on the record first. One that has ended
/// is 409.
#[utoipa::path(
    delete, path = "/turns/{id}", tag = "agents", operation_id = "cancel_turn",
    params(("id" = String, Path, description = "The turn, from `Location`.")),
    responses(
        (status = 200, body = TurnLater, description = "It is cancelled.", example = json!({
            "status": "cancelled", "id": "019ab3c1-7a52-7cc0-a0a5-0c9d9c3c7c11", "agent_id": "hero",
            "created": "2026-11-23T00:05:10.000000Z", "finished": "2026-11-23T00:05:12.000000Z"
        })),
        (status = 202, body = TurnLater, description = "It is told to end."),
    ),
)]
pub async fn cancel_turn(
    state: web::Data<AppState>,
    Authenticated(caller): Authenticated,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let found = state.engine.cancel_turn(&caller, &id).await?;
    let ended = found.job.status == JobStatus::Cancelled;
    let status = if ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(HttpResponse::build(status).json(TurnLater::from(found)))
}

/// Whether `Prefer` asks for `respond-async` (RFC 7240, sections 2 and 4.1); the first of several
/// preferences of one name counts, and this one has no value to differ in.
fn prefers_async(headers: &HeaderMap) -> bool {
    let sent = headers.get_all(PREFER).filter_map(|value: &HeaderValue| value.to_str().ok());
    sent.flat_map(|value| value.split(',')).any(|preference| {
        let name = preference.split([';', '=']).next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(RESPOND_ASYNC)
    })
}

fn turned(engine: &Engine, agent: &AgentId, turned: Turned) -> Box<RawValue> {
    let agent_id = engine.redact(agent.as_str());
    to_raw_value(&TurnAnswer::of(agent_id, turned)).unwrap_or_default()
}

fn failed(engine: &Engine, error: EngineError) -> Box<RawValue> {
    let error = ApiError::from(error).cleaned(&|text| engine.redact(text));
    to_raw_value(&error.kept()).unwrap_or_default()
}

/// The answer to a turn whose process ended before it had worded one: what its row keeps of it, and those
/// of what the model did in it, which led to another state.
fn answer_of_rows(agent_id: &str, input: &str, rows: &[Row]) -> Option<Value> {
    let data = |row: &Row| serde_json::from_str::<Map<String, Value>>(row.data.get()).ok();
    let (turn, acts) = rows.split_first()?;
    let mut answer = data(turn)?;
    let mut telling = answer.remove("telling").unwrap_or_default();
    answer.retain(|name, _| !NOT_ANSWERED.contains(&name.as_str()));
    answer.insert("status".to_owned(), "ok".into());
    answer.insert("echo".to_owned(), json!({ "agent_id": agent_id, "input": input }));
    answer.insert("event_id".to_owned(), turn.id.into());
    answer.entry("source").or_insert_with(|| "offline".into());
    if let Some(last) = acts.last() {
        let last = data(last)?;
        let after = ["state_version", "state_hash"];
        answer.extend(
            after.into_iter().filter_map(|name| Some((name.to_owned(), last.get(name)?.clone()))),
        );
    }
    for name in ["usage", "withheld"] {
        let told = telling.get_mut(name).map(Value::take).filter(|told| !told.is_null());
        answer.extend(told.map(|told| (name.to_owned(), told)));
    }
    let steps = telling.get_mut("steps").and_then(Value::as_array_mut).map(std::mem::take);
    let steps = answered_steps(steps.unwrap_or_default(), acts);
    if !steps.is_empty() {
        answer.insert("steps".to_owned(), steps.into());
    }
    Some(answer.into())
}

/// The calls of a turn as they are answered. Those that were acts have the rows in their order.
fn answered_steps(steps: Vec<Value>, acts: &[Row]) -> Vec<Value> {
    let mut acts = acts.iter();
    let answered = |mut step: Value| {
        let done = step["decision"] == "allow" && step["tool"] != "plan";
        if let Some(act) = done.then(|| acts.next()).flatten() {
            step["event_id"] = act.id.into();
        }
        if let Value::Object(fields) = &mut step {
            fields.retain(|name, _| !["found", "momentary"].contains(&name.as_str()));
        }
        step
    };
    steps.into_iter().map(answered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_found_among_others() {
        let prefers = |sent: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(PREFER, HeaderValue::from_static(value));
            }
            prefers_async(&headers)
        };
        for yes in [
            &["respond-async"][..],
            &["Respond-Async"],
            &["wait=10, respond-async"],
            &["respond-async; x=1"],
            &["return=minimal", "respond-async"],
            &["respond-async=\"\""],
        ] {
            assert!(prefers(yes), "{yes:?}");
        }
        for no in [&[][..], &["return=minimal"], &["respond-asynchronously"], &["x=respond-async"]]
        {
            assert!(!prefers(no), "{no:?}");
        }
    }
}
