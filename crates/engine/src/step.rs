//! One step of one agent: decide, append, apply, and wait until it is durable.

use std::sync::Arc;

use life_agent_domain::agent::profile::Profile;
use life_agent_domain::agent::rules::TurnStep;
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::Gated;
use life_agent_domain::governance::event::{Entry, EventKind, Row};
use life_agent_domain::governance::gate::Permit;
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{AgentStep, AgentVersion, SideWrite, Snapshot, StateHash, WriteBatch};
use serde::{Deserialize, Serialize};

use crate::agents::{Loaded, Slot};
use crate::answers::{GateNotes, Present, Source, Taken};
use crate::engine::{Caller, Engine, row_data};
use crate::error::EngineError;
use crate::llm::{Done, Telling};
use crate::memory::{fact_versions, facts_extra};
use crate::policy::InForce;
use crate::told::Turned;

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
    #[serde(flatten)]
    beside: Beside<'a>,
}

/// Who did an act that no caller asked for.
const MODEL: &str = "model";

/// What else the row of a step states.
#[derive(Serialize)]
#[serde(untagged)]
enum Beside<'a> {
    Nothing {},
    /// Of a turn that the model was asked to tell.
    Told {
        source: Source,
        telling: &'a Telling,
    },
    /// Of an act that the model did in its agent's turn of this number.
    ByModel {
        by: &'static str,
        turn: u64,
    },
}

/// Whether a row is an act of the model's.
pub(crate) fn is_by_model(row: &Row) -> bool {
    #[derive(Deserialize)]
    struct Done {
        by: Option<String>,
    }
    let done = serde_json::from_str::<Done>(row.data.get());
    row.kind == EventKind::Act.as_str() && done.is_ok_and(|done| done.by.as_deref() == Some(MODEL))
}

/// A turn that has been told, and all that was done in it.
pub(crate) struct Told {
    pub(crate) step: TurnStep,
    /// Version and hash of the state after the turn itself.
    pub(crate) settled: (u64, String),
    pub(crate) acts: Vec<Done>,
    pub(crate) telling: Telling,
    pub(crate) source: Source,
    /// The state that the turn was settled on.
    pub(crate) before: Arc<AgentState>,
    /// The state after all of it.
    pub(crate) state: AgentState,
    pub(crate) extra: Vec<SideWrite>,
}

impl Engine {
    /// Takes the next step of the permit's agent; `extra` is kept together with its row.
    pub(crate) async fn take<C: Gated, S: Serialize>(
        &self,
        caller: &Caller,
        policy: &Arc<InForce>,
        permit: &Permit<C>,
        rules: &Rules<C, S>,
        extra: Vec<SideWrite>,
    ) -> Result<Taken<S>, EngineError> {
        let agent = (rules.agent)(permit.command());
        let notes = GateNotes::from(permit.trace());
        let slot = self.agents.slot(agent);
        let (pending, step, state_version, state_hash) = {
            let _shared = self.agents.share(&slot).await?;
            let mut held = self.agents.lock(agent, &slot).await?;
            // Before anything is changed: a full queue leaves the agent as it was. If something else
            // goes wrong the state is gone from here, and read again from the journal.
            let place = self.journal.reserve()?;
            let loaded = held.take().ok_or(EngineError::Unavailable)?;
            let took_many_rows = loaded.took_many_rows();
            let Loaded { present, epoch, .. } = loaded;
            let Present { mut state, state_hash } = present;
            let from = decided_on(&state, &state_hash);
            let had = fact_versions(&state);
            let step = (rules.decide)(&state, &policy.profile, permit);
            (rules.apply)(Arc::make_mut(&mut state), &step);
            let (version, state_hash) = (state.version, state.hash());
            let data = row_data(&StepData {
                step: &step,
                state_version: version,
                state_hash: &state_hash,
                notes: &notes,
                policy_hash: &policy.snapshot.hash,
                beside: Beside::Nothing {},
            })?;
            let beside = facts_extra(agent, &had, &state).into_iter().chain(extra);
            let due = took_many_rows || self.due(policy, version);
            let pending = place.append(WriteBatch {
                epoch: Some(epoch),
                step: Some(AgentStep {
                    version,
                    turns: state.turns,
                    state_hash: StateHash::from_hex(&state_hash),
                    from: Some(from),
                }),
                snapshot: due.then(|| Snapshot::of(&state, &state_hash)),
                held: Some(Arc::<Slot>::clone(&slot)),
                side_writes: caller.marked(beside.collect()),
                ..WriteBatch::of(self.entry(caller, rules.kind, Some(agent.clone()), data))
            })?;
            let present = Present { state, state_hash: state_hash.clone() };
            let loaded = Loaded { present, epoch, replayed: 0 };
            self.agents.keep(agent, &slot, &mut held, loaded);
            (pending, step, version, state_hash)
        };
        let event_id = self.agents.settle(&slot, pending).await?.id;
        Ok(Taken { step, event_id, state_version, state_hash, notes })
    }

    /// Takes the steps of a turn that has been told: all of them or none.
    pub(crate) async fn take_told(
        &self,
        caller: &Caller,
        policy: &Arc<InForce>,
        agent: &AgentId,
        slot: &Arc<Slot>,
        told: Told,
        notes: GateNotes,
    ) -> Result<Turned, EngineError> {
        let Told { step, settled, acts, mut telling, source, before, state, extra } = told;
        let turn = StepData {
            step: &step,
            state_version: settled.0,
            state_hash: &settled.1,
            notes: &notes,
            policy_hash: &policy.snapshot.hash,
            beside: Beside::Told { source, telling: &telling },
        };
        let entry = |kind, data| self.entry(caller, kind, Some(agent.clone()), data);
        let mut entries = vec![entry(EventKind::Turn, row_data(&turn)?)];
        for act in &acts {
            let data = row_data(&StepData {
                step: &act.step,
                state_version: act.version,
                state_hash: &act.hash,
                notes: &act.notes,
                policy_hash: &policy.snapshot.hash,
                beside: Beside::ByModel { by: MODEL, turn: step.turn.number },
            })?;
            entries.push(entry(EventKind::Act, data));
        }
        let state_hash = acts.last().map_or(settled.1, |act| act.hash.clone());
        let state_version = state.version;
        let due = (settled.0..=state_version).any(|version| self.due(policy, version));
        let pending = {
            let mut held = self.agents.lock(agent, slot).await?;
            let loaded = held.as_mut().ok_or(EngineError::Unavailable)?;
            // Nobody else takes a step meanwhile; but a commit may have failed and taken back what
            // this was built on.
            if loaded.present.state != before {
                return Err(EngineError::Unavailable);
            }
            let step = AgentStep {
                version: state_version,
                turns: state.turns,
                state_hash: StateHash::from_hex(&state_hash),
                from: Some(decided_on(&before, &loaded.present.state_hash)),
            };
            let beside = facts_extra(agent, &fact_versions(&before), &state);
            let beside = beside.into_iter().chain(extra);
            let pending = self.journal.append(WriteBatch {
                entries,
                epoch: Some(loaded.epoch),
                step: Some(step),
                snapshot: (due || loaded.took_many_rows())
                    .then(|| Snapshot::of(&state, &state_hash)),
                side_writes: caller.marked(beside.collect()),
                held: Some(Arc::<Slot>::clone(slot)),
                preconditions: Vec::new(),
            })?;
            let (state, state_hash) = (Arc::new(state), state_hash.clone());
            let present = Present { state, state_hash };
            let loaded = Loaded { present, epoch: loaded.epoch, replayed: 0 };
            self.agents.keep(agent, slot, &mut held, loaded);
            pending
        };
        let rows = self.agents.settle(slot, pending).await?.rows;
        for (act, row) in acts.iter().zip(rows.iter().skip(1)) {
            if let Some(call) = telling.steps.get_mut(act.call) {
                call.step.event_id = Some(row.id);
            }
        }
        Ok(Turned {
            step,
            event_id: rows.first().map_or(0, |row| row.id),
            state_version,
            state_hash,
            notes,
            source,
            usage: telling.usage,
            withheld: telling.withheld,
            steps: telling.steps.into_iter().map(|kept| kept.step).collect(),
        })
    }

    /// The first step keeps the seed that the agent began with; later ones keep loading short.
    fn due(&self, policy: &InForce, version: u64) -> bool {
        let every = u64::from(policy.snapshot.policy.observer.snapshot_every.max(1));
        version == 1 || version.is_multiple_of(every)
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

/// The state that a step is decided on, as a precondition of the step.
fn decided_on(state: &AgentState, state_hash: &str) -> AgentVersion {
    AgentVersion { version: state.version, state_hash: StateHash::from_hex(state_hash) }
}
