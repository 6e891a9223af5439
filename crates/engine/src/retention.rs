//! Retention: snapshots the agents whose states depend on old rows, then removes those rows.

use std::sync::Arc;

use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{Journal, PruneReport, Retention, SideWrite, Snapshot};

use crate::agents::AgentService;
use crate::error::EngineError;
use crate::recorder::Recorder;
use crate::views::Present;

/// Agents snapshotted per round.
const AGENTS: usize = 256;

/// Removes old rows.
pub(crate) struct RetentionService {
    journal: Journal,
    recorder: Recorder,
    agents: Arc<AgentService>,
}

impl RetentionService {
    pub(crate) fn new(journal: Journal, recorder: Recorder, agents: Arc<AgentService>) -> Self {
        Self { journal, recorder, agents }
    }

    /// Removes the rows that `keep` does not cover, oldest first. Every agent keeps its state.
    pub(crate) async fn prune(&self, keep: Retention) -> Result<PruneReport, EngineError> {
        let upto = self.journal.prunable(keep).await?;
        loop {
            let agents = self.journal.uncovered_agents(upto, AGENTS).await?;
            for agent in agents.iter().filter_map(|id| AgentId::new(id).ok()) {
                self.snapshot(&agent).await?;
            }
            // The rows of an agent that steps meanwhile stay until the next call.
            if agents.len() < AGENTS {
                break;
            }
        }
        Ok(self.journal.prune(keep).await?)
    }

    async fn snapshot(&self, agent: &AgentId) -> Result<(), EngineError> {
        let Present { state, state_hash } = self.agents.state(agent).await?;
        let snapshot = Snapshot::of(&state, &state_hash);
        self.recorder.write(SideWrite::Snapshot(agent.clone(), snapshot)).await
    }
}
