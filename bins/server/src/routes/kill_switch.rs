//! `GET /kill-switch` and `POST /kill-switch`: refuse everything that acts, or stop refusing.

use actix_web::{HttpResponse, Responder, web};
use life_agent_engine::KillSwitchStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schemas;
use crate::app::AppState;
use crate::errors::ApiError;
use crate::extract::{Authenticated, Body, Document, Faults};

/// Longest reason, in characters.
const MAX_REASON: usize = 1024;

/// Which way, and why.
#[derive(Debug, Deserialize, ToSchema)]
pub struct KillSwitchBody {
    /// Whether everything that acts is to be refused.
    #[schema(required, nullable = false)]
    on: Option<bool>,
    /// Why; those who are refused read it.
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

/// The switch, turned.
#[derive(Serialize, ToSchema)]
struct KillSwitchAnswer {
    /// Always `ok`.
    status: &'static str,
    /// The row that records it.
    event_id: u64,
    #[serde(flatten)]
    #[schema(value_type = schemas::KillSwitchStatus)]
    now: KillSwitchStatus,
}

/// The kill switch as it stands
#[utoipa::path(
    get, path = "/kill-switch", tag = "service", operation_id = "kill_switch",
    responses((status = 200, body = schemas::KillSwitchStatus, description = "On or off, and why.", example = json!({
        "on": true, "reason": "an agent runs wild", "forced": false, "since": "2026-11-22T20:51:10.000000Z"
    }))),
)]
pub async fn kill_switch(state: web::Data<AppState>, _: Authenticated) -> impl Responder {
    HttpResponse::Ok().json(state.engine.kill_switch())
}

/// Turn the kill switch
///
/// On refuses everything that acts, at once and also after a restart. `KILL_SWITCH=on` in the
/// environment holds it on whatever is asked here.
#[utoipa::path(
    post, path = "/kill-switch", tag = "service", operation_id = "set_kill_switch",
    request_body(content = KillSwitchBody, example = json!({"on": true, "reason": "an agent runs wild"})),
    responses((status = 200, body = KillSwitchAnswer, description = "It is turned.", example = json!({
        "status": "ok", "event_id": 9,
        "on": true, "reason": "an agent runs wild", "forced": false, "since": "2026-11-22T20:51:10.000000Z"
    }))),
)]
pub async fn set_kill_switch(
    state: web::Data<AppState>,
    body: Body<KillSwitchBody>,
) -> Result<impl Responder, ApiError> {
    let (on, reason) = body.checked;
    let (now, event_id) = state.engine.set_kill_switch(&body.caller, on, &reason).await?;
    Ok(HttpResponse::Ok().json(KillSwitchAnswer { status: "ok", event_id, now }))
}
