//! `POST /turn`: run a turn of an agent.

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, Route};
use life_agent_engine::domain::agent::rules;
use life_agent_engine::domain::governance::command::Turn;
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::{GateNotes, Source, TurnEvent, Turned};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::schemas;
use super::turns::{self, TurnLater};
use crate::http::accept::{prefers_async, wants_events};
use crate::http::endpoint::{Description, Effect, Endpoint, Gpt, Scope, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Body, Document, Faults};
use crate::http::model_stream;
use crate::state::AppState;

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
    /// What answers it.
    response: String,
    /// How it went.
    #[schema(value_type = schemas::TurnResult)]
    turn: rules::TurnResult,
    /// The number of its row in the journal.
    event_id: u64,
    /// The state's version after it, and after what the model did in it.
    state_version: u64,
    /// The state's hash after that.
    state_hash: String,
    /// Who told it: `offline` for the rules, `llm` for a model.
    #[schema(value_type = String)]
    source: Source,
    /// Tokens that the model used for it, all of its calls together; where there is a model and its
    /// provider tells.
    #[schema(value_type = schemas::Usage)]
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
    /// Why the rules' sentence stands where the text of the model should.
    #[schema(value_type = Withheld)]
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld: Option<life_agent_engine::Withheld>,
    /// What the model did on the way, in this order; none without a model.
    #[schema(value_type = Vec<ToolStep>, required = false)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<life_agent_engine::ToolStep>,
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

/// Why the rules' sentence stands where the text of the model should.
#[derive(Serialize, ToSchema)]
struct Withheld {
    /// The gate that refused the text; `turn` where the model told nothing.
    gate: String,
    /// The rule or pattern that decided.
    #[schema(required = false, nullable = false)]
    rule: Option<String>,
    /// The error code that a chat would have got.
    code: String,
    /// Why, in a sentence.
    message: String,
}

/// One call of a tool by the model; it has passed the gates, or not, like a caller's.
#[derive(Serialize, ToSchema)]
struct ToolStep {
    /// `act`, `remember`, `recall`, `plan`, or `unknown`.
    tool: String,
    /// What it was called with, without credentials; a text where that is no JSON.
    #[schema(value_type = Value)]
    arguments: Value,
    /// `allow`, `deny`, or `error` where it could not be read or done.
    decision: String,
    /// The error code, where it was not done.
    #[schema(required = false, nullable = false)]
    code: Option<String>,
    /// What the model was told.
    #[schema(value_type = Object, required = false)]
    result: Value,
    /// The row that records it.
    #[schema(required = false, nullable = false)]
    event_id: Option<u64>,
}

impl TurnAnswer {
    /// The answer to the turn of an agent, whose id is without credentials here.
    pub(super) fn of(agent_id: String, turned: Turned) -> Self {
        let Turned { step, event_id, state_version, state_hash, notes, .. } = turned;
        Self {
            status: "ok",
            echo: TurnEcho { agent_id, input: step.input },
            response: step.response,
            turn: step.turn,
            event_id,
            state_version,
            state_hash,
            source: turned.source,
            usage: turned.usage.map(|usage| json!(usage)),
            withheld: turned.withheld,
            steps: turned.steps,
            notes,
        }
    }
}

/// `POST /turn`.
pub static TURN: Endpoint = Endpoint::new("turn", Verb::Post, "/turn", Scope::Act, Effect::Acts, || {
    Route::new().to(turn)
})
.bounded()
.idempotent()
.errors(&[Code::LlmFailed, Code::Timeout])
.tool("turn")
.gpt(Gpt::acts(
    "Call it for every deed, attempt or wish of the user, in their own words and language. The rules roll the dice: \
     report `response`, `turn.outcome` and `turn.deltas` as they are, and never decide an outcome yourself.",
))
.described(describe);

fn describe() -> Description {
    Description::new(Tag::Agents, "Run a turn of an agent")
        .details(
            "Finds the intent of the input, draws a d20 from the seeded generator and decides the outcome. If a model \
             is configured, it narrates the outcome, which it cannot change, and may call tools on the way; each tool \
             call passes the gates like a call of yours. The response means that the turn is recorded. With \
             `Accept: text/event-stream` the response is streamed: `delta` with more of the text in `content`, `tool` \
             for each tool call, then `done` with the whole response, or `error` with the error envelope. Only `done` \
             means that the turn has happened.",
        )
        .header(
            "Prefer",
            "`respond-async` queues the turn and returns 202 immediately; other preferences are ignored.",
            None,
        )
        .body::<TurnBody>(json!({"agent_id": "hero", "input": "untersuche das Tor der Festung"}))
        .json::<TurnAnswer>(200, "The turn is recorded.", Some(json!({
            "status": "ok",
            "echo": {"agent_id": "hero", "input": "untersuche das Tor der Festung"},
            "response": "Processed turn 1 as `explore`: rolled 8 (+1) against 10, partial; energy -6.",
            "turn": {"number": 1, "intent": "explore", "action": "explore", "roll": 8, "bonus": 1,
                     "difficulty": 10, "outcome": "partial", "deltas": {"energy": -6}},
            "event_id": 2, "state_version": 1, "state_hash": "9c1185a5…", "source": "offline",
            "score": 0.0, "findings": [], "applied_policies": [], "would_deny": []
        })))
        .or_events(Some(json!("event: delta\ndata: {\"content\":\"The gate\"}\n\nevent: done\ndata: {}\n\n")))
        .json::<TurnLater>(202, "The turn is queued, as `Prefer: respond-async` requested.", Some(json!({
            "status": "queued", "id": "019ab3c1-7a52-7cc0-a0a5-0c9d9c3c7c11", "agent_id": "hero",
            "created": "2026-11-23T00:05:10.000000Z"
        })))
        .with_header("Location", "The path of the queued turn.")
}
async fn turn(
    state: web::Data<AppState>,
    body: Body<TurnBody>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    if prefers_async(request.headers()) {
        return turns::queue_turn(&state, body).await;
    }
    let agent_id = state.engine.redact(body.checked.agent.as_str());
    if !wants_events(&request) {
        let turned = state.engine.turn(&body.caller, body.checked).await?;
        return Ok(HttpResponse::Ok().json(TurnAnswer::of(agent_id, turned)));
    }
    let events = state.engine.turn_events(&body.caller, body.checked).await?;
    let errors = model_stream::StreamErrors::new(&state, &request);
    Ok(model_stream::respond(futures_util::stream::unfold(events, move |mut events| {
        let (errors, agent_id) = (errors.clone(), agent_id.clone());
        async move {
            let (name, data) = match events.next().await? {
                TurnEvent::Delta(text) => ("delta", json!({ "content": text }).to_string()),
                TurnEvent::Tool(step) => ("tool", line(&step)),
                TurnEvent::Done(turned) => ("done", line(&TurnAnswer::of(agent_id, *turned))),
                TurnEvent::Failed(error) => ("error", errors.line(error)),
            };
            Some((Bytes::from(format!("event: {name}\ndata: {data}\n\n")), events))
        }
    })))
}

fn line(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}
