//! The single path to a permit: gathers the inputs of the gates, runs the chain, times it, records
//! denials and updates the metrics. Live requests, checks, replies of models, tool calls, queued turns
//! and replays all take it.

mod access;
mod auth_failures;
mod check;
mod commands;
mod denials;
mod inputs;
mod judge;
mod kill_switch;
mod limiter;
mod live;
mod opa_server;
mod over_limit;
mod spans;
mod stops;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use life_agent_domain::governance::command::{Chat, Command, Gated, Kind};
use life_agent_domain::governance::gate::{
    Denial, GateInputs, GateObserver, NoopObserver, OpaAnswer, Permit, Rate, Reason, evaluate,
};
use life_agent_domain::governance::ids::Principal;
use life_agent_observer::SideWrite;
use serde_json::Value;
use tokio::sync::Semaphore;

pub(crate) use access::AccessDenials;
pub use access::{AccessDenial, AccessReason};
pub(crate) use auth_failures::AuthFailures;
pub(crate) use inputs::Metered;
pub(crate) use judge::Judge;
pub(crate) use kill_switch::{KillSwitchService, SETTING, Switch};
pub(crate) use limiter::Limiter;
pub(crate) use live::Live;
pub(crate) use opa_server::OpaServer;
pub use stops::StopTarget;
pub(crate) use stops::{STOPS, StopService, Stops, stops_of};

use crate::approvals::{ApprovalUse, Approvals, record_use};
use crate::blocking::blocking;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::meters::Meters;
use crate::policy::{ActivePolicy, PolicyCell};
use crate::recorder::Recorder;
use crate::trace::Span;
use crate::workspace::Workspace;
use denials::deny_instead_of_asking;
use inputs::{ReplayInputs, gather};

/// Decides about requests.
pub(crate) struct Governor {
    policy: Arc<PolicyCell>,
    live: Live,
    workspace: Workspace,
    opa: Option<OpaServer>,
    recorder: Recorder,
    meters: Arc<Meters>,
    pub(crate) approvals: Arc<Approvals>,
    /// Long texts that are read at the same time.
    heavy: Semaphore,
    /// Of a journal that several instances share.
    judge: Option<Arc<Judge>>,
}

/// The chain's decision about a command.
type Decided<C> = Result<Permit<C>, Box<Denial<C>>>;
/// The same, with the approval that the command needs and has.
pub(crate) type Approvable<C> = Result<(Permit<C>, Option<ApprovalUse>), Box<Denial<C>>>;
/// What a caller sent and the command does not contain. An approval covers it.
pub(crate) type Rest<'a> = &'a (dyn Fn() -> Value + Sync);

/// The command is all that the caller sent.
pub(crate) fn nothing_else() -> Value {
    Value::Null
}

/// Bytes of text that are judged on the thread of the request.
const MAX_ON_WORKER: usize = 16 * 1024;
/// Long texts that are judged at the same time.
const MAX_HEAVY: usize = 4;

impl Governor {
    pub(crate) fn new(
        policy: Arc<PolicyCell>,
        live: Live,
        workspace: Workspace,
        opa: Option<OpaServer>,
        recorder: Recorder,
        meters: Arc<Meters>,
        approvals: Arc<Approvals>,
    ) -> Self {
        let heavy = Semaphore::new(MAX_HEAVY);
        let is_shared = recorder.journal().is_shared();
        let judge = is_shared.then(|| Judge::new(&live.switch, &live.stops, &policy));
        Self { policy, live, workspace, opa, recorder, meters, approvals, heavy, judge }
    }

    /// The stops of agents and principals.
    pub(crate) fn stops(&self) -> &Stops {
        &self.live.stops
    }

    /// The active policy. One request uses one policy from its permit to its row.
    pub(crate) fn policy(&self) -> Arc<ActivePolicy> {
        self.policy.active()
    }

    /// Sends a command through the chain. A denial is durable before it is returned. If a person approved the command,
    /// the use of the approval is durable before the permit is returned.
    pub(crate) async fn permit<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: C,
        metered: Metered,
    ) -> Result<Permit<C>, EngineError> {
        let (permit, mut used) =
            self.permit_asked(context, policy, command, metered, &nothing_else).await?;
        record_use(&mut used, context, policy).await?;
        Ok(permit)
    }

    /// The same for a request with more than its command; the caller records the use of the approval, at the latest
    /// together with the effect. Without an effect, the approval can be used again.
    pub(crate) async fn permit_asked<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: C,
        metered: Metered,
        rest: Rest<'_>,
    ) -> Result<(Permit<C>, Option<ApprovalUse>), EngineError> {
        let (permit, used) = match self.judge_with(context, policy, command, metered, rest).await? {
            Ok(permitted) => permitted,
            Err(denial) => {
                let reason = denial.refusal.reason;
                if metered == Metered::Yes && reason != Reason::RateLimited {
                    self.confirm_policy(policy).await?;
                }
                return Err(self.refuse(context, policy, *denial, rest).await);
            }
        };
        self.meters.permitted(permit.trace());
        Ok((permit, used))
    }

    /// Judges the command of a request for the second time. The approval that the request uses still permits the same
    /// command under the same policy.
    pub(crate) async fn permit_again<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: C,
        used: Option<&ApprovalUse>,
    ) -> Result<Permit<C>, EngineError> {
        match self.decide_again(context, policy, command, used).await? {
            Ok(permit) => Ok(permit),
            Err(denial) => Err(self.deny(context, policy, *denial, Vec::new()).await),
        }
    }

    /// The decision about a command about which no person can be asked.
    async fn decide_again<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: C,
        used: Option<&ApprovalUse>,
    ) -> Result<Decided<C>, EngineError> {
        let mut span = spans::begin(context, &command);
        let (decided, inputs) = self.run_chain(context, policy, command, Metered::No).await?;
        let used = used.filter(|used| used.is_under(&policy.snapshot.hash));
        let mut decided = self.confirm(policy, pass(decided, used), &inputs, &span).await;
        spans::decided(&mut span, &decided);
        match &mut decided {
            Ok(permit) => self.meters.permitted(permit.trace()),
            Err(denial) => deny_instead_of_asking(denial),
        }
        Ok(decided)
    }

    /// The redacted command of a request that is carried out later. The gates then judge it again, and only
    /// then it uses an approval.
    pub(crate) async fn admit_later<C: Gated + Clone>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: C,
        metered: Metered,
    ) -> Result<C, EngineError> {
        match self.judge(context, policy, command, metered).await? {
            Ok(permit) => {
                self.meters.permitted(permit.trace());
                Ok(permit.command().clone())
            }
            Err(denial) if self.is_approved(policy, &denial) => Ok(denial.command),
            Err(denial) => Err(self.refuse(context, policy, *denial, &nothing_else).await),
        }
    }

    /// Sends a part of a request through the chain that the caller did not write and cannot repeat by
    /// itself. Nobody can be asked about it, so a rule that asks denies.
    pub(crate) async fn permit_part<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: C,
    ) -> Result<Permit<C>, EngineError> {
        self.permit_again(context, policy, command, None).await
    }

    /// Sends the texts of a model's draft through the chain.
    pub(crate) async fn permit_draft(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        draft: Chat,
    ) -> Result<Permit<Chat>, EngineError> {
        match self.decide_again(context, policy, draft, None).await? {
            Ok(permit) => Ok(permit),
            Err(denial) => Err(self.deny_response(context, policy, *denial, Vec::new()).await),
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
                deny_instead_of_asking(&mut denial);
                denial.refusal.message = format!(
                    "the model's answer was refused and is withheld: {}",
                    denial.refusal.message
                );
                Err(self.deny_response(context, policy, *denial, spent).await)
            }
        }
    }

    /// Sends a command through the chain. The caller counts and records the decision.
    pub(crate) async fn judge<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: C,
        metered: Metered,
    ) -> Result<Decided<C>, EngineError> {
        let (started, mut span) = (Instant::now(), spans::begin(context, &command));
        let (decided, inputs) = self.run_chain(context, policy, command, metered).await?;
        let decided = self.confirm(policy, decided, &inputs, &span).await;
        spans::decided(&mut span, &decided);
        context.add_gate_time(started.elapsed());
        Ok(decided)
    }

    /// The same for a request that needs an approval and has one: it is taken out of the inbox, and the
    /// caller records its use.
    pub(crate) async fn judge_with<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: C,
        metered: Metered,
        rest: Rest<'_>,
    ) -> Result<Approvable<C>, EngineError> {
        let (started, mut span) = (Instant::now(), spans::begin(context, &command));
        let (decided, inputs) = self.run_chain(context, policy, command, metered).await?;
        let used = match &decided {
            Err(denial) if denial.approvable().is_some() => {
                // A person may have approved it a moment ago at another instance.
                self.recorder.journal().catch_up().await?;
                self.approvals.take(&policy.snapshot.hash, denial, &rest())
            }
            _ => None,
        };
        let decided = pass(decided, used.as_ref());
        let decided = self.confirm(policy, decided, &inputs, &span).await;
        spans::decided(&mut span, &decided);
        context.add_gate_time(started.elapsed());
        // An approval that a later judge outranks goes back to the inbox.
        Ok(decided.map(|permit| (permit, used)))
    }

    /// Gathers the inputs and runs the chain.
    async fn run_chain<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: C,
        metered: Metered,
    ) -> Result<(Decided<C>, GateInputs), EngineError> {
        if metered == Metered::Yes && self.live.journal_full.load(Ordering::Relaxed) {
            return Err(EngineError::JournalFull);
        }
        if let Some(judge) = &self.judge {
            self.meet(judge, context, policy, command.view(), metered).await?;
        }
        let view = command.view();
        let view_weight = view.weight();
        let targets = if view.targets().is_empty() {
            Vec::new()
        } else {
            let (workspace, targets) = (self.workspace.clone(), view.targets().to_vec());
            blocking(move || workspace.facts(&targets)).await?
        };
        let principal = context.principal.clone();
        let rate = self.live.rate(&principal, view, metered).await?;
        let mut inputs = gather(&self.live, policy, &principal, view, rate, targets);
        // The remote OPA confirms the permit later. Until then its gate must not refuse.
        inputs.opa = self.opa.as_ref().map(|_| OpaAnswer::Allow);
        if view_weight > MAX_ON_WORKER {
            let (chain, timer) = (Arc::clone(&policy.chain), Arc::clone(&policy.timer));
            return self
                .apart(move || {
                    let decided = evaluate(&chain, principal, command, &inputs, &*timer);
                    (decided, inputs)
                })
                .await;
        }
        Ok((decide(policy, principal, command, &inputs, &*policy.timer), inputs))
    }

    /// Reads long texts away from the caller's thread, a few at a time: it takes longer than others may wait for that
    /// thread.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let _turn = self.heavy.acquire().await.map_err(|_| EngineError::Unavailable)?;
        blocking(work).await
    }

    /// Prepares a decision on a journal that several instances share. An act is judged on what is known, and once more
    /// when it is recorded. Any other command may have effects before that, so that everything must be known that was
    /// recorded before it arrived.
    async fn meet(
        &self,
        judge: &Arc<Judge>,
        context: &RequestContext,
        policy: &ActivePolicy,
        command: Command<'_>,
        metered: Metered,
    ) -> Result<(), EngineError> {
        context.judged_by(Arc::<Judge>::clone(judge));
        // A switch that stops the act may be off again.
        if command.kind() == Kind::Act && judge.permits(&context.principal, command.agent()) {
            return Ok(());
        }
        self.recorder.journal().catch_up().await?;
        judge.settled().await?;
        // A later judgment of the same request keeps the policy of the first.
        let is_first = metered == Metered::Yes;
        match is_first && self.policy.active().snapshot.hash != policy.snapshot.hash {
            true => Err(EngineError::Outdated),
            false => Ok(()),
        }
    }

    /// Fails if a policy is no longer the one that the instances agree on, before it denies a request.
    async fn confirm_policy(&self, policy: &ActivePolicy) -> Result<(), EngineError> {
        if self.judge.is_some() {
            self.recorder.journal().catch_up().await?;
            if self.settled().await?.snapshot.hash != policy.snapshot.hash {
                return Err(EngineError::Outdated);
            }
        }
        Ok(())
    }

    /// A copy of a command for a second judgment, if other instances may make one necessary.
    pub(crate) fn copy_if_shared<C: Clone>(&self, command: &C) -> Option<C> {
        self.judge.as_ref().map(|_| command.clone())
    }

    /// The active policy, once it is the one that the instances agree on.
    pub(crate) async fn settled(&self) -> Result<Arc<ActivePolicy>, EngineError> {
        if let Some(judge) = &self.judge {
            judge.settled().await?;
        }
        Ok(self.policy.active())
    }

    /// Asks the remote OPA server, if there is one, about a command that all other judges passed.
    async fn confirm<C: Gated>(
        &self,
        policy: &ActivePolicy,
        decided: Decided<C>,
        inputs: &GateInputs,
        span: &Span,
    ) -> Decided<C> {
        match (&self.opa, decided) {
            (Some(opa), Ok(permit)) => {
                let redactor = policy.chain.redactor();
                opa.confirm(permit, inputs, &policy.snapshot, redactor, span).await
            }
            (_, decided) => decided,
        }
    }
}

/// Lets an approved command pass.
pub(crate) fn pass<C>(decided: Decided<C>, used: Option<&ApprovalUse>) -> Decided<C> {
    match (decided, used.and_then(ApprovalUse::granted)) {
        (Err(denial), Some(granted)) => denial.approve(granted),
        (decided, _) => decided,
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
    let inputs = gather(&ReplayInputs, policy, &principal, view, Rate::Within, targets);
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
