//! `POST /turn`: let an agent answer a text.

use actix_web::{HttpResponse, Responder, web};
use life_agent_engine::domain::command::Turn;
use life_agent_engine::domain::ids::AgentId;
use life_agent_engine::domain::rules;
use life_agent_engine::{GateNotes, Source, Turned};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schemas;
use crate::app::AppState;
use crate::errors::ApiError;
use crate::extract::{Body, Document, Faults};

/// Longest input, in characters.
pub(super) const MAX_INPUT: usize = 8192;

/// A text for an agent.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TurnBody {
    /// Whose turn it is.
    #[schema(value_type = String, required, nullable = false, pattern = "^[A-Za-z0-9._:-]{1,64}$")]
    pub agent_id: Option<AgentId>,
    /// Free text.
    #[schema(required, nullable = false, min_length = 1, max_length = 8192)]
    pub input: Option<String>,
}

impl Document for TurnBody {
    type Checked = Turn;
    fn check(self, faults: &mut Faults) -> Option<Turn> {
        let agent = faults.required("agent_id", self.agent_id);
        let input = faults.required("input", self.input);
        let input = input.and_then(|text| faults.length("input", text, 1..=MAX_INPUT));
        Some(Turn { agent: agent?, input: input? })
    }
}

/// A turn that is on the record.
#[derive(Serialize, ToSchema)]
pub struct TurnAnswer {
    /// Always `ok`.
    status: &'static str,
    /// What was asked, without credentials.
    echo: TurnEcho,
    /// The sentence that answers it.
    response: String,
    /// How it went.
    #[schema(value_type = schemas::TurnResult)]
    turn: rules::TurnResult,
    /// The number of its row in the journal.
    event_id: u64,
    /// The state's version after it.
    state_version: u64,
    /// The state's hash after it.
    state_hash: String,
    /// Who told it: `offline` for the rules, `llm` for a model.
    #[schema(value_type = String)]
    source: Source,
    #[serde(flatten)]
    #[schema(value_type = schemas::GateNotes)]
    notes: GateNotes,
}

/// What was asked.
#[derive(Serialize, ToSchema)]
struct TurnEcho {
    agent_id: String,
    input: String,
}

/// Let an agent answer a text
///
/// Finds the intent, draws a d20 from the seeded generator and settles the outcome. The answer means
/// that the turn is on the record.
#[utoipa::path(
    post, path = "/turn", tag = "agents", operation_id = "turn",
    request_body(content = TurnBody, example = json!({"agent_id": "hero", "input": "untersuche das Tor der Festung"})),
    responses((status = 200, body = TurnAnswer, description = "The turn is on the record.", example = json!({
        "status": "ok",
        "echo": {"agent_id": "hero", "input": "untersuche das Tor der Festung"},
        "response": "Processed turn 1 as `explore`: rolled 8 (+1) against 10, partial; energy -6.",
        "turn": {"number": 1, "intent": "explore", "action": "explore", "roll": 8, "bonus": 1,
                 "difficulty": 10, "outcome": "partial", "deltas": {"energy": -6}},
        "event_id": 2, "state_version": 1, "state_hash": "9c1185a5…", "source": "offline",
        "score": 0.0, "findings": [], "applied_policies": [], "would_deny": []
    }))),
)]
pub async fn turn(
    state: web::Data<AppState>,
    body: Body<TurnBody>,
) -> Result<impl Responder, ApiError> {
    let agent_id = state.engine.redact(body.checked.agent.as_str());
    let Turned { step, event_id, state_version, state_hash, notes } =
        state.engine.turn(&body.caller, body.checked).await?;
    Ok(HttpResponse::Ok().json(TurnAnswer {
        status: "ok",
        echo: TurnEcho { agent_id, input: step.input },
        response: step.response,
        turn: step.turn,
        event_id,
        state_version,
        state_hash,
        source: Source::Offline,
        notes,
    }))
}
