//! Denials are facts too: counted, recorded, reported.

use life_agent_domain::governance::command::{Act, Chat, Gated, Message, Plan, Turn};
use life_agent_domain::governance::event::EventKind;
use life_agent_domain::governance::gate::Denial;
use life_agent_domain::governance::payload::Payload;
use life_agent_observer::{SideWrite, WriteBatch};
use serde::Serialize;

use crate::answers::GateNotes;
use crate::engine::{Caller, Engine, row_data};
use crate::error::{DenialReport, EngineError};
use crate::policy::InForce;

/// A command in the form in which a row keeps it: the body of the call that was refused.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Body<'a> {
    Act { agent_id: &'a str, action: &'a str, payload: &'a Payload },
    Turn { agent_id: &'a str, input: &'a str },
    Plan { intent: &'a str, context: &'a str, target_paths: &'a [String] },
    Chat { messages: &'a [Message] },
}

/// What can be refused, and so must be recordable.
pub(crate) trait Recorded: Gated {
    fn body(&self) -> Body<'_>;
}

impl Recorded for Act {
    fn body(&self) -> Body<'_> {
        let (agent_id, action) = (self.agent.as_str(), self.action.as_str());
        Body::Act { agent_id, action, payload: &self.payload }
    }
}

impl Recorded for Turn {
    fn body(&self) -> Body<'_> {
        Body::Turn { agent_id: self.agent.as_str(), input: &self.input }
    }
}

impl Recorded for Plan {
    fn body(&self) -> Body<'_> {
        Body::Plan { intent: &self.intent, context: &self.context, target_paths: &self.targets }
    }
}

impl Recorded for Chat {
    fn body(&self) -> Body<'_> {
        Body::Chat { messages: &self.messages }
    }
}

/// What the journal keeps of a denial.
#[derive(Serialize)]
struct DeniedData<'a> {
    kind: &'static str,
    code: &'static str,
    reason: &'static str,
    gate: &'static str,
    rule: Option<&'a str>,
    message: &'a str,
    request: Body<'a>,
    #[serde(flatten)]
    notes: &'a GateNotes,
    policy_hash: &'a str,
}

impl Engine {
    /// Records a denial and returns what its caller is told. When it cannot be recorded, that is
    /// what the caller is told: there is no answer without its row.
    pub(crate) async fn denied<C: Recorded>(
        &self,
        caller: &Caller,
        policy: &InForce,
        denial: Denial<C>,
    ) -> EngineError {
        self.denied_with(caller, policy, denial, Vec::new()).await
    }

    /// The same, with what is kept beside the row.
    pub(crate) async fn denied_with<C: Recorded>(
        &self,
        caller: &Caller,
        policy: &InForce,
        denial: Denial<C>,
        extra: Vec<SideWrite>,
    ) -> EngineError {
        self.meters.denied(denial.refusal.reason);
        match self.record_denial(caller, policy, &denial, extra).await {
            Ok(event_id) => EngineError::Denied(Box::new(DenialReport {
                reason: denial.refusal.reason,
                gate: denial.gate,
                rule: denial.refusal.rule,
                message: denial.refusal.message,
                retry_after: denial.refusal.retry_after,
                event_id,
                score: denial.trace.score,
                findings: denial.trace.findings,
                applied_policies: denial.trace.applied_policies,
            })),
            Err(error) => error,
        }
    }

    async fn record_denial<C: Recorded>(
        &self,
        caller: &Caller,
        policy: &InForce,
        denial: &Denial<C>,
        extra: Vec<SideWrite>,
    ) -> Result<u64, EngineError> {
        let command = denial.command.view();
        let data = row_data(&DeniedData {
            kind: command.kind().as_str(),
            code: denial.refusal.reason.code(),
            reason: denial.refusal.reason.as_str(),
            gate: denial.gate,
            rule: denial.refusal.rule.as_deref(),
            message: &denial.refusal.message,
            request: denial.command.body(),
            notes: &GateNotes::from(&denial.trace),
            policy_hash: &policy.snapshot.hash,
        })?;
        let entry = self.entry(caller, EventKind::Denied, command.agent().cloned(), data);
        Ok(self
            .journal
            .append(WriteBatch { side_writes: extra, ..WriteBatch::of(entry) })?
            .await?
            .id)
    }
}
