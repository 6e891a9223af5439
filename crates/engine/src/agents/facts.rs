//! The changes of an agent's facts, for the journal's search index.

use std::collections::BTreeSet;

use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{NoteChange, SideWrite};

/// The versions of a state's facts. A version identifies a fact.
pub(crate) fn fact_versions(state: &AgentState) -> BTreeSet<u64> {
    state.facts.iter().map(|fact| fact.version).collect()
}

/// The index update for steps that led from a state with these facts to `now`.
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
