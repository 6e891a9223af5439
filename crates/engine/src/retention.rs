//! Retention: snapshots the agents whose states depend on old rows, then removes those rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_domain::governance::event::{EventKind, KillSwitchRecord};
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{Journal, PruneReport, Retention, SideWrite, Snapshot};
use metrics::gauge;

use crate::agents::AgentService;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::policy::PolicyCell;
use crate::recorder::Recorder;
use crate::views::Present;

/// Agents snapshotted per round.
const AGENTS: usize = 256;

/// Removes old rows.
pub(crate) struct RetentionService {
    journal: Journal,
    recorder: Recorder,
    agents: Arc<AgentService>,
    policy: Arc<PolicyCell>,
    started: Instant,
    /// The last row from before the start, if removing it and all rows before it needs a confirmation.
    held: Option<u64>,
}

impl RetentionService {
    pub(crate) fn new(
        journal: Journal,
        recorder: Recorder,
        agents: Arc<AgentService>,
        policy: Arc<PolicyCell>,
        held: Option<u64>,
    ) -> Self {
        gauge!("retention_held").set(0.0);
        Self { journal, recorder, agents, policy, started: Instant::now(), held }
    }

    /// Removes the rows that `keep` does not cover, oldest first. Every agent keeps its state.
    pub(crate) async fn prune(&self, keep: Retention) -> Result<PruneReport, EngineError> {
        let upto = self.journal.prunable(keep).await?;
        self.check_confirmed(keep, upto)?;
        self.keep_switch(upto).await?;
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

    /// Refuses to remove everything from before the start by its age: either nothing happened for as long, or
    /// the clock is wrong.
    fn check_confirmed(&self, keep: Retention, upto: u64) -> Result<(), EngineError> {
        let Retention::Days(days) = keep else { return Ok(()) };
        let age = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        let all = self.held.filter(|held| *held > 0 && upto >= *held);
        let Some(all) = all.filter(|_| self.started.elapsed() < age) else {
            gauge!("retention_held").set(0.0);
            return Ok(());
        };
        gauge!("retention_held").set(1.0);
        Err(EngineError::Conflict(format!(
            "retention by days would remove every row from before this start, up to row {all}; check the clock, \
             and start with `JOURNAL_PRUNE_ALL=on` if they shall go"
        )))
    }

    /// Records a switch that is on once more before its row is removed: the row is what decides.
    async fn keep_switch(&self, upto: u64) -> Result<(), EngineError> {
        let on = self.journal.last_row(EventKind::KillSwitchOn.as_str(), None).await?;
        let off = self.journal.last_row(EventKind::KillSwitchOff.as_str(), None).await?;
        let Some(on) = on.filter(|on| on.id <= upto) else { return Ok(()) };
        if off.is_some_and(|off| off.id > on.id) {
            return Ok(());
        }
        let Ok(record) = on.read::<KillSwitchRecord>() else { return Ok(()) };
        let (context, policy) = (RequestContext::system(), self.policy.active());
        let hash = &policy.snapshot.hash;
        self.recorder.record(&context, hash, None, &record, Vec::new()).await?;
        Ok(())
    }

    async fn snapshot(&self, agent: &AgentId) -> Result<(), EngineError> {
        let Present { state, state_hash } = self.agents.state(agent).await?;
        let snapshot = Snapshot::of(&state, &state_hash);
        self.recorder.write(SideWrite::Snapshot(agent.clone(), snapshot)).await
    }
}
