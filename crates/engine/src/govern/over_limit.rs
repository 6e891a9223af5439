//! Denials of permitted requests: those that do not fit into a limit or a budget, and those that were stopped since.

use life_agent_domain::governance::command::{Gated, Kind};
use life_agent_domain::governance::gate::{Denial, Permit, RateLimit, Reason};
use life_agent_gates::{kill_switch, limits};

use super::Governor;
use super::inputs::InputSource;
use crate::budgets::{self, NotReserved};
use crate::context::RequestContext;
use crate::error::{EngineError, LimitReport};
use crate::policy::ActivePolicy;

impl Governor {
    /// Counts and records the denial of a new agent over the limit. Other errors stay.
    pub(crate) async fn deny_new_agent<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        permit: Permit<C>,
        error: EngineError,
    ) -> EngineError {
        let EngineError::NewAgentLimit { retry_after } = error else { return error };
        let denial = permit.refuse("rate", limits::refusal(RateLimit::NewAgents, retry_after));
        self.deny(context, policy, *denial, Vec::new()).await
    }

    /// Counts and records the denial of a permitted command that does not fit into a budget.
    pub(crate) async fn deny_over_budget<C: Gated + Clone>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        permit: &Permit<C>,
        not: NotReserved,
    ) -> EngineError {
        let (refusal, resets_at) = match not {
            NotReserved::Failed(error) => return error,
            NotReserved::Refused { refusal, resets_at } => (refusal, resets_at),
        };
        let (command, trace) = (permit.command().clone(), permit.trace().clone());
        let principal = context.principal.clone();
        let denial = Denial::new(principal, command, budgets::GATE, refusal, trace);
        match self.deny(context, policy, denial, Vec::new()).await {
            EngineError::Denied(mut report) => {
                report.resets_at = resets_at;
                EngineError::Denied(report)
            }
            error => error,
        }
    }

    /// Counts and records the denial of a permitted command if everything, its agent or its principal was
    /// stopped since its permit.
    pub(crate) async fn deny_if_stopped<C: Gated + Clone>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        permit: &Permit<C>,
    ) -> Result<(), EngineError> {
        let (principal, command) = (&context.principal, permit.command());
        let state = self.live.kill_switch(principal, command.view());
        let Some(refusal) = kill_switch::refusal(&state) else { return Ok(()) };
        let (command, trace) = (command.clone(), permit.trace().clone());
        let denial = Denial::new(principal.clone(), command, kill_switch::NAME, refusal, trace);
        Err(self.deny(context, policy, denial, Vec::new()).await)
    }

    /// The rate limit that a denied request exceeds, if that is the cause.
    pub(crate) fn exceeded_limit<C: Gated>(&self, denial: &Denial<C>) -> Option<LimitReport> {
        let setting = denial.refusal.rule.as_deref()?;
        let of_model = denial.command.view().kind() == Kind::Chat;
        let limited = denial.refusal.reason == Reason::RateLimited;
        self.live.limiter.report(setting, of_model).filter(|_| limited)
    }
}
