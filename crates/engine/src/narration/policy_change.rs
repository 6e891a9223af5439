//! A policy that replaced the turn's own during the narration must also permit what is about to be
//! committed: the turn, the model's acts and its text.
//!
//! The row keeps the policy under which everything was decided, so that a replay repeats it.

use std::sync::Arc;

use life_agent_domain::agent::rules::TurnStep;
use life_agent_domain::governance::command::{Act, Chat, Message, Turn};
use life_agent_domain::governance::ids::{ActionName, AgentId};

use super::Narrator;
use crate::agents::ModelAct;
use crate::chat::{CallFailure, ModelCall};
use crate::error::EngineError;
use crate::policy::ActivePolicy;

/// What a narrated turn is about to commit.
pub(super) struct Outcome<'a> {
    pub(super) agent: &'a AgentId,
    pub(super) turn: &'a TurnStep,
    pub(super) acts: &'a [ModelAct],
    /// The model's text; `None` if the rules' own text is used.
    pub(super) text: Option<&'a str>,
}

impl Narrator {
    /// Judges the outcome again if the policy has changed since the call's permit. A refusal is recorded
    /// with the cost of the model's calls.
    pub(super) async fn recheck(
        &self,
        call: &mut ModelCall,
        outcome: &Outcome<'_>,
    ) -> Result<(), EngineError> {
        let active = self.governor.policy();
        if active.snapshot.hash == call.policy.snapshot.hash {
            return Ok(());
        }
        match self.permit_outcome(call, &active, outcome).await {
            Err(EngineError::Denied(report)) => {
                let label = report.reason.as_str();
                let error = EngineError::Denied(report);
                Err(call.failed(&self.calls, CallFailure { label, asked: true, error }).await)
            }
            decided => decided,
        }
    }

    async fn permit_outcome(
        &self,
        call: &ModelCall,
        active: &Arc<ActivePolicy>,
        outcome: &Outcome<'_>,
    ) -> Result<(), EngineError> {
        let (governor, context, agent) = (&self.governor, &call.context, outcome.agent);
        let turn = Turn { agent: agent.clone(), input: outcome.turn.input.clone() };
        governor.permit_part(context, active, turn).await?;
        for ModelAct { step, .. } in outcome.acts {
            let Ok(action) = ActionName::new(&step.action) else {
                return Err(EngineError::Unavailable);
            };
            let act = Act { agent: agent.clone(), action, payload: step.payload.clone() };
            governor.permit_part(context, active, act).await?;
        }
        if let Some(text) = outcome.text {
            let said = Message { role: "assistant".to_owned(), content: text.to_owned() };
            let chat = Chat { messages: vec![said] };
            governor.permit_reply(context, active, chat, Vec::new()).await?;
        }
        Ok(())
    }
}
