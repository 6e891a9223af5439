//! Steps of agents: decided, queued and applied under the agent's lock, then awaited.

use std::borrow::Cow;
use std::sync::Arc;

use life_agent_domain::agent::profile::Profile;
use life_agent_domain::agent::rules::{ActStep, TurnStep};
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::Gated;
use life_agent_domain::governance::event::{
    ActRecord, Actor, NarrationRecord, Source, StateMark, TurnRecord,
};
use life_agent_domain::governance::gate::{GateNotes, Permit};
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{
    AgentStep, AgentVersion, JobChange, JournalError, Precondition, Rejection, SideWrite, Snapshot,
    StateHash, WriteBatch,
};

use super::AgentService;
use StepError::{Failure, JournalFailure};

use super::cache::{Loaded, Slot};
use super::facts::{fact_versions, facts_extra};
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::policy::ActivePolicy;
use crate::recorder::{Batch, FirstClaim, committed_at, journal_span};
use crate::views::{Present, StepOutcome, TurnOutcome};

/// The rules for one kind of command.
pub(crate) struct StepRules<C, S> {
    /// Adds the step's event to a batch.
    pub(crate) record:
        fn(&mut Batch<'_>, &C, &S, StateMark<'_>, &GateNotes) -> Result<(), EngineError>,
    pub(crate) agent: fn(&C) -> &AgentId,
    pub(crate) decide: fn(&AgentState, &Profile, &Permit<C>) -> S,
    pub(crate) apply: fn(&mut AgentState, &S),
}

/// A narrated turn and the acts of the model in it.
pub(crate) struct NarratedTurn {
    pub(crate) step: TurnStep,
    /// Version and hash of the state after the turn itself.
    pub(crate) settled: (u64, String),
    pub(crate) acts: Vec<ModelAct>,
    pub(crate) narration: NarrationRecord,
    pub(crate) source: Source,
    /// The state before the turn.
    pub(crate) before: Arc<AgentState>,
    /// The state after the turn and the acts.
    pub(crate) state: AgentState,
    pub(crate) with: StepWrites,
}

/// What is committed with a step, and the conditions of the step.
#[derive(Default)]
pub(crate) struct StepWrites {
    /// The usage of a narrated turn.
    pub(crate) side: Vec<SideWrite>,
    pub(crate) require: Vec<Precondition>,
    /// The job that the step completes.
    pub(crate) job: Option<String>,
}

impl StepWrites {
    /// Adds the writes and the conditions to the batch of the step.
    fn add_to(self, batch: &mut Batch<'_>) {
        batch.extend(self.side);
        batch.extend(self.job.map(|id| SideWrite::Job(JobChange::Done { id })));
        self.require.into_iter().for_each(|condition| batch.require(condition));
    }
}

/// Attempts to decide a step while other instances step the same agent.
const ATTEMPTS: usize = 16;

/// Why a step was not taken.
enum StepError {
    JournalFailure(JournalError),
    Failure(EngineError),
}

impl From<JournalError> for StepError {
    fn from(error: JournalError) -> Self {
        JournalFailure(error)
    }
}

impl From<EngineError> for StepError {
    fn from(error: EngineError) -> Self {
        Failure(error)
    }
}

impl From<StepError> for EngineError {
    fn from(error: StepError) -> Self {
        match error {
            JournalFailure(error) => error.into(),
            Failure(error) => error,
        }
    }
}

/// An act of the model during a turn.
pub(crate) struct ModelAct {
    pub(crate) step: ActStep,
    pub(crate) version: u64,
    pub(crate) hash: String,
    pub(crate) notes: GateNotes,
    /// The index of the tool call.
    pub(crate) call: usize,
}

impl AgentService {
    /// Decides and commits the next step of the permit's agent, together with its side writes.
    pub(crate) async fn commit_step<C: Gated, S>(
        &self,
        context: &RequestContext,
        policy: &Arc<ActivePolicy>,
        permit: &Permit<C>,
        rules: &StepRules<C, S>,
        with: StepWrites,
    ) -> Result<StepOutcome<S>, EngineError> {
        let mut attempts = 1..ATTEMPTS;
        loop {
            let again = StepWrites {
                // Only a narrated turn has a usage, and it is not decided again.
                side: Vec::new(),
                require: with.require.clone(),
                job: with.job.clone(),
            };
            match self.try_step(context, policy, permit, rules, again).await {
                Err(JournalFailure(JournalError::Rejected(Rejection::AgentChanged(_))))
                    if attempts.next().is_some() => {}
                stepped => return stepped.map_err(Into::into),
            }
        }
    }

    /// Decides and commits a step on the state that is known now.
    async fn try_step<C: Gated, S>(
        &self,
        context: &RequestContext,
        policy: &Arc<ActivePolicy>,
        permit: &Permit<C>,
        rules: &StepRules<C, S>,
        with: StepWrites,
    ) -> Result<StepOutcome<S>, StepError> {
        let claim = FirstClaim::of(context);
        let agent = (rules.agent)(permit.command());
        let notes = GateNotes::from(permit.trace());
        let slot = self.cache.slot(agent);
        let (pending, step, state_version, state_hash, mut span) = {
            let _shared = self.cache.lock_shared(&slot).await?;
            let mut held = self.cache.lock(agent, &slot).await?;
            let state = held.as_ref().map(|loaded| &loaded.present.state);
            if let Some(state) = state {
                self.admit(&context.principal, state).await?;
            }
            // Reserved before anything changes: a full queue leaves the agent as it was. After any other
            // failure the slot is empty and the agent is loaded again.
            let place = self.journal.reserve()?;
            let loaded = held.take().ok_or(EngineError::Unavailable)?;
            let loaded_slowly = loaded.loaded_slowly();
            let Loaded { present, epoch, .. } = loaded;
            let Present { mut state, state_hash } = present;
            let from = decided_on(&state, &state_hash);
            let had = fact_versions(&state);
            let step = (rules.decide)(&state, &policy.profile, permit);
            (rules.apply)(Arc::make_mut(&mut state), &step);
            let (version, state_hash) = (state.version, state.hash());
            let mut batch = Batch::new(context, &policy.snapshot.hash);
            let mark = StateMark { state_version: version, state_hash: state_hash.as_str().into() };
            (rules.record)(&mut batch, permit.command(), &step, mark, &notes)?;
            batch.extend(facts_extra(agent, &had, &state));
            with.add_to(&mut batch);
            let due = loaded_slowly || self.due(policy, version);
            let span = journal_span(context);
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
                ..batch.finish_step()
            })?;
            let present = Present { state, state_hash: state_hash.clone() };
            let loaded = Loaded { present, epoch, replayed: 0 };
            self.cache.store(agent, &slot, &mut held, loaded);
            (pending, step, version, state_hash, span)
        };
        let committed = self.cache.settle(&slot, pending).await;
        committed_at(&mut span, committed.as_ref().ok());
        let event_id = committed.inspect_err(|error| claim.failed(error))?.id;
        Ok(StepOutcome { step, event_id, state_version, state_hash, notes })
    }

    /// Commits a narrated turn and the acts of the model: all of them or none.
    pub(crate) async fn commit_narrated(
        &self,
        context: &RequestContext,
        policy: &Arc<ActivePolicy>,
        agent: &AgentId,
        slot: &Arc<Slot>,
        narrated: NarratedTurn,
        notes: GateNotes,
    ) -> Result<TurnOutcome, EngineError> {
        let NarratedTurn { step, settled, acts, mut narration, source, before, state, with } =
            narrated;
        let claim = FirstClaim::of(context);
        let mut batch = Batch::new(context, &policy.snapshot.hash);
        let turn = TurnRecord {
            step: &step,
            state: StateMark { state_version: settled.0, state_hash: settled.1.as_str().into() },
            notes: Cow::Borrowed(&notes),
            source: Some(source),
            narration: Some(Cow::Borrowed(&narration)),
        };
        batch.push(Some(agent), &turn)?;
        for act in &acts {
            let record = ActRecord {
                step: &act.step,
                state: StateMark {
                    state_version: act.version,
                    state_hash: act.hash.as_str().into(),
                },
                notes: Cow::Borrowed(&act.notes),
                by: Some(Actor::Model),
                turn: Some(step.turn.number),
            };
            batch.push(Some(agent), &record)?;
        }
        let state_hash = acts.last().map_or(settled.1, |act| act.hash.clone());
        let state_version = state.version;
        let due = (settled.0..=state_version).any(|version| self.due(policy, version));
        let (pending, mut span) = {
            let mut held = self.cache.lock(agent, slot).await?;
            let loaded = held.as_mut().ok_or(EngineError::Unavailable)?;
            // The exclusive lock keeps other steps away, but a failed commit may have reverted the state
            // that the turn is based on.
            if loaded.present.state != before {
                return Err(match self.journal.is_shared() {
                    // Another instance has stepped the agent.
                    true => EngineError::AgentBusy,
                    false => EngineError::Unavailable,
                });
            }
            let step = AgentStep {
                version: state_version,
                turns: state.turns,
                state_hash: StateHash::from_hex(&state_hash),
                from: Some(decided_on(&before, &loaded.present.state_hash)),
            };
            batch.extend(facts_extra(agent, &fact_versions(&before), &state));
            with.add_to(&mut batch);
            let span = journal_span(context);
            let pending = self.journal.append(WriteBatch {
                epoch: Some(loaded.epoch),
                step: Some(step),
                snapshot: (due || loaded.loaded_slowly())
                    .then(|| Snapshot::of(&state, &state_hash)),
                held: Some(Arc::<Slot>::clone(slot)),
                ..batch.finish()
            })?;
            let (state, state_hash) = (Arc::new(state), state_hash.clone());
            let present = Present { state, state_hash };
            let loaded = Loaded { present, epoch: loaded.epoch, replayed: 0 };
            self.cache.store(agent, slot, &mut held, loaded);
            (pending, span)
        };
        let committed = self.cache.settle(slot, pending).await;
        committed_at(&mut span, committed.as_ref().ok());
        let rows = committed.inspect_err(|error| claim.failed(error))?.rows;
        for (act, row) in acts.iter().zip(rows.iter().skip(1)) {
            if let Some(call) = narration.steps.get_mut(act.call) {
                call.step.event_id = Some(row.id);
            }
        }
        Ok(TurnOutcome {
            step,
            event_id: rows.first().map_or(0, |row| row.id),
            state_version,
            state_hash,
            notes,
            source,
            usage: narration.usage,
            withheld: narration.withheld,
            fallback: narration.fallback,
            steps: narration.steps.into_iter().map(|call| call.step).collect(),
        })
    }

    /// The snapshot of the first step keeps the agent's seed; later ones bound the cost of loading.
    fn due(&self, policy: &ActivePolicy, version: u64) -> bool {
        let every = u64::from(policy.snapshot.policy.observer.snapshot_every.max(1));
        version == 1 || version.is_multiple_of(every)
    }
}

/// The state that a step is decided on, as a precondition of the step.
fn decided_on(state: &AgentState, state_hash: &str) -> AgentVersion {
    AgentVersion { version: state.version, state_hash: StateHash::from_hex(state_hash) }
}
