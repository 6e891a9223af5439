//! The positions of agents that this instance has stored itself, so that it need not read them again.
//!
//! Every group of any instance updates the row `head`. As long as that row is the one that this instance's last group
//! wrote, no other instance has changed an agent.

use std::collections::HashMap;

use crate::stored::{AgentHead, Needed, Stored};

/// Agents kept at most.
const AGENTS: usize = 20_000;

/// What this instance knows of agents without reading them.
#[derive(Default)]
pub(crate) struct KnownAgents {
    agents: HashMap<String, AgentHead>,
    /// The transaction of this instance's last group.
    written_by: Option<String>,
    /// Whether no other instance has written between this instance's last two groups.
    is_alone: bool,
}

impl KnownAgents {
    /// The records to read together with the lock. With others about, all of them: what is known is about to be
    /// out of date.
    pub(crate) fn without_known(&self, needed: Needed) -> Needed {
        match self.is_alone {
            true => needed.without_agents(|agent| self.agents.contains_key(agent)),
            false => needed,
        }
    }

    /// Compares the transaction that has written the locked head.
    pub(crate) fn compare(&mut self, written_by: &str) {
        self.is_alone = self.written_by.as_deref() == Some(written_by);
        if !self.is_alone {
            self.agents.clear();
        }
    }

    /// Adds known agents to the stored state, in place of reading them.
    pub(crate) fn fill(&self, stored: &mut Stored, needed: Needed) -> Needed {
        needed.without_agents(|agent| match self.agents.get(agent) {
            Some(head) => {
                stored.agents.insert(agent.to_owned(), head.clone());
                true
            }
            None => false,
        })
    }

    /// Keeps the positions after a group that this transaction has stored.
    pub(crate) fn keep(
        &mut self,
        written_by: String,
        agents: impl Iterator<Item = (String, AgentHead)>,
    ) {
        if self.agents.len() >= AGENTS {
            self.agents.clear();
        }
        self.agents.extend(agents);
        self.written_by = Some(written_by);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use life_agent_domain::governance::ids::AgentId;
    use life_agent_observer::{AgentVersion, Head, Precondition, StateHash, WriteBatch};

    use super::*;
    use crate::stored::StoredHead;

    fn needs_agent() -> Needed {
        let agent = AgentId::new("a").unwrap();
        let at = AgentVersion { version: 1, state_hash: StateHash::default() };
        let preconditions = vec![Precondition::Agent { agent, at }];
        Needed::of(&[WriteBatch { preconditions, ..WriteBatch::default() }])
    }

    fn stored() -> Stored {
        let head = Head { id: 1, hash: String::new() };
        Stored {
            end: StoredHead { head, ts: String::new(), control: 0 },
            written_by: String::new(),
            now: String::new(),
            lease_end: String::new(),
            agents: HashMap::new(),
            plans: HashMap::new(),
            keys: HashSet::new(),
            jobs: HashMap::new(),
            texts: HashSet::new(),
        }
    }

    #[test]
    fn an_agent_is_read_unless_the_last_group_was_this_instances_own() {
        let mut known = KnownAgents::default();
        assert!(!known.without_known(needs_agent()).is_empty());
        let at = |version| AgentHead { version, ..AgentHead::default() };
        known.keep("7".to_owned(), [("a".to_owned(), at(3))].into_iter());
        // Another instance may be about.
        assert!(!known.without_known(needs_agent()).is_empty());
        known.compare("7");
        assert!(known.without_known(needs_agent()).is_empty());
        let mut found = stored();
        assert!(known.fill(&mut found, needs_agent()).is_empty());
        assert_eq!(found.agents["a"].version, 3);
        known.compare("8");
        assert!(!known.without_known(needs_agent()).is_empty());
        let mut found = stored();
        assert!(!known.fill(&mut found, needs_agent()).is_empty() && found.agents.is_empty());
    }
}
