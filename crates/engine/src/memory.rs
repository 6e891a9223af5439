//! What agents keep in mind: listed, searched, and followed by the index.

use std::collections::BTreeSet;

use life_agent_domain::agent::memory::Note;
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{NoteChange, SideWrite};

use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// The facts of an agent, oldest first, or the up to `limit` that fit a query, the best fit first.
    /// Looking does not count as using them.
    pub async fn memory(
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

    /// The versions of the facts that fit a query, the best fit first.
    pub(crate) async fn find_facts(
        &self,
        agent: &AgentId,
        query: &str,
        limit: usize,
    ) -> Result<Vec<u64>, EngineError> {
        Ok(self.journal.search_notes(agent.as_str(), query, limit).await?)
    }
}

/// The facts of a state by their versions; facts of one version have one text.
pub(crate) fn fact_versions(state: &AgentState) -> BTreeSet<u64> {
    state.facts.iter().map(|fact| fact.version).collect()
}

/// What the index must follow after steps that led from a state with these facts to another one.
pub(crate) fn facts_extra(
    agent: &AgentId,
    had: &BTreeSet<u64>,
    now: &AgentState,
) -> Vec<SideWrite> {
    let has = fact_versions(now);
    if *had == has {
        return Vec::new();
    }
    let new = now.facts.iter().filter(|fact| !had.contains(&fact.version));
    let change = NoteChange {
        added: new.map(|fact| (fact.version, fact.text.clone())).collect(),
        removed: had.difference(&has).copied().collect(),
    };
    vec![SideWrite::Notes(agent.clone(), change)]
}
