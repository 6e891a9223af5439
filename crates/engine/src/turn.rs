//! `turn`: let an agent answer a text.

use std::time::Instant;

use life_agent_domain::agent::rules::{TurnStep, apply_turn, decide_turn};
use life_agent_domain::governance::command::{Kind, Turn};
use life_agent_domain::governance::event::EventKind;
use life_agent_observer::SideWrite;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::answers::{Source, Taken};
use crate::engine::{Caller, Engine};
use crate::error::EngineError;
use crate::facts::Metered;
use crate::step::Rules;
use crate::told::{TurnEvent, Turned};

const TURN: Rules<Turn, TurnStep> = Rules {
    kind: EventKind::Turn,
    agent: |turn| &turn.agent,
    decide: decide_turn,
    apply: apply_turn,
};

/// How a turn is to be taken.
pub(crate) struct How {
    /// Whether it counts against its caller's rate.
    pub(crate) metered: Metered,
    /// What is kept together with its row.
    pub(crate) extra: Vec<SideWrite>,
    /// Who hears of it while it happens: text and tools; its end is what the call returns.
    pub(crate) events: Option<UnboundedSender<TurnEvent>>,
    /// Ends it while it waits for the model: it is recorded as failed, and the state is as before.
    pub(crate) cancel: CancellationToken,
}

impl Default for How {
    fn default() -> Self {
        let cancel = CancellationToken::new();
        Self { metered: Metered::Yes, extra: Vec::new(), events: None, cancel }
    }
}

/// A turn that is told while it happens. Leaving it does not end the turn.
pub struct TurnEvents {
    /// Without a bound of its own: what waits in it is part of one answer, which has one.
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

impl Engine {
    /// Takes a turn. The answer means that the step is durable. Where a model is configured it tells
    /// the turn; whoever waits may leave without losing it.
    pub async fn turn(&self, caller: &Caller, turn: Turn) -> Result<Turned, EngineError> {
        self.take_turn(caller, turn, How::default()).await
    }

    /// The same in pieces; what goes wrong before the first is an error here.
    pub async fn turn_events(
        &self,
        caller: &Caller,
        turn: Turn,
    ) -> Result<TurnEvents, EngineError> {
        let (out, mut events) = unbounded_channel();
        let (engine, caller) = (self.clone(), caller.clone());
        self.exchanges.spawn(async move {
            let how = How { events: Some(out.clone()), ..How::default() };
            let last = match engine.take_turn(&caller, turn, how).await {
                Ok(turned) => TurnEvent::Done(Box::new(turned)),
                Err(error) => TurnEvent::Failed(error),
            };
            // A caller that has left is told nothing; the record has it.
            let _ = out.send(last);
        });
        match events.recv().await {
            Some(TurnEvent::Failed(error)) => Err(error),
            Some(first) => Ok(TurnEvents { events, first: Some(first) }),
            None => Err(EngineError::Unavailable),
        }
    }

    /// Takes a turn as it is to be taken, with its model or without.
    pub(crate) async fn take_turn(
        &self,
        caller: &Caller,
        turn: Turn,
        how: How,
    ) -> Result<Turned, EngineError> {
        let begun = Instant::now();
        let policy = self.policy.in_force();
        let permit = self.permit_metered(caller, &policy, turn, how.metered).await?;
        if self.llm.is_some() {
            return self.tell(caller, policy, permit, how, begun).await;
        }
        let taken = self.take(caller, &policy, &permit, &TURN, how.extra).await?;
        self.meters.done(Kind::Turn, begun);
        let Taken { step, event_id, state_version, state_hash, notes } = taken;
        let (source, steps) = (Source::Offline, Vec::new());
        let (usage, withheld) = (None, None);
        Ok(Turned {
            step,
            event_id,
            state_version,
            state_hash,
            notes,
            source,
            usage,
            withheld,
            steps,
        })
    }
}
