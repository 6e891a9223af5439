//! `POST /turn`: run a turn of an agent.

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, Route};
use life_agent_engine::domain::agent::rules;
use life_agent_engine::domain::governance::command::Turn;
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::{
    Fallback, GateNotes, Source, ToolStep, TurnEvent, TurnOutcome, Usage, Withheld,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::turns::{self, TurnLater};
use crate::http::accept::{prefers_async, wants_events};
use crate::http::endpoint::{Access, Description, Effect, Endpoint, Gpt, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Body, Document, Faults};
use crate::http::model_stream;
use crate::state::AppState;

/// Longest input, in characters.
pub(super) const MAX_INPUT: usize = 8192;

/// A text for an agent.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TurnBody {
    /// The agent.
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
    fn agent(turn: &Turn) -> Option<&AgentId> {
        Some(&turn.agent)
    }
}

/// A recorded turn.
#[derive(Serialize, ToSchema)]
pub struct TurnAnswer {
    /// Always `ok`.
    status: &'static str,
    /// The request, without credentials.
    echo: TurnEcho,
    /// The narration of the turn.
    response: String,
    /// The outcome.
    turn: rules::TurnResult,
    /// The number of the journal row.
    event_id: u64,
    /// The version of the state after the turn and the model's actions in it.
    state_version: u64,
    /// The hash of that state.
    state_hash: String,
    /// The narrator: `offline` for the rules, `llm` for a model.
    source: Source,
    /// Tokens of all model calls of the turn, if the provider reports them.
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// Why the rules' sentence replaces the model's text.
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld: Option<Withheld>,
    /// Why the turn went on without the model.
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<Fallback>,
    /// The model's tool calls, in order.
    #[schema(required = false)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<ToolStep>,
    #[serde(flatten)]
    notes: GateNotes,
}

/// The request.
#[derive(Serialize, ToSchema)]
struct TurnEcho {
    agent_id: String,
    input: String,
}

impl TurnAnswer {
    /// The response to a turn; `agent_id` is redacted.
    pub(super) fn of(agent_id: String, turned: TurnOutcome) -> Self {
        let TurnOutcome { step, event_id, state_version, state_hash, notes, .. } = turned;
        Self {
            status: "ok",
            echo: TurnEcho { agent_id, input: step.input },
            response: step.response,
            turn: step.turn,
            event_id,
            state_version,
            state_hash,
            source: turned.source,
            usage: turned.usage,
            withheld: turned.withheld,
            fallback: turned.fallback,
            steps: turned.steps,
            notes,
        }
    }
}

/// `POST /turn`.
pub static TURN: Endpoint = Endpoint::new("turn", Verb::Post, "/turn", Access::ACT, Effect::Acts, || {
    Route::new().to(turn)
})
.names_agent()
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
             call passes the gates like a call of yours. If the model fails, the rules answer: `source` is `offline`, \
             and `fallback` states the cause, unless the policy says `llm.on_failure: fail`. The response means that the turn is recorded. With \
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
        let turned = body
            .run(&state, |engine, caller, turn| async move { engine.turn(&caller, turn).await });
        return Ok(HttpResponse::Ok().json(TurnAnswer::of(agent_id, turned.await?)));
    }
    let events = body
        .run(&state, |engine, caller, turn| async move { engine.turn_events(&caller, turn).await })
        .await?;
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
