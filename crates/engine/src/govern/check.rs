//! The decision about a request, without an effect.

use life_agent_domain::governance::command::Gated;
use life_agent_domain::governance::gate::{Denial, GateNotes};
use life_agent_domain::governance::request::Request;
use serde_json::Value;

use super::{Governor, Metered};
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::policy::ActivePolicy;
use crate::views::CheckOutcome;

impl Governor {
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
        let allow = |notes| CheckOutcome {
            decision: "allow",
            code: None,
            gate: None,
            rule: None,
            message: None,
            notes,
        };
        Ok(match self.judge(context, &policy, command, Metered::No).await? {
            Ok(permit) => allow(GateNotes::from(permit.trace())),
            Err(denial) if self.is_approved(&policy, &denial) => {
                allow(GateNotes::from(&denial.trace))
            }
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

    /// Whether the command is the whole request and a person has approved it.
    pub(super) fn is_approved<C: Gated>(&self, policy: &ActivePolicy, denial: &Denial<C>) -> bool {
        self.approvals.is_approved(&policy.snapshot.hash, denial, &Value::Null)
    }
}
