//! Denials: counted, recorded, and reported to the caller.

use std::borrow::Cow;

use life_agent_domain::governance::command::Gated;
use life_agent_domain::governance::event::DeniedRecord;
use life_agent_domain::governance::gate::{Denial, GateNotes, Reason};
use life_agent_domain::governance::request::RequestBody;
use life_agent_observer::SideWrite;

use super::{Governor, Rest};
use crate::context::RequestContext;
use crate::error::{DenialReport, EngineError};
use crate::meters::Whose;
use crate::policy::ActivePolicy;
use crate::recorder::Batch;

/// The text that a denial refuses.
#[derive(PartialEq, Eq)]
enum Refused {
    Request,
    Response,
}

impl Governor {
    /// Counts and records a denial, together with a request for an approval if one would permit the command.
    /// Returns the journal's error if they cannot be recorded.
    pub(super) async fn refuse<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        denial: Denial<C>,
        rest: Rest<'_>,
    ) -> EngineError {
        if denial.approvable().is_none() {
            return self.deny(context, policy, denial, Vec::new()).await;
        }
        let (view, notes) = (denial.command.view(), GateNotes::from(&denial.trace));
        let whose = Whose::of(context, view.agent());
        self.meters.denied(denial.refusal.reason, whose);
        let record = |batch: &mut Batch<'_>, message: &str| {
            batch.push(denial.command.view().agent(), &denied(&denial, message, &notes))
        };
        let (rest, approvals) = (rest(), &self.approvals);
        match approvals.request(context, policy, &denial, &rest, None, &record).await {
            Ok(requested) => {
                self.meters.refused(view.kind(), whose, context.started);
                let report = DenialReport::of(&denial, requested.event_id, notes.clone());
                EngineError::Denied(Box::new(DenialReport {
                    message: requested.message,
                    approval: requested.approval,
                    ..report
                }))
            }
            Err(error) => error,
        }
    }

    /// Counts and records a denial. Returns the journal's error if the denial cannot be recorded.
    pub(crate) async fn deny<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        denial: Denial<C>,
        side: Vec<SideWrite>,
    ) -> EngineError {
        self.record_denial(context, policy, denial, side, Refused::Request).await
    }

    /// The same as [`Governor::deny`] for a part of a model's response.
    pub(crate) async fn deny_response<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        denial: Denial<C>,
        spent: Vec<SideWrite>,
    ) -> EngineError {
        self.record_denial(context, policy, denial, spent, Refused::Response).await
    }

    async fn record_denial<C: Gated>(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        denial: Denial<C>,
        side: Vec<SideWrite>,
        refused: Refused,
    ) -> EngineError {
        let view = denial.command.view();
        let whose = Whose::of(context, view.agent());
        self.meters.denied(denial.refusal.reason, whose);
        let limit = self.exceeded_limit(&denial);
        let notes = GateNotes::from(&denial.trace);
        let withheld = refused == Refused::Response;
        let report = DenialReport::of(&denial, 0, notes.clone());
        let report = DenialReport { limit, withheld, ..report };
        let mut record = denied(&denial, &denial.refusal.message, &notes);
        if withheld {
            record.code = report.code().into();
        }
        let (hash, agent) = (&policy.snapshot.hash, view.agent());
        match self.recorder.record(context, hash, agent, &record, side).await {
            Ok(event_id) => {
                self.meters.refused(view.kind(), whose, context.started);
                EngineError::Denied(Box::new(DenialReport { event_id, ..report }))
            }
            Err(error) => error,
        }
    }
}

/// Turns the refusal of a command that no person can approve into one by the rule that asks.
pub(super) fn deny_instead_of_asking<C>(denial: &mut Denial<C>) {
    let refusal = &mut denial.refusal;
    if refusal.reason == Reason::ApprovalRequired {
        refusal.reason = Reason::RuleDeny;
        refusal.message = format!(
            "{}; this text cannot be approved by a person, so it is denied",
            refusal.message
        );
    }
}

/// The record of a denial.
fn denied<'a, C: Gated>(
    denial: &'a Denial<C>,
    message: &'a str,
    notes: &'a GateNotes,
) -> DeniedRecord<'a, RequestBody<'a>> {
    let (command, refusal) = (denial.command.view(), &denial.refusal);
    DeniedRecord {
        kind: command.kind(),
        code: refusal.reason.code_for(command.kind()).into(),
        reason: refusal.reason,
        gate: denial.gate.into(),
        rule: refusal.rule.as_deref().map(Into::into),
        message: message.into(),
        request: RequestBody::from(command),
        notes: Cow::Borrowed(notes),
    }
}
