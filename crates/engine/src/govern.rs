//! The single path to a permit: gathers the inputs of the gates, runs the chain, times it, records
//! denials and updates the metrics. Live requests, checks, replies of models, tool calls, queued turns
//! and replays all take it.

mod access;
mod inputs;
mod kill_switch;
mod limiter;
mod opa_server;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use life_agent_domain::governance::command::{Chat, Command, Gated};
use life_agent_domain::governance::event::DeniedRecord;
use life_agent_domain::governance::gate::{
    Denial, GateInputs, GateNotes, GateObserver, KillSwitch, NoopObserver, OpaAnswer, Permit, Rate,
    evaluate,
};
use life_agent_domain::governance::ids::Principal;
use life_agent_domain::governance::request::{Request, RequestBody};
use life_agent_observer::SideWrite;

pub(crate) use access::AccessDenials;
pub use access::{AccessDenial, AccessReason};
pub(crate) use inputs::Metered;
pub(crate) use kill_switch::{KillSwitchService, SETTING, Switch};
pub(crate) use limiter::Limiter;
pub(crate) use opa_server::OpaServer;

use crate::blocking::blocking;
use crate::context::RequestContext;
use crate::error::{DenialReport, EngineError};
use crate::meters::Meters;
use crate::policy::{ActivePolicy, PolicyCell};
use crate::recorder::Recorder;
use crate::views::CheckOutcome;
use crate::workspace::Workspace;
use inputs::{InputSource, ReplayInputs, gather};

/// Decides about requests.
pub(crate) struct Governor {
    policy: Arc<PolicyCell>,
    live: Live,
    workspace: Workspace,
    opa: Option<OpaServer>,
    recorder: Recorder,
    meters: Arc<Meters>,
}

/// The service's own inputs.
pub(crate) struct Live {
    pub(crate) switch: Arc<Switch>,
    pub(crate) limiter: Limiter,
}

impl InputSource for Live {
    fn kill_switch(&self) -> KillSwitch {
        self.switch.state()
    }

    fn rate(&self, principal: &Principal, command: Command<'_>) -> Rate {
        match command {
            Command::Chat(_) => self.limiter.take_model(principal),
            other => self.limiter.take(principal, other.agent()),
        }
    }
}

impl Governor {
    pub(crate) fn new(
        policy: Arc<PolicyCell>,
        live: Live,
        workspace: Workspace,
        opa: Option<OpaServer>,
        recorder: Recorder,
        meters: Arc<Meters>,
    ) -> Self {
        Self { policy, live, workspace, opa, recorder, meters }
    }

    /// The active policy. One request uses one policy from its permit to its row.
    pub(crate) fn policy(&self) -> Arc<ActivePolicy> {
        self.policy.active()
    }

    /// Sends a command through the chain. A denial is durable before it is returned.
    pub(crate) async fn permit<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: C,
        metered: Metered,
    ) -> Result<Permit<C>, EngineError> {
        match self.judge(context, policy, command, metered).await? {
            Ok(permit) => {
                self.meters.permitted(permit.trace());
                Ok(permit)
            }
            Err(denial) => Err(self.deny(context, policy, *denial, Vec::new()).await),
        }
    }

    /// Sends texts of the model through the chain. `spent` is recorded with a denial.
    pub(crate) async fn permit_reply(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        reply: Chat,
        spent: Vec<SideWrite>,
    ) -> Result<Permit<Chat>, EngineError> {
        match self.judge(context, policy, reply, Metered::No).await? {
            Ok(permit) => Ok(permit),
            Err(mut denial) => {
                denial.refusal.message = format!(
                    "the model's answer was refused and is withheld: {}",
                    denial.refusal.message
                );
                Err(self.deny(context, policy, *denial, spent).await)
            }
        }
    }

    /// The decision that a request would get, without a row and without a cost to the rate limit.
    pub(crate) async fn check(
        &self,
        context: &RequestContext,
        request: Request,
    ) -> Result<CheckOutcome, EngineError> {
        match request {
            Request::Act(act) => self.check_command(context, act).await,
            Request::Turn(turn) => self.check_command(context, turn).await,
            Request::Plan(plan) => self.check_command(context, plan).await,
            Request::Chat(chat) => self.check_command(context, chat).await,
            Request::Tool(tool) => self.check_command(context, tool).await,
        }
    }

    async fn check_command<C: Gated>(
        &self,
        context: &RequestContext,
        command: C,
    ) -> Result<CheckOutcome, EngineError> {
        let (policy, kind) = (self.policy(), command.view().kind());
        Ok(match self.judge(context, &policy, command, Metered::No).await? {
            Ok(permit) => CheckOutcome {
                decision: "allow",
                code: None,
                gate: None,
                rule: None,
                message: None,
                notes: GateNotes::from(permit.trace()),
            },
            Err(denial) => CheckOutcome {
                decision: "deny",
                code: Some(denial.refusal.reason.code_for(kind)),
                gate: Some(denial.gate),
                notes: GateNotes::from(&denial.trace),
                rule: denial.refusal.rule,
                message: Some(denial.refusal.message),
            },
        })
    }

    /// Counts and records a denial. Returns the journal's error if the denial cannot be recorded.
    pub(crate) async fn deny<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        denial: Denial<C>,
        side: Vec<SideWrite>,
    ) -> EngineError {
        let Denial { command, gate, refusal, trace, .. } = denial;
        self.meters.denied(refusal.reason);
        let (command, notes) = (command.view(), GateNotes::from(&trace));
        let record = DeniedRecord {
            kind: command.kind(),
            code: refusal.reason.code_for(command.kind()).into(),
            reason: refusal.reason,
            gate: gate.into(),
            rule: refusal.rule.as_deref().map(Into::into),
            message: refusal.message.as_str().into(),
            request: RequestBody::from(command),
            notes: Cow::Borrowed(&notes),
        };
        let (hash, agent) = (&policy.snapshot.hash, command.agent());
        match self.recorder.record(context, hash, agent, &record, side).await {
            Ok(event_id) => EngineError::Denied(Box::new(DenialReport {
                reason: refusal.reason,
                gate,
                rule: refusal.rule,
                message: refusal.message,
                retry_after: refusal.retry_after,
                event_id,
                score: notes.score,
                findings: notes.findings,
                applied_policies: notes.applied_policies,
            })),
            Err(error) => error,
        }
    }

    /// Sends a command through the chain. The caller counts and records the decision.
    pub(crate) async fn judge<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: C,
        metered: Metered,
    ) -> Result<Result<Permit<C>, Box<Denial<C>>>, EngineError> {
        let view = command.view();
        let targets = if view.targets().is_empty() {
            Vec::new()
        } else {
            let (workspace, targets) = (self.workspace.clone(), view.targets().to_vec());
            blocking(move || workspace.facts(&targets)).await?
        };
        let principal = context.principal.clone();
        let mut inputs = gather(&self.live, policy, &principal, view, metered, targets);
        // The remote OPA confirms the permit below. Until then its gate must not refuse.
        inputs.opa = self.opa.as_ref().map(|_| OpaAnswer::Allow);
        let started = Instant::now();
        let mut decided = decide(policy, principal, command, &inputs, &policy.timer);
        if let Some(opa) = &self.opa
            && let Ok(permit) = decided
        {
            decided = opa.confirm(permit, &inputs, &policy.snapshot).await;
        }
        context.add_gate_time(started.elapsed());
        Ok(decided)
    }
}

/// Sends a recorded command through the chain, with inputs that do not depend on the moment.
pub(crate) fn rejudge<C: Gated>(
    policy: &ActivePolicy,
    workspace: &Workspace,
    principal: Principal,
    command: C,
) -> Result<Permit<C>, Box<Denial<C>>> {
    let view: Command<'_> = command.view();
    let targets = workspace.facts(view.targets());
    let inputs = gather(&ReplayInputs, policy, &principal, view, Metered::No, targets);
    decide(policy, principal, command, &inputs, &NoopObserver)
}

fn decide<C: Gated>(
    policy: &ActivePolicy,
    principal: Principal,
    command: C,
    inputs: &GateInputs,
    observer: &dyn GateObserver,
) -> Result<Permit<C>, Box<Denial<C>>> {
    evaluate(&policy.chain, principal, command, inputs, observer)
}
