//! `GET /stops` and `POST /stops`: kill switches of one agent or one principal.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::{StopStatus, StopTarget};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Body, Document, Faults};
use crate::state::AppState;

/// Longest reason, in characters.
const MAX_REASON: usize = 1024;
/// Longest name of a principal, in characters.
const MAX_NAME: usize = 256;

/// A stop or its release.
#[derive(Debug, Deserialize, ToSchema)]
pub struct StopBody {
    /// The agent. Name either an agent or a principal.
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9._:-]{1,64}$")]
    agent: Option<AgentId>,
    /// The principal: the name of a key.
    #[schema(min_length = 1, max_length = 256)]
    principal: Option<String>,
    /// Whether to stop it; `false` releases it.
    #[schema(required, nullable = false)]
    on: Option<bool>,
    /// The reason; denied callers read it.
    #[schema(max_length = 1024)]
    reason: Option<String>,
}

/// What to stop or release, and why.
#[derive(Debug)]
pub struct StopRequest {
    target: StopTarget,
    on: bool,
    reason: String,
}

impl Document for StopBody {
    type Checked = StopRequest;
    fn check(self, faults: &mut Faults) -> Option<StopRequest> {
        let on = faults.required("on", self.on);
        let reason = faults.length("reason", self.reason.unwrap_or_default(), 0..=MAX_REASON);
        let target = match (self.agent, self.principal) {
            (Some(agent), None) => Some(StopTarget::Agent(agent)),
            (None, Some(name)) => {
                faults.length("principal", name, 1..=MAX_NAME).map(StopTarget::Principal)
            }
            (Some(_), Some(_)) => {
                faults.add("principal", "cannot be combined with `agent`; send two requests");
                None
            }
            (None, None) => {
                faults.required::<AgentId>("agent", None);
                None
            }
        };
        Some(StopRequest { target: target?, on: on?, reason: reason? })
    }
    fn agent(request: &StopRequest) -> Option<&AgentId> {
        match &request.target {
            StopTarget::Agent(agent) => Some(agent),
            StopTarget::Principal(_) => None,
        }
    }
}

/// All stops.
#[derive(Serialize, ToSchema)]
struct StopsAnswer {
    stops: Vec<StopStatus>,
}

/// The stops after a change.
#[derive(Serialize, ToSchema)]
struct StopAnswer {
    /// Always `ok`.
    status: &'static str,
    /// The row that records the change.
    event_id: u64,
    stops: Vec<StopStatus>,
}

/// `GET /stops`.
pub static STOPS: Endpoint =
    Endpoint::new("stops", Verb::Get, "/stops", Access::READ, Effect::Reads, || {
        Route::new().to(stops)
    })
    .or_act()
    .described(describe_stops);

fn describe_stops() -> Description {
    Description::new(Tag::Service, "List stopped agents and principals").json::<StopsAnswer>(
        200,
        "The stops.",
        Some(json!({"stops": [{
            "agent": "gpt-9", "principal": null, "reason": "it deletes files",
            "since": "2026-11-22T20:51:10.000000Z", "by": "ops"
        }]})),
    )
}
async fn stops(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
) -> impl Responder {
    // Without the database, the answer is what this instance knows.
    let _ = state.engine.catch_up().await;
    let mut stops = state.engine.stops();
    let name = grant.principal.as_str();
    stops.retain(|stop| {
        grant.may_read_row(stop.agent.as_deref(), stop.principal.as_deref().unwrap_or(name))
    });
    HttpResponse::Ok().json(StopsAnswer { stops })
}

/// `POST /stops`.
pub static SET_STOP: Endpoint =
    Endpoint::new("set_stop", Verb::Post, "/stops", Access::OPERATE, Effect::Operates, || {
        Route::new().to(set_stop)
    })
    .names_agent()
    .idempotent()
    .errors(&[Code::Conflict, Code::JournalUnavailable])
    .described(describe_set_stop);

fn describe_set_stop() -> Description {
    Description::new(Tag::Service, "Stop or release one agent or one principal")
        .details(
            "A stop denies every request that acts, of one agent or of one principal, with `stopped`: immediately, \
             after a restart, and for requests that wait for a model.",
        )
        .body::<StopBody>(json!({"agent": "gpt-9", "on": true, "reason": "it deletes files"}))
        .json::<StopAnswer>(
            200,
            "The stop is set or released.",
            Some(json!({"status": "ok", "event_id": 9, "stops": [{
                "agent": "gpt-9", "principal": null, "reason": "it deletes files",
                "since": "2026-11-22T20:51:10.000000Z", "by": "ops"
            }]})),
        )
}
async fn set_stop(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    body: Body<StopBody>,
) -> Result<impl Responder, ApiError> {
    let StopRequest { target, on, reason } = &body.checked;
    if matches!(target, StopTarget::Principal(_)) && grant.principal.agents().is_some() {
        let message =
            "a key that may access some agents only cannot stop a principal; use another key";
        return Err(ApiError::new(Code::AgentForbidden, message));
    }
    let event_id = state.engine.set_stop(&body.caller, target, *on, reason).await?;
    let stops = state.engine.stops();
    Ok(HttpResponse::Ok().json(StopAnswer { status: "ok", event_id, stops }))
}
