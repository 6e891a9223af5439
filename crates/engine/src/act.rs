//! `act`: apply a named action to an agent.

use std::time::Instant;

use life_agent_domain::agent::rules::{ActStep, apply_act, decide_act};
use life_agent_domain::governance::command::{Act, Kind};
use life_agent_domain::governance::event::EventKind;

use crate::answers::Acted;
use crate::engine::{Caller, Engine};
use crate::error::EngineError;
use crate::step::Rules;

const ACT: Rules<Act, ActStep> =
    Rules { kind: EventKind::Act, agent: |act| &act.agent, decide: decide_act, apply: apply_act };

impl Engine {
    /// Applies an action. The answer means that the step is durable.
    pub async fn act(&self, caller: &Caller, act: Act) -> Result<Acted, EngineError> {
        let begun = Instant::now();
        let policy = self.policy.in_force();
        let permit = self.permit(caller, &policy, act).await?;
        let acted = self.take(caller, &policy, &permit, &ACT, Vec::new()).await?;
        self.meters.done(Kind::Act, begun);
        Ok(acted)
    }
}
