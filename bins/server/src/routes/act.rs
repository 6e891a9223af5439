//! `POST /act`: apply an action to an agent.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::domain::agent::state;
use life_agent_engine::domain::governance::command::Act;
use life_agent_engine::domain::governance::ids::{ActionName, AgentId};
use life_agent_engine::domain::governance::payload::Payload;
use life_agent_engine::{ActOutcome, GateNotes};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Gpt, Tag, Verb};
use crate::http::errors::ApiError;
use crate::http::extract::{Body, Document, Faults};
use crate::state::AppState;

/// An action for an agent.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ActBody {
    /// The agent.
    #[schema(value_type = String, required, nullable = false, pattern = "^[A-Za-z0-9._:-]{1,64}$")]
    pub agent_id: Option<AgentId>,
    /// The action: letters of any script in composed form, digits, `. _ : -` and single spaces between them. An
    /// action that the profile does not know is recorded and costs nothing.
    #[schema(value_type = String, required, nullable = false, min_length = 1, max_length = 64)]
    pub action: Option<ActionName>,
    /// Details, recorded with the step; at most 64 KiB and 32 levels.
    #[schema(value_type = Object, required = false)]
    pub payload: Option<Payload>,
}

impl Document for ActBody {
    type Checked = Act;
    fn check(self, faults: &mut Faults) -> Option<Act> {
        let agent = faults.required("agent_id", self.agent_id);
        let action = faults.required("action", self.action);
        Some(Act { agent: agent?, action: action?, payload: self.payload.unwrap_or_default() })
    }
    fn agent(act: &Act) -> Option<&AgentId> {
        Some(&act.agent)
    }
}

/// A recorded step.
#[derive(Serialize, ToSchema)]
pub struct ActAnswer {
    /// Always `ok`.
    status: &'static str,
    /// The request, without credentials.
    echo: ActEcho,
    /// The number of the journal row.
    event_id: u64,
    /// The version of the state after the step.
    state_version: u64,
    /// The hash of the state after the step.
    state_hash: String,
    /// Whether the profile knows the action.
    known: bool,
    /// Changes of the vitals.
    deltas: state::Deltas,
    #[serde(flatten)]
    notes: GateNotes,
}

/// The request.
#[derive(Serialize, ToSchema)]
struct ActEcho {
    agent_id: String,
    action: String,
    #[schema(value_type = Object)]
    payload: Payload,
}

/// `POST /act`.
pub static ACT: Endpoint = Endpoint::new("act", Verb::Post, "/act", Access::ACT, Effect::Acts, || {
    Route::new().to(act)
})
.names_agent()
.bounded()
.idempotent()
.tool("act")
.gpt(Gpt::acts(
    "Call it when the user names one action exactly, such as `rest` or `explore`, or wants a fact remembered: \
     `remember` with its `text` in `payload`. For free text call `turn`. The response states what the action cost \
     and gained.",
))
.described(describe);

fn describe() -> Description {
    Description::new(Tag::Agents, "Apply an action to an agent")
        .details("The response means that the step is recorded and survives a crash.")
        .body::<ActBody>(
            json!({"agent_id": "hero", "action": "explore", "payload": {"place": "gate"}}),
        )
        .json::<ActAnswer>(
            200,
            "The step is recorded.",
            Some(json!({
                "status": "ok",
                "echo": {"agent_id": "hero", "action": "explore", "payload": {"place": "gate"}},
                "event_id": 7, "state_version": 3, "state_hash": "5ee3e4f9…", "known": true,
                "deltas": {"energy": -6, "knowledge": 5},
                "score": 0.0, "findings": [], "applied_policies": [], "would_deny": []
            })),
        )
}
async fn act(state: web::Data<AppState>, body: Body<ActBody>) -> Result<impl Responder, ApiError> {
    let agent_id = state.engine.redact(body.checked.agent.as_str());
    let ActOutcome { step, event_id, state_version, state_hash, notes } = body
        .run(&state, |engine, caller, act| async move { engine.act(&caller, act).await })
        .await?;
    Ok(HttpResponse::Ok().json(ActAnswer {
        status: "ok",
        echo: ActEcho { agent_id, action: step.action, payload: step.payload },
        event_id,
        state_version,
        state_hash,
        known: step.known,
        deltas: step.deltas,
        notes,
    }))
}
