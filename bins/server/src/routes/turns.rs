//! `Prefer: respond-async` on `POST /turn`, and `/turns/{id}`: queued turns.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, Route, web};
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::domain::governance::redaction::Redact;
use life_agent_engine::observer::JobStatus;
use life_agent_engine::{EngineError, QueuedTurn, ResultRenderer, TurnOutcome};
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::turn::{TurnAnswer, TurnBody};
use crate::http::accept::{PREFERENCE_APPLIED, RESPOND_ASYNC};
use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Body, Faults};
use crate::state::AppState;

/// How the queue renders responses.
pub const RENDERER: ResultRenderer = ResultRenderer { completed, failed };

/// A queued turn.
#[derive(Serialize, ToSchema)]
pub struct TurnLater {
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    status: &'static str,
    /// The ID of the turn.
    id: String,
    /// The agent.
    agent_id: String,
    /// When it was queued: RFC 3339, UTC.
    created: String,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    /// When it finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished: Option<String>,
    /// The response that `POST /turn` would have returned, once the turn is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TurnAnswer>)]
    result: Option<Box<RawValue>>,
    /// Why it failed: `code`, `message` and optional `details`, as in the error envelope.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<Box<RawValue>>,
}

impl From<QueuedTurn> for TurnLater {
    fn from(queued: QueuedTurn) -> Self {
        let QueuedTurn { job, recovered } = queued;
        let recovered = recovered.map(|turned| TurnAnswer::of(job.agent_id.clone(), turned));
        let result = job.result.or_else(|| to_raw_value(&recovered?).ok());
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

/// `POST /turn` with `Prefer: respond-async`.
pub(super) async fn queue_turn(
    state: &web::Data<AppState>,
    body: Body<TurnBody>,
) -> Result<HttpResponse, ApiError> {
    // The input waits in a column of its own.
    let mut faults = Faults::default();
    let input = faults.without_nul("input", body.checked.input.clone());
    faults.result(input)?;
    let queued = body
        .run(state, |engine, caller, turn| async move { engine.queue_turn(&caller, turn).await })
        .await?;
    let location = format!("/turns/{}", queued.job.id);
    Ok(HttpResponse::Accepted()
        .insert_header((header::LOCATION, location))
        .insert_header((PREFERENCE_APPLIED, RESPOND_ASYNC))
        .json(TurnLater::from(queued)))
}

/// `GET /turns/{id}`.
pub static QUEUED_TURN: Endpoint =
    Endpoint::new("queued_turn", Verb::Get, "/turns/{id}", Access::ACT, Effect::Reads, || {
        Route::new().to(queued_turn)
    })
    .bounded()
    .errors(&[Code::NotFound, Code::JournalUnavailable])
    .described(describe_queued_turn);

fn describe_queued_turn() -> Description {
    Description::new(Tag::Agents, "Read a queued turn")
        .details(
            "`POST /turn` with `Prefer: respond-async` queues turns. A finished turn is kept for seven days. Callers \
             see only their own turns.",
        )
        .path_parameter("id", "The ID of the turn, from `Location`.")
        .json::<TurnLater>(200, "The turn.", Some(json!({
            "status": "queued", "id": "019ab3c1-7a52-7cc0-a0a5-0c9d9c3c7c11", "agent_id": "hero",
            "created": "2026-11-23T00:05:10.000000Z"
        })))
}
async fn queued_turn(
    state: web::Data<AppState>,
    Authenticated { caller, .. }: Authenticated,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let found = state.engine.queued_turn(&caller, &id).await?;
    Ok(HttpResponse::Ok().json(TurnLater::from(found)))
}

/// `DELETE /turns/{id}`.
pub static CANCEL_TURN: Endpoint = Endpoint::new(
    "cancel_turn",
    Verb::Delete,
    "/turns/{id}",
    Access::ACT,
    Effect::Operates,
    || Route::new().to(cancel_turn),
)
.bounded()
.errors(&[Code::NotFound, Code::Conflict, Code::JournalUnavailable])
.described(describe_cancel_turn);

fn describe_cancel_turn() -> Description {
    Description::new(Tag::Agents, "Cancel a queued turn")
        .details(
            "A waiting turn is canceled immediately (200). A running turn is asked to stop (202): it ends as \
             `cancelled` with the state unchanged, unless it is recorded first. A finished turn is a conflict (409).",
        )
        .path_parameter("id", "The ID of the turn, from `Location`.")
        .json::<TurnLater>(200, "The turn is canceled.", Some(json!({
            "status": "cancelled", "id": "019ab3c1-7a52-7cc0-a0a5-0c9d9c3c7c11", "agent_id": "hero",
            "created": "2026-11-23T00:05:10.000000Z", "finished": "2026-11-23T00:05:12.000000Z"
        })))
        .json::<TurnLater>(202, "The turn is asked to stop.", None)
}
async fn cancel_turn(
    state: web::Data<AppState>,
    Authenticated { caller, .. }: Authenticated,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let found = state.engine.cancel_turn(&caller, &id).await?;
    let ended = found.job.status == JobStatus::Cancelled;
    let status = if ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(HttpResponse::build(status).json(TurnLater::from(found)))
}

fn completed(redactor: &dyn Redact, agent: &AgentId, turned: TurnOutcome) -> Box<RawValue> {
    let agent_id = redactor.redact(agent.as_str()).into_owned();
    to_raw_value(&TurnAnswer::of(agent_id, turned)).unwrap_or_default()
}

fn failed(redactor: &dyn Redact, error: EngineError) -> Box<RawValue> {
    let error = ApiError::from(error).redacted(&|text| redactor.redact(text).into_owned());
    to_raw_value(&error.stored()).unwrap_or_default()
}
