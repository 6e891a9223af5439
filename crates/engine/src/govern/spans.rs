//! The span of the gates: which command they judged, and their decision.

use life_agent_domain::governance::command::Gated;
use life_agent_domain::governance::gate::Reason;

use super::Decided;
use crate::context::RequestContext;
use crate::trace::{Span, SpanKind};

/// Begins the judgment of a command.
pub(super) fn begin<C: Gated>(context: &RequestContext, command: &C) -> Span {
    let mut span = context.span(SpanKind::Internal, || "gates");
    span.set("life_agent.command", command.view().kind().as_str());
    span
}

/// Notes the decision. A denial is not a failure of the gates.
pub(super) fn decided<C: Gated>(span: &mut Span, decided: &Decided<C>) {
    if span.trace().is_none() {
        return;
    }
    match decided {
        Ok(permit) => {
            span.set("life_agent.decision", "allow");
            name_agent(span, permit.command());
        }
        Err(denial) => {
            let reason = denial.refusal.reason;
            let ask = reason == Reason::ApprovalRequired;
            span.set("life_agent.decision", if ask { "ask" } else { "deny" });
            span.set("life_agent.gate", denial.gate);
            span.set("life_agent.reason", reason.code());
            name_agent(span, &denial.command);
        }
    }
}

/// Names the agent of a redacted command.
fn name_agent<C: Gated>(span: &mut Span, command: &C) {
    if let Some(agent) = command.view().agent() {
        span.set_text("gen_ai.agent.id", agent.as_str());
    }
}
