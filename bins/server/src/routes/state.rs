//! `GET /state`: one agent, or the list of all.

use std::sync::Arc;

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::domain::agent::state::AgentState;
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::{AgentSummary, Meta, Present};
use serde::Serialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Gpt, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Faults, Given, Parameters, Query};
use crate::state::AppState;

const MAX_LIMIT: usize = 1000;

/// Which agents to return.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StateQuery {
    /// One agent; all agents by default.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9._:-]{0,64}$")]
    agent_id: Option<AgentId>,
    /// In a list, continue after this agent.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9._:-]{0,64}$")]
    after: Option<AgentId>,
    /// In a list, largest number of agents, 1 to 1,000.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000)]
    limit: usize,
}

impl Parameters for StateQuery {
    const NAMES: &'static [&'static str] = &["agent_id", "after", "limit"];
    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        Some(Self {
            agent_id: given.agent_id("agent_id", faults),
            after: given.agent_id("after", faults),
            limit: given.limit(MAX_LIMIT, MAX_LIMIT, faults),
        })
    }
}

/// One agent, or the list of all.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum StateAnswer {
    /// With `agent_id`.
    One {
        agent_id: String,
        #[schema(value_type = AgentState)]
        state: Arc<AgentState>,
        /// The hash of the state.
        state_hash: String,
    },
    /// Without.
    All {
        meta: Meta,
        agents: Vec<AgentSummary>,
        /// The value of `after` for further agents.
        next: Option<String>,
    },
}

/// `GET /state`.
pub static STATE: Endpoint = Endpoint::new("state", Verb::Get, "/state", Access::READ, Effect::Reads, || {
    Route::new().to(state)
})
.or_act()
.names_agent()
.bounded()
.errors(&[Code::ValidationError, Code::JournalUnavailable])
.tool("state")
.gpt(
    Gpt::reads(
        "Call it for questions about the condition of an agent: vitals, its last turns, how often it did what. It \
         changes nothing. With `agent_id` you get that agent, without it the list of all agents.",
    )
    .max_limit(200),
)
.described(describe);

fn describe() -> Description {
    Description::new(Tag::Agents, "Read the state of an agent, or list the agents")
        .details("An agent that has not been used yet has its initial state.")
        .query::<StateQuery>()
        .json::<StateAnswer>(200, "The state, or the list.", Some(json!({
            "agent_id": "hero",
            "state": {"seed": 42, "version": 1, "turns": 1, "actions": {"explore": 1},
                      "vitals": {"energy": 74, "focus": 60, "knowledge": 12, "stability": 70},
                      "memory": [{"version": 1, "text": "explore (partial): untersuche das Tor"}]},
            "state_hash": "9c1185a5…"
        })))
}
async fn state(
    app: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    query: Query<StateQuery>,
) -> Result<impl Responder, ApiError> {
    let Query(StateQuery { agent_id, after, limit }) = query;
    let answer = match agent_id {
        Some(agent) => {
            grant.check_agent(&agent)?;
            let Present { state, state_hash } = app.engine.state(&agent).await?;
            let agent_id = app.engine.redact(agent.as_str());
            StateAnswer::One { agent_id, state, state_hash }
        }
        None => {
            let mut agents = app.engine.agents(after.map(String::from), limit).await?;
            let last = agents.last().map(|agent| agent.agent_id.clone());
            let next = last.filter(|_| agents.len() == limit);
            agents.retain(|agent| grant.may_access(&agent.agent_id));
            StateAnswer::All { meta: app.engine.meta(), agents, next }
        }
    };
    Ok(HttpResponse::Ok().json(answer))
}
