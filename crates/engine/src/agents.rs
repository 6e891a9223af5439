//! Agents: their states, steps and memories.

mod cache;
mod facts;
mod news;
mod step;

use std::sync::Arc;

use life_agent_domain::agent::memory::Note;
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::gate::{Rate, RateLimit};
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_observer::{AgentRecord, Journal};

pub(crate) use cache::{AgentCache, Slots};
pub(crate) use step::{ModelAct, NarratedTurn, StepRules, StepWrites};

use crate::error::EngineError;
use crate::govern::Limiter;
use crate::views::{AgentSummary, Present};

/// Loads agents and commits their steps.
pub(crate) struct AgentService {
    pub(crate) cache: AgentCache,
    journal: Journal,
    limiter: Arc<Limiter>,
}

impl AgentService {
    pub(crate) fn new(cache: AgentCache, journal: Journal, limiter: Arc<Limiter>) -> Self {
        Self { cache, journal, limiter }
    }

    /// Fails if this step is the first of its agent and its caller has started too many agents.
    pub(crate) async fn admit(
        &self,
        principal: &Principal,
        state: &AgentState,
    ) -> Result<(), EngineError> {
        if state.version > 0 {
            return Ok(());
        }
        match self.limiter.take(RateLimit::NewAgents, principal, None).await? {
            Rate::Within => Ok(()),
            Rate::Exceeded { retry_after, .. } => Err(EngineError::NewAgentLimit { retry_after }),
        }
    }

    /// The current state. An agent without steps has its initial state.
    pub(crate) async fn state(&self, agent: &AgentId) -> Result<Present, EngineError> {
        self.cache.present(agent).await
    }

    /// Agents in the order of their ids, after the given one.
    pub(crate) async fn list(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<AgentSummary>, EngineError> {
        let records = self.journal.agents(after, limit);
        let summary = |record: AgentRecord| AgentSummary {
            agent_id: record.agent_id,
            state_version: record.state_version,
            turns: record.turns,
            last_seen: record.last_seen,
        };
        Ok(records.await?.into_iter().map(summary).collect())
    }

    /// The facts of an agent, oldest first, or those that match a query, best match first. Reading does
    /// not count as a use.
    pub(crate) async fn memory(
        &self,
        agent: &AgentId,
        query: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Note>, EngineError> {
        let Some(query) = query else {
            let present = self.state(agent).await?;
            return Ok(present.state.facts.iter().take(limit).cloned().collect());
        };
        let found = self.find_facts(agent, query, limit).await?;
        let present = self.state(agent).await?;
        let facts = present.state.facts.iter();
        let fact = |version| facts.clone().find(|fact| fact.version == version).cloned();
        Ok(found.into_iter().filter_map(fact).collect())
    }

    /// The versions of the facts that match a query, best match first.
    pub(crate) async fn find_facts(
        &self,
        agent: &AgentId,
        query: &str,
        limit: usize,
    ) -> Result<Vec<u64>, EngineError> {
        Ok(self.journal.search_notes(agent.as_str(), query, limit).await?)
    }
}
