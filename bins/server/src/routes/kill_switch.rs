//! `GET /kill-switch` and `POST /kill-switch`: deny everything that acts.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::KillSwitchStatus;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Gpt, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Body, Document, Faults};
use crate::state::AppState;

/// Longest reason, in characters.
const MAX_REASON: usize = 1024;

/// The new state and its reason.
#[derive(Debug, Deserialize, ToSchema)]
pub struct KillSwitchBody {
    /// Whether to deny everything that acts.
    #[schema(required, nullable = false)]
    on: Option<bool>,
    /// The reason; denied callers read it.
    #[schema(max_length = 1024)]
    reason: Option<String>,
}

impl Document for KillSwitchBody {
    type Checked = (bool, String);
    fn check(self, faults: &mut Faults) -> Option<(bool, String)> {
        let on = faults.required("on", self.on);
        let reason = faults.length("reason", self.reason.unwrap_or_default(), 0..=MAX_REASON);
        Some((on?, reason?))
    }
}

/// The switch after the change.
#[derive(Serialize, ToSchema)]
struct KillSwitchAnswer {
    /// Always `ok`.
    status: &'static str,
    /// The row that records the change.
    event_id: u64,
    #[serde(flatten)]
    now: KillSwitchStatus,
}

/// `GET /kill-switch`.
pub static KILL_SWITCH: Endpoint =
    Endpoint::new("kill_switch", Verb::Get, "/kill-switch", Access::READ, Effect::Reads, || {
        Route::new().to(kill_switch)
    })
    .or_act()
    .gpt(Gpt::reads(
        "Call it when calls are denied with `kill_switch`, to report since when and why.",
    ))
    .described(describe_kill_switch);

fn describe_kill_switch() -> Description {
    Description::new(Tag::Service, "Read the kill switch").json::<KillSwitchStatus>(
        200,
        "On or off, and why.",
        Some(json!({
            "on": true, "reason": "an agent runs wild", "forced": false, "since": "2026-11-22T20:51:10.000000Z",
            "by": "ops"
        })),
    )
}
async fn kill_switch(state: web::Data<AppState>, _: Authenticated) -> impl Responder {
    // Without the database, the answer is what this instance knows.
    let _ = state.engine.catch_up().await;
    HttpResponse::Ok().json(state.engine.kill_switch())
}

/// `POST /kill-switch`.
pub static SET_KILL_SWITCH: Endpoint = Endpoint::new(
    "set_kill_switch",
    Verb::Post,
    "/kill-switch",
    Access::OPERATE,
    Effect::Operates,
    || Route::new().to(set_kill_switch),
)
.idempotent()
.errors(&[Code::Conflict, Code::JournalUnavailable])
.described(describe_set_kill_switch);

fn describe_set_kill_switch() -> Description {
    Description::new(Tag::Service, "Turn the kill switch on or off")
        .details(
            "On denies every request that acts, immediately and also after a restart. `KILL_SWITCH=on` in the \
             environment keeps it on regardless of this call.",
        )
        .body::<KillSwitchBody>(json!({"on": true, "reason": "an agent runs wild"}))
        .json::<KillSwitchAnswer>(200, "The switch is set.", Some(json!({
            "status": "ok", "event_id": 9,
            "on": true, "reason": "an agent runs wild", "forced": false, "since": "2026-11-22T20:51:10.000000Z",
            "by": "ops"
        })))
}
async fn set_kill_switch(
    state: web::Data<AppState>,
    body: Body<KillSwitchBody>,
) -> Result<impl Responder, ApiError> {
    let (on, reason) = body.checked;
    let (now, event_id) = state.engine.set_kill_switch(&body.caller, on, &reason).await?;
    Ok(HttpResponse::Ok().json(KillSwitchAnswer { status: "ok", event_id, now }))
}
