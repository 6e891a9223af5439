//! The model's tool calls during a turn: each is an ordinary command with a permit of its own.

use life_agent_domain::governance::event::{Actor, ModelTurn, RecordedToolStep, ToolStep};
use life_agent_groq::{FunctionCall, ToolCall};

use super::NarrationRun;
use super::conversation::no_calls_left;
use super::tools::{self, ToolRequest};
use super::turn_in_progress::{called, denied, done, failed, is_momentary};
use crate::chat::text_extraction::clean;
use crate::error::{DenialReport, EngineError};
use crate::govern::Metered;
use crate::planning::NewPlan;
use crate::tools::describe_call;
use crate::trace::SpanKind;
use crate::views::TurnEvent;

/// Most facts that a recall returns.
const MAX_RECALLED: usize = 8;
/// Most faults of a plan that the model receives.
const MAX_FAULTS: usize = 5;

impl NarrationRun<'_> {
    /// Carries out a tool call, or returns the reason to the model.
    pub(super) async fn run_tool(
        &mut self,
        call: &ToolCall,
        raw: &ToolCall,
    ) -> Result<(), EngineError> {
        if !self.conversation.admits_call() {
            self.conversation.answer(call, &no_calls_left());
            return Ok(());
        }
        if let Err(failure) = self.call.in_time(&self.narrator.calls, std::future::ready(())).await
        {
            return Err(self.call.failed(&self.narrator.calls, failure).await);
        }
        let mut span = self.call.context.span(SpanKind::Internal, || "execute_tool");
        let outer = std::mem::replace(&mut self.call.context.trace, span.trace().cloned());
        let kept = self.carry_out(&call.function, &raw.function).await;
        self.call.context.trace = outer;
        let mut kept = kept?;
        describe_call(&mut span, kept.step.decision.as_str(), &kept.step.tool);
        drop(span);
        let redactor = self.call.policy.chain.redactor();
        let result = clean(kept.step.result.take().unwrap_or_default(), redactor);
        self.conversation.answer(call, &result);
        kept.step.result = Some(result);
        if let Some(events) = &self.events {
            let _ = events.send(TurnEvent::Tool(Box::new(kept.step.clone())));
        }
        self.record.steps.push(kept);
        Ok(())
    }

    async fn carry_out(
        &mut self,
        clean: &FunctionCall,
        raw: &FunctionCall,
    ) -> Result<RecordedToolStep, EngineError> {
        let (narrator, call) = (self.narrator, &self.call);
        let mut step = called(clean);
        let (mut found, mut momentary) = (Vec::new(), false);
        let asked = tools::read(&self.agent, raw);
        let (act, query) = match asked {
            Ok(ToolRequest::Act(act)) => (act, None),
            Ok(ToolRequest::Recall(act, query)) => (act, Some(query)),
            Ok(ToolRequest::Plan(asked)) => {
                step = self.plan(step, *asked).await?;
                return Ok(RecordedToolStep { step, found, momentary: true });
            }
            Err(message) => {
                step = failed(step, "validation_error", &message);
                return Ok(RecordedToolStep { step, found, momentary });
            }
        };
        match narrator.governor.permit(&call.context, &call.policy, act, Metered::Yes).await {
            Ok(permit) => {
                // An approval is not among the inputs of a replay.
                momentary = permit.trace().approval_id.is_some();
                if let Some(query) = &query {
                    let agent = &permit.command().agent;
                    found = self.working.new_facts(query);
                    found.extend(narrator.agents.find_facts(agent, query, MAX_RECALLED).await?);
                    found.truncate(MAX_RECALLED);
                }
                let found = query.is_some().then_some(found.as_slice());
                step = done(step, self.working.act(&permit, found, self.record.steps.len()));
            }
            Err(EngineError::Denied(report)) => {
                momentary = is_momentary(&report);
                step = refused(step, &report);
            }
            Err(error) => return Err(error),
        }
        Ok(RecordedToolStep { step, found, momentary })
    }

    /// Makes a plan of the model, which people review. It is durable before the turn is.
    async fn plan(&mut self, step: ToolStep, asked: NewPlan) -> Result<ToolStep, EngineError> {
        self.record_use().await?;
        let turn = ModelTurn {
            by: Actor::Model,
            agent_id: self.agent.as_str().to_owned(),
            turn: self.turn,
        };
        match self.narrator.plans.plan_of_model(&self.call.context, asked, turn).await {
            Ok(planned) => {
                let told = serde_json::json!({"status": "created", "id": planned.id,
                    "review": "people decide about it; nothing has been changed"});
                Ok(ToolStep { event_id: Some(planned.event_id), ..done(step, told) })
            }
            Err(EngineError::Denied(report)) => Ok(refused(step, &report)),
            Err(EngineError::PlanInvalid { code, faults, .. }) => {
                let told: Vec<_> =
                    faults.iter().take(MAX_FAULTS).map(|fault| fault.message.as_str()).collect();
                Ok(failed(step, code, &told.join("; ")))
            }
            Err(EngineError::PathForbidden(message)) => {
                Ok(failed(step, "path_forbidden", &message))
            }
            Err(EngineError::NotFound(message)) => Ok(failed(step, "not_found", &message)),
            Err(EngineError::Conflict(message)) => Ok(failed(step, "conflict", &message)),
            Err(error) => Err(error),
        }
    }
}

fn refused(step: ToolStep, report: &DenialReport) -> ToolStep {
    let step = denied(step, report.reason.code(), &report.message);
    ToolStep { event_id: Some(report.event_id), ..step }
}
