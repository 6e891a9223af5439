//! Calls of tools whose definition is not the pinned one.

use std::borrow::Cow;

use life_agent_domain::governance::command::{Gated, Kind, Tool};
use life_agent_domain::governance::event::{CallDecision, RefusedCall, ToolRequestedRecord};
use life_agent_domain::governance::gate::{GateNotes, Refusal};
use life_agent_domain::governance::request::RequestBody;

use super::ToolService;
use super::recorded::denied;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::meters::Whose;

/// The gate that rows and responses name.
const GATE: &str = "pins";

impl ToolService {
    /// Refuses a call before any gate judges it. The refusal is durable. Returns the denial, or the journal's error.
    pub(crate) async fn refuse_definition(
        &self,
        context: &RequestContext,
        tool: Tool,
        refusal: Refusal,
    ) -> EngineError {
        let policy = self.governor.policy();
        let redactor = policy.chain.redactor();
        let (tool, notes) = (tool.redacted(redactor), GateNotes::default());
        let whose = Whose::of(context, Some(&tool.agent));
        self.meters.denied(refusal.reason, whose);
        let message = redactor.redact(&refusal.message);
        let refused = RefusedCall {
            code: refusal.reason.code_for(Kind::Tool).into(),
            reason: refusal.reason,
            gate: GATE.into(),
            rule: refusal.rule.as_deref().map(Into::into),
            message,
            retry_after: refusal.retry_after,
        };
        let record = ToolRequestedRecord {
            decision: CallDecision::Deny,
            request: RequestBody::from(tool.view()),
            refusal: Some(refused.clone()),
            command: None,
            notes: Cow::Borrowed(&notes),
        };
        let (hash, agent) = (&policy.snapshot.hash, Some(&tool.agent));
        match self.recorder.record(context, hash, agent, &record, Vec::new()).await {
            Ok(event_id) => {
                self.meters.refused(Kind::Tool, whose, context.started);
                denied(&refused, event_id, None, notes.clone())
            }
            Err(error) => error,
        }
    }
}
