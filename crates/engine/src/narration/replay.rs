//! Replays a recorded narration from the recorded replies of the model: the same conversation, the same
//! tools, the same gates. Any difference is reported.

use std::sync::Arc;

use futures_util::FutureExt;
use life_agent_domain::agent::rules::TurnStep;
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::{Act, Chat, Message};
use life_agent_domain::governance::event::{
    NarrationRecord, RecordedToolStep, ToolDecision, ToolStep, Withheld,
};
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_gates::SecretRedactor;
use life_agent_groq::{
    ChatReply, Clean, Exchange, FunctionCall, MemoryTape, Model, Outcome, Replayer, Tape,
};
use serde_json::Value;

use super::conversation::{Conversation, Next, no_calls_left};
use super::tools::{self, ToolRequest};
use super::turn_in_progress::{TurnInProgress, called, denied, done, failed, stuck};
use crate::chat::text_extraction::clean;
use crate::govern::rejudge;
use crate::policy::ActivePolicy;
use crate::workspace::Workspace;

/// A turn to replay.
pub(crate) struct RecordedTurn<'a> {
    pub(crate) policy: &'a ActivePolicy,
    pub(crate) workspace: &'a Workspace,
    pub(crate) principal: Principal,
    pub(crate) agent: &'a AgentId,
    /// The state before the turn.
    pub(crate) before: &'a AgentState,
    /// The turn as the rules decide it.
    pub(crate) turn: &'a TurnStep,
}

/// A difference from the recorded narration.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) what: &'static str,
    pub(crate) recorded: String,
    pub(crate) now: String,
}

impl Difference {
    fn new(what: &'static str, recorded: impl ToString, now: impl ToString) -> Self {
        Self { what, recorded: recorded.to_string(), now: now.to_string() }
    }
}

/// Whether a person approved an act of the model in the turn. Without the approval, the act cannot be
/// repeated.
pub(crate) fn needed_approvals(record: &NarrationRecord) -> bool {
    record.steps.iter().any(|recorded| {
        let allowed = recorded.step.decision == ToolDecision::Allow;
        // Plans are never repeated.
        recorded.momentary && allowed && recorded.step.tool != tools::PLAN
    })
}

/// The end of a replayed conversation.
enum Ending {
    /// The model's text, redacted.
    Narrated(String),
    /// The text is withheld.
    Withheld(Withheld),
    /// The turn went on without the model from here on.
    WithoutModel,
}

impl Ending {
    /// The end that the row states, without the text.
    fn recorded(record: &NarrationRecord) -> Self {
        match (&record.withheld, &record.fallback) {
            (Some(withheld), _) => Ending::Withheld(withheld.clone()),
            (None, Some(_)) => Ending::WithoutModel,
            (None, None) => Ending::Narrated(String::new()),
        }
    }

    fn shown(&self) -> String {
        match self {
            Ending::Narrated(_) => "told".to_owned(),
            Ending::Withheld(Withheld { gate, rule, .. }) => {
                format!("withheld by {gate}/{}", rule.as_deref().unwrap_or_default())
            }
            Ending::WithoutModel => "without the model".to_owned(),
        }
    }
}

/// The response that the recorded replies lead to.
pub(crate) fn replay(
    recorded_turn: &RecordedTurn<'_>,
    record: &NarrationRecord,
) -> Result<String, Difference> {
    let ending = of_tape(recorded_turn, record)?;
    let (recorded, now) = (Ending::recorded(record).shown(), ending.shown());
    if recorded != now {
        return Err(Difference::new("telling", recorded, now));
    }
    Ok(match ending {
        Ending::Narrated(text) => text,
        Ending::Withheld(_) | Ending::WithoutModel => recorded_turn.turn.response.clone(),
    })
}

fn of_tape(
    recorded_turn: &RecordedTurn<'_>,
    record: &NarrationRecord,
) -> Result<Ending, Difference> {
    let tape = Arc::new(MemoryTape::default());
    for heard in &record.exchanges {
        let outcome = Outcome::Reply(heard.reply.clone());
        tape.record(Exchange { digest: heard.digest.clone(), request: Value::Null, outcome });
    }
    let model = Replayer::new(tape, Arc::new(SecretRedactor));
    let mut request = record.request.clone();
    request.insert("tools".to_owned(), tools::offered().into());
    let mut conversation = Conversation::new(request);
    let mut working = TurnInProgress::after(
        recorded_turn.before,
        recorded_turn.turn,
        &recorded_turn.policy.profile,
    );
    let (mut steps, mut heard) = (record.steps.iter(), record.exchanges.iter());
    loop {
        let body = conversation.request();
        let expected = heard.next();
        let reply = match (model.chat_raw(body.clone()).now_or_never(), expected) {
            (Some(Ok(reply)), Some(_)) => ChatReply::from_raw(reply),
            // A refused reply is not recorded; its denial has a row of its own.
            (_, None) if let Some(withheld) = &record.withheld => {
                return Ok(Ending::Withheld(withheld.clone()));
            }
            // The request failed, or was never sent.
            (_, None) if record.fallback.is_some() => return Ok(Ending::WithoutModel),
            _ => {
                let recorded = expected.map_or("none", |heard| heard.digest.as_str());
                let now = Exchange::digest(&Clean::of(body, &SecretRedactor));
                return Err(Difference::new("request", recorded, now));
            }
        };
        let reply = reply.map_err(|error| Difference::new("reply", "an answer", error))?;
        match conversation.add_reply(&reply) {
            Next::Narrated => return Ok(recorded_turn.judge(conversation.text())),
            Next::Stuck(why) => return Ok(Ending::Withheld(stuck(why))),
            Next::Calls(calls) => {
                for call in calls {
                    if !conversation.admits_call() {
                        conversation.answer(&call, &no_calls_left());
                        continue;
                    }
                    let recorded = match steps.next() {
                        Some(recorded) => recorded,
                        // The time was up between two calls.
                        None if record.fallback.is_some() => return Ok(Ending::WithoutModel),
                        None => return Err(Difference::new("tool", "none", &call.function.name)),
                    };
                    let result = recorded_turn.call(&mut working, recorded, &call.function)?;
                    conversation.answer(&call, &result);
                }
            }
        }
    }
}

impl RecordedTurn<'_> {
    fn judge(&self, text: &str) -> Ending {
        let said = Message { role: "assistant".to_owned(), content: text.to_owned() };
        let chat = Chat { messages: vec![said] };
        match rejudge(self.policy, self.workspace, self.principal.clone(), chat) {
            Ok(_) => Ending::Narrated(self.policy.chain.redactor().redact(text).into_owned()),
            Err(denial) => Ending::Withheld(Withheld {
                gate: denial.gate.to_owned(),
                rule: denial.refusal.rule,
                code: denial.refusal.reason.code().to_owned(),
                message: denial.refusal.message,
            }),
        }
    }

    /// Repeats a tool call and returns its result for the model.
    fn call(
        &self,
        working: &mut TurnInProgress<'_>,
        recorded: &RecordedToolStep,
        call: &FunctionCall,
    ) -> Result<Value, Difference> {
        let mut step = called(call);
        if recorded.momentary {
            step.decision = recorded.step.decision;
            step.code.clone_from(&recorded.step.code);
            step.result.clone_from(&recorded.step.result);
        } else {
            step = match tools::read(self.agent, call) {
                Ok(ToolRequest::Act(act)) => self.act(working, step, act, None),
                Ok(ToolRequest::Recall(act, _)) => {
                    self.act(working, step, act, Some(&recorded.found))
                }
                Ok(ToolRequest::Plan(_)) => step,
                Err(message) => failed(step, "validation_error", &message),
            };
        }
        let result = clean(step.result.take().unwrap_or_default(), self.policy.chain.redactor());
        let now = ToolStep { result: Some(result.clone()), event_id: None, ..step };
        let recorded = ToolStep { event_id: None, ..recorded.step.clone() };
        if now != recorded {
            let text = |step: &ToolStep| serde_json::to_string(step).unwrap_or_default();
            return Err(Difference::new("tool", text(&recorded), text(&now)));
        }
        Ok(result)
    }

    fn act(
        &self,
        working: &mut TurnInProgress<'_>,
        step: ToolStep,
        act: Act,
        found: Option<&[u64]>,
    ) -> ToolStep {
        match rejudge(self.policy, self.workspace, self.principal.clone(), act) {
            Ok(permit) => done(step, working.act(&permit, found, 0)),
            Err(denial) => {
                let refusal = denial.refusal;
                denied(step, refusal.reason.code(), &refusal.message)
            }
        }
    }
}
