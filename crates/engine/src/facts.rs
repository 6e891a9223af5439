//! The facts that the gates cannot see for themselves, gathered for one request.

use life_agent_domain::governance::command::{Command, Gated, Subject};
use life_agent_domain::governance::gate::{GateInputs, Permit, Rate, evaluate};

use crate::engine::{Caller, Engine};
use crate::error::EngineError;
use crate::policy::InForce;

/// Whether a request is counted against its caller's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metered {
    Yes,
    No,
}

impl Engine {
    /// The facts about one command.
    pub(crate) async fn facts(
        &self,
        caller: &Caller,
        policy: &InForce,
        command: Command<'_>,
        metered: Metered,
    ) -> Result<GateInputs, EngineError> {
        let rate = match metered {
            Metered::Yes => self.limiter.take(&caller.principal, command.agent()),
            Metered::No => Rate::Within,
        };
        let intent = match command {
            Command::Turn(turn) => Some(policy.profile.intents.of(&turn.input).to_owned()),
            _ => None,
        };
        let targets = if command.targets().is_empty() {
            Vec::new()
        } else {
            let (workspace, targets) = (self.workspace.clone(), command.targets().to_vec());
            blocking(move || workspace.facts(&targets)).await?
        };
        let mut facts = GateInputs {
            kill_switch: Some(self.kill_switch.fact()),
            rate: Some(rate),
            targets: Some(targets),
            opa: None,
            intent,
        };
        if let Some(server) = &self.opa_server {
            let subject = Subject { principal: &caller.principal, command };
            let input = life_agent_gates::opa::input(&subject, &facts, &policy.snapshot.hash);
            facts.opa = Some(server.ask(input).await);
        }
        Ok(facts)
    }

    /// Sends a command through the chain; a refusal is recorded before it is reported.
    pub(crate) async fn permit<C: Gated + crate::denied::Recorded>(
        &self,
        caller: &Caller,
        policy: &InForce,
        command: C,
    ) -> Result<Permit<C>, EngineError> {
        self.permit_metered(caller, policy, command, Metered::Yes).await
    }

    /// The same, counted against the caller's rate or not.
    pub(crate) async fn permit_metered<C: Gated + crate::denied::Recorded>(
        &self,
        caller: &Caller,
        policy: &InForce,
        command: C,
        metered: Metered,
    ) -> Result<Permit<C>, EngineError> {
        let facts = self.facts(caller, policy, command.view(), metered).await?;
        let principal = caller.principal.clone();
        match evaluate(&policy.chain, principal, command, &facts, &policy.timer) {
            Ok(permit) => {
                self.meters.permitted(permit.trace());
                Ok(permit)
            }
            Err(denial) => Err(self.denied(caller, policy, *denial).await),
        }
    }
}

/// Runs file-system work where it holds up nobody else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a blocking task did not end");
        EngineError::Unavailable
    })
}
