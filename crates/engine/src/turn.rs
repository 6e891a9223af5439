//! `turn`: let an agent answer a text.

use std::time::Instant;

use life_agent_domain::command::{Kind, Turn};
use life_agent_domain::record::EventKind;
use life_agent_domain::rules::{TurnStep, apply_turn, decide_turn};

use crate::answers::Turned;
use crate::engine::{Caller, Engine};
use crate::error::EngineError;
use crate::step::Rules;

const TURN: Rules<Turn, TurnStep> = Rules {
    kind: EventKind::Turn,
    agent: |turn| &turn.agent,
    decide: decide_turn,
    apply: apply_turn,
};

impl Engine {
    /// Takes a turn. The answer means that the step is durable.
    pub async fn turn(&self, caller: &Caller, turn: Turn) -> Result<Turned, EngineError> {
        let begun = Instant::now();
        let policy = self.policy.in_force();
        let permit = self.permit(caller, &policy, turn).await?;
        let turned = self.take(caller, &policy, &permit, &TURN).await?;
        self.meters.done(Kind::Turn, begun);
        Ok(turned)
    }
}
