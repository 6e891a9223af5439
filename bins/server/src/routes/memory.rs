//! `GET /memory`: the facts that an agent remembers.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::domain::agent::memory::{MAX_FACTS, Note};
use life_agent_engine::domain::governance::ids::AgentId;
use serde::Serialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Gpt, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Faults, Given, Parameters, Query};
use crate::state::AppState;

/// Longest query, in characters.
const MAX_QUERY: usize = 256;

/// Which facts to return.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MemoryQuery {
    /// The agent.
    #[param(value_type = String, pattern = "^[A-Za-z0-9._:-]{1,64}$")]
    agent_id: AgentId,
    /// Words to search for: a fact matches if one of its words starts with one of them. All facts by default.
    #[param(value_type = Option<String>, max_length = 256)]
    q: Option<String>,
    /// Largest number of facts, 1 to 64.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 64)]
    limit: usize,
}

impl Parameters for MemoryQuery {
    const NAMES: &'static [&'static str] = &["agent_id", "q", "limit"];
    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        let agent_id = given.agent_id("agent_id", faults);
        let agent_id = faults.required("agent_id", agent_id);
        let must = format!("must have at most {MAX_QUERY} characters");
        let short = |text: &str| (text.chars().count() <= MAX_QUERY).then(|| text.to_owned());
        let q = given.parsed("q", &must, faults, short);
        let limit = given.limit(MAX_FACTS, MAX_FACTS, faults);
        Some(Self { agent_id: agent_id?, q, limit })
    }
}

/// The memory of an agent.
#[derive(Serialize, ToSchema)]
struct MemoryAnswer {
    agent_id: String,
    /// Oldest first; with `q`, best match first.
    facts: Vec<Note>,
}

/// `GET /memory`.
pub static MEMORY: Endpoint = Endpoint::new("memory", Verb::Get, "/memory", Access::READ, Effect::Reads, || {
    Route::new().to(memory)
})
.or_act()
.names_agent()
.bounded()
.errors(&[Code::ValidationError, Code::JournalUnavailable])
.tool("recall")
.gpt(
    Gpt::reads(
        "Call it for the facts that an agent remembers. Search for words with `q`, or leave it out for all \
         facts. It changes nothing.",
    )
    .max_limit(64),
)
.described(describe);

fn describe() -> Description {
    Description::new(Tag::Agents, "Read the memory of an agent")
        .details(
            "The action `remember` with a `text` in its payload adds a fact; a model that narrates a turn can add \
             facts too. Reading a fact does not count as a use. An agent keeps 64 facts.",
        )
        .query::<MemoryQuery>()
        .json::<MemoryAnswer>(200, "The facts.", Some(json!({
            "agent_id": "hero",
            "facts": [{"version": 4, "turn": 3, "text": "the gate opens at dawn", "uses": 1}]
        })))
}
async fn memory(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    query: Query<MemoryQuery>,
) -> Result<impl Responder, ApiError> {
    let Query(MemoryQuery { agent_id, q, limit }) = query;
    grant.check_agent(&agent_id)?;
    let facts = state.engine.memory(&agent_id, q.as_deref(), limit).await?;
    let agent_id = state.engine.redact(agent_id.as_str());
    Ok(HttpResponse::Ok().json(MemoryAnswer { agent_id, facts }))
}
