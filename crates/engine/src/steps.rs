//! Acts and turns: the requests that change the state of an agent.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use life_agent_domain::agent::rules::{
    ActStep, TurnStep, apply_act, apply_turn, decide_act, decide_turn,
};
use life_agent_domain::governance::command::{Act, Gated, Kind, Turn};
use life_agent_domain::governance::event::{ActRecord, Source, TurnRecord};
use life_agent_domain::governance::gate::Permit;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::agents::{AgentService, StepRules, StepWrites};
use crate::approvals::{ApprovalUse, record_use};
use crate::chat::ModelCalls;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::govern::{Governor, Metered, nothing_else};
use crate::meters::{Meters, Whose};
use crate::narration::{Narrator, TurnOptions};
use crate::policy::ActivePolicy;
use crate::views::{ActOutcome, StepOutcome, TurnEvent, TurnOutcome};

const ACT: StepRules<Act, ActStep> = StepRules {
    record: |batch, act, step, state, notes| {
        let notes = Cow::Borrowed(notes);
        batch.push(Some(&act.agent), &ActRecord { step, state, notes, by: None, turn: None })
    },
    agent: |act| &act.agent,
    decide: decide_act,
    apply: apply_act,
};

const TURN: StepRules<Turn, TurnStep> = StepRules {
    record: |batch, turn, step, state, notes| {
        let (notes, source, narration) = (Cow::Borrowed(notes), None, None);
        let record = TurnRecord { step, state, notes, source, narration };
        batch.push(Some(&turn.agent), &record)
    },
    agent: |turn| &turn.agent,
    decide: decide_turn,
    apply: apply_turn,
};

/// Attempts to record an act while the policy and the stops change at other instances.
const ATTEMPTS: usize = 4;

/// A streamed turn. Dropping it does not end the turn.
pub struct TurnEvents {
    /// Unbounded, because the length of a reply is bounded.
    events: UnboundedReceiver<TurnEvent>,
    first: Option<TurnEvent>,
}

impl TurnEvents {
    /// The next event; none after [`TurnEvent::Done`] or [`TurnEvent::Failed`].
    pub async fn next(&mut self) -> Option<TurnEvent> {
        match self.first.take() {
            Some(first) => Some(first),
            None => self.events.recv().await,
        }
    }
}

/// Carries out acts and turns.
pub(crate) struct StepService {
    governor: Arc<Governor>,
    agents: Arc<AgentService>,
    narrator: Arc<Narrator>,
    calls: Arc<ModelCalls>,
    meters: Arc<Meters>,
}

impl StepService {
    pub(crate) fn new(
        governor: Arc<Governor>,
        agents: Arc<AgentService>,
        narrator: Arc<Narrator>,
        calls: Arc<ModelCalls>,
        meters: Arc<Meters>,
    ) -> Self {
        Self { governor, agents, narrator, calls, meters }
    }

    /// Applies an action. The step is durable.
    pub(crate) async fn act(
        &self,
        context: &RequestContext,
        act: Act,
    ) -> Result<ActOutcome, EngineError> {
        let started = Instant::now();
        let again = self.governor.copy_if_shared(&act);
        let (mut policy, mut permit, mut used) = self.permitted(context, act, Metered::Yes).await?;
        record_use(&mut used, context, &policy).await?;
        let mut attempts = 1..ATTEMPTS;
        loop {
            let with = StepWrites::default();
            match self.agents.commit_step(context, &policy, &permit, &ACT, with).await {
                Ok(outcome) => {
                    let whose = Whose::of(context, Some(&permit.command().agent));
                    self.meters.done(Kind::Act, whose, started);
                    return Ok(outcome);
                }
                Err(EngineError::Outdated) if attempts.next().is_some() => {
                    let act = again.clone().ok_or(EngineError::Outdated)?;
                    policy = self.governor.settled().await?;
                    permit =
                        self.governor.permit_again(context, &policy, act, used.as_ref()).await?;
                }
                Err(error) => {
                    return Err(self
                        .governor
                        .deny_new_agent(context, &policy, permit, error)
                        .await);
                }
            }
        }
    }

    /// Permits a command under the policy that the instances agree on.
    async fn permitted<C: Gated + Clone>(
        &self,
        context: &RequestContext,
        command: C,
        metered: Metered,
    ) -> Result<(Arc<ActivePolicy>, Permit<C>, Option<ApprovalUse>), EngineError> {
        let (governor, again) = (&self.governor, self.governor.copy_if_shared(&command));
        let policy = governor.policy();
        let permitted =
            governor.permit_asked(context, &policy, command, metered, &nothing_else).await;
        match (permitted, again) {
            // Another instance has just activated another policy.
            (Err(EngineError::Outdated), Some(again)) => {
                let policy = governor.settled().await?;
                let (permit, used) = governor
                    .permit_asked(context, &policy, again, Metered::No, &nothing_else)
                    .await?;
                Ok((policy, permit, used))
            }
            (permitted, _) => permitted.map(|(permit, used)| (policy, permit, used)),
        }
    }

    /// Takes a turn and streams it. Returns the errors that occur before the first event.
    pub(crate) async fn turn_events(
        self: &Arc<Self>,
        context: &RequestContext,
        turn: Turn,
    ) -> Result<TurnEvents, EngineError> {
        let (out, mut events) = unbounded_channel();
        let (steps, context) = (Arc::clone(self), context.clone());
        self.calls.in_flight.spawn(async move {
            let options = TurnOptions { events: Some(out.clone()), ..TurnOptions::default() };
            let last = match steps.turn(&context, turn, options).await {
                Ok(outcome) => TurnEvent::Done(Box::new(outcome)),
                Err(error) => TurnEvent::Failed(error),
            };
            // Fails if the caller disconnected. The row exists regardless.
            let _ = out.send(last);
        });
        match events.recv().await {
            Some(TurnEvent::Failed(error)) => Err(error),
            Some(first) => Ok(TurnEvents { events, first: Some(first) }),
            None => Err(EngineError::Unavailable),
        }
    }

    /// Takes a turn. If a model is configured, it narrates the turn. The turn is durable.
    pub(crate) async fn turn(
        &self,
        context: &RequestContext,
        turn: Turn,
        options: TurnOptions,
    ) -> Result<TurnOutcome, EngineError> {
        let started = Instant::now();
        let (policy, permit, mut used) = self.permitted(context, turn, options.metered).await?;
        if self.calls.provider.is_some() {
            return self.narrator.run(context, policy, (permit, used), options, started).await;
        }
        record_use(&mut used, context, &policy).await?;
        let committed =
            self.agents.commit_step(context, &policy, &permit, &TURN, options.with).await;
        let outcome = match committed {
            Ok(outcome) => outcome,
            Err(error) => {
                return Err(self.governor.deny_new_agent(context, &policy, permit, error).await);
            }
        };
        self.meters.done(Kind::Turn, Whose::of(context, Some(&permit.command().agent)), started);
        let StepOutcome { step, event_id, state_version, state_hash, notes } = outcome;
        Ok(TurnOutcome {
            step,
            event_id,
            state_version,
            state_hash,
            notes,
            source: Source::Offline,
            usage: None,
            withheld: None,
            fallback: None,
            steps: Vec::new(),
        })
    }
}
