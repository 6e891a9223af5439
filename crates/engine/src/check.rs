//! `check`: what the gates would say, with no effect, no row and no cost to the rate.

use life_agent_domain::governance::command::Gated;
use life_agent_domain::governance::gate::evaluate;

use crate::answers::{Asked, Checked, GateNotes};
use crate::engine::{Caller, Engine};
use crate::error::EngineError;
use crate::facts::Metered;

impl Engine {
    /// Sends a command through the very chain that the call itself would meet.
    pub async fn check(&self, caller: &Caller, asked: Asked) -> Result<Checked, EngineError> {
        match asked {
            Asked::Act(act) => self.would(caller, act).await,
            Asked::Turn(turn) => self.would(caller, turn).await,
            Asked::Plan(plan) => self.would(caller, plan).await,
            Asked::Chat(chat) => self.would(caller, chat).await,
        }
    }

    async fn would<C: Gated>(&self, caller: &Caller, command: C) -> Result<Checked, EngineError> {
        let policy = self.policy.in_force();
        let facts = self.facts(caller, &policy, command.view(), Metered::No).await?;
        let principal = caller.principal.clone();
        Ok(match evaluate(&policy.chain, principal, command, &facts, &policy.timer) {
            Ok(permit) => Checked {
                decision: "allow",
                code: None,
                gate: None,
                rule: None,
                message: None,
                notes: GateNotes::from(permit.trace()),
            },
            Err(denial) => Checked {
                decision: "deny",
                code: Some(denial.refusal.reason.code()),
                gate: Some(denial.gate),
                notes: GateNotes::from(&denial.trace),
                rule: denial.refusal.rule,
                message: Some(denial.refusal.message),
            },
        })
    }
}
