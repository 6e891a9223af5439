//! Retention: snapshots the agents that old rows still carry, then lets the journal remove those rows.

use jiff::{SignedDuration, Timestamp};
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{ExpiryLimits, PruneReport, Retention, SideWrite, Snapshot, WriteBatch};

use crate::answers::Present;
use crate::engine::Engine;
use crate::error::EngineError;

/// How long turns of the queue are kept that have ended.
const JOBS_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long answers to calls with a key are kept.
const ANSWERS_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Agents snapshotted in one go.
const AGENTS: usize = 256;

impl Engine {
    /// Removes rows that need not be kept, oldest first; every agent keeps its state.
    pub async fn prune(&self, keep: Retention) -> Result<PruneReport, EngineError> {
        let upto = self.journal.prunable(keep).await?;
        loop {
            let agents = self.journal.uncovered_agents(upto, AGENTS).await?;
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

    /// Removes ended turns of the queue and answers to calls with a key that need not be kept.
    pub async fn forget(&self) -> Result<(), EngineError> {
        let before = |age: SignedDuration| format!("{:.6}", Timestamp::now() - age);
        let limits = ExpiryLimits {
            jobs_before: before(JOBS_KEPT),
            max_jobs: 100_000,
            records_before: before(ANSWERS_KEPT),
            max_records: 100_000,
            max_bytes: 256 << 20,
        };
        for expired in self.journal.expired(limits).await? {
            self.journal.append(WriteBatch::side(vec![SideWrite::Expire(expired)]))?.await?;
        }
        Ok(())
    }

    async fn keep_state(&self, agent: &AgentId) -> Result<(), EngineError> {
        let Present { state, state_hash } = self.agents.present(agent).await?;
        let snapshot = Snapshot::of(&state, &state_hash);
        let side_writes = vec![SideWrite::Snapshot(agent.clone(), snapshot)];
        self.journal.append(WriteBatch::side(side_writes))?.await?;
        Ok(())
    }
}
