//! One step of one agent: decide, append, apply, and wait until it is durable.

use std::sync::Arc;

use life_agent_domain::command::Gated;
use life_agent_domain::gate::Permit;
use life_agent_domain::ids::AgentId;
use life_agent_domain::profile::Profile;
use life_agent_domain::record::{Entry, EventKind};
use life_agent_domain::state::AgentState;
use life_agent_observer::{AgentStep, Snapshot, Work};
use serde::Serialize;

use crate::answers::{GateNotes, Taken};
use crate::engine::{Caller, Engine, row_data};
use crate::error::EngineError;
use crate::policy::InForce;

/// How a permitted command becomes a step, and what that does to a state.
pub(crate) struct Rules<C, S> {
    pub(crate) kind: EventKind,
    pub(crate) agent: fn(&C) -> &AgentId,
    pub(crate) decide: fn(&AgentState, &Profile, &Permit<C>) -> S,
    pub(crate) apply: fn(&mut AgentState, &S),
}

/// What the journal keeps of a step.
#[derive(Serialize)]
struct StepData<'a, S> {
    #[serde(flatten)]
    step: &'a S,
    state_version: u64,
    state_hash: &'a str,
    #[serde(flatten)]
    notes: &'a GateNotes,
    policy_hash: &'a str,
}

impl Engine {
    /// Takes the next step of the permit's agent.
    pub(crate) async fn take<C: Gated, S: Serialize>(
        &self,
        caller: &Caller,
        policy: &Arc<InForce>,
        permit: &Permit<C>,
        rules: &Rules<C, S>,
    ) -> Result<Taken<S>, EngineError> {
        let agent = (rules.agent)(permit.command());
        let notes = GateNotes::from(permit.trace());
        let slot = self.agents.slot(agent);
        let (pending, step, state_version, state_hash) = {
            let mut held = self.agents.lock(agent, &slot).await?;
            let loaded = held.as_mut().ok_or(EngineError::Unavailable)?;
            let step = (rules.decide)(&loaded.state, &policy.profile, permit);
            let mut next = loaded.state.clone();
            (rules.apply)(&mut next, &step);
            let state_hash = next.hash();
            let data = row_data(&StepData {
                step: &step,
                state_version: next.version,
                state_hash: &state_hash,
                notes: &notes,
                policy_hash: &policy.snapshot.hash,
            })?;
            let pending = self.journal.append(Work {
                epoch: Some(loaded.epoch),
                step: Some(AgentStep { version: next.version, turns: next.turns }),
                snapshot: self.due(policy, &next).then(|| Snapshot::of(&next, &state_hash)),
                ..Work::of(self.entry(caller, rules.kind, Some(agent.clone()), data))
            })?;
            // Only what is queued counts: a full queue has left the agent as it was.
            loaded.state = next;
            (pending, step, loaded.state.version, state_hash)
        };
        let event_id = pending.await?.id;
        Ok(Taken { step, event_id, state_version, state_hash, notes })
    }

    /// The first step keeps the seed that the agent began with; later ones keep loading short.
    fn due(&self, policy: &InForce, state: &AgentState) -> bool {
        let every = u64::from(policy.snapshot.policy.observer.snapshot_every.max(1));
        state.version == 1 || state.version.is_multiple_of(every)
    }

    pub(crate) fn entry(
        &self,
        caller: &Caller,
        kind: EventKind,
        agent: Option<AgentId>,
        data: Box<serde_json::value::RawValue>,
    ) -> Entry {
        Entry {
            kind,
            agent,
            principal: caller.principal.as_str().to_owned(),
            request_id: caller.request_id.clone(),
            data,
        }
    }
}
