//! Retention: snapshots the agents that old rows still carry, then lets the journal remove those rows.

use jiff::{SignedDuration, Timestamp};
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{Extra, Forget, Keep, Pruned, Snapshot, Work};

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

    /// Removes ended turns of the queue and answers to calls with a key that need not be kept.
    pub async fn forget(&self) -> Result<(), EngineError> {
        let before = |age: SignedDuration| format!("{:.6}", Timestamp::now() - age);
        let forget = Forget {
            jobs_before: before(JOBS_KEPT),
            max_jobs: 100_000,
            marks_before: before(ANSWERS_KEPT),
            max_marks: 100_000,
            max_bytes: 256 << 20,
        };
        for some in self.journal.read(move |reader| reader.forgettable(&forget)).await? {
            let extra = vec![Extra::Forget(some)];
            self.journal.append(Work { extra, ..Work::default() })?.await?;
        }
        Ok(())
    }

    async fn keep_state(&self, agent: &AgentId) -> Result<(), EngineError> {
        let Present { state, state_hash } = self.agents.present(agent).await?;
        let snapshot = Snapshot::of(&state, &state_hash);
        let extra = vec![Extra::Snapshot(agent.clone(), snapshot)];
        self.journal.append(Work { extra, ..Work::default() })?.await?;
        Ok(())
    }
}
