//! Retention: snapshots the agents that old rows still carry, then lets the journal remove those rows.

use life_agent_domain::ids::AgentId;
use life_agent_observer::{Extra, Keep, Pruned, Snapshot, Work};

use crate::engine::Engine;
use crate::error::EngineError;

/// Agents snapshotted in one go.
const AGENTS: usize = 256;

impl Engine {
    /// Removes rows that need not be kept, oldest first; every agent keeps its state.
    pub async fn prune(&self, keep: Keep) -> Result<Pruned, EngineError> {
        let upto = self.journal.read(move |reader| reader.prunable(keep)).await?;
        loop {
            let agents =
                self.journal.read(move |reader| reader.unsnapshotted(upto, AGENTS)).await?;
            for agent in agents.iter().filter_map(|id| AgentId::new(id).ok()) {
                self.keep_state(&agent).await?;
            }
            // An agent that steps while it is snapshotted holds its rows back until the next time.
            if agents.len() < AGENTS {
                break;
            }
        }
        Ok(self.journal.prune(keep).await?)
    }

    async fn keep_state(&self, agent: &AgentId) -> Result<(), EngineError> {
        let state = self.agents.state(agent).await?;
        let snapshot = Snapshot::of(&state, &state.hash());
        let extra = vec![Extra::Snapshot(agent.clone(), snapshot)];
        self.journal.append(Work { extra, ..Work::default() })?.await?;
        Ok(())
    }
}
