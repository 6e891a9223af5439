//! Tells a recorded turn again, from the recorded answers of the model: the same conversation, the same
//! tools, the same gates. What comes out otherwise is a divergence.

use std::sync::Arc;

use futures_util::FutureExt;
use life_agent_domain::agent::rules::TurnStep;
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::{Chat, Command, Gated, Message};
use life_agent_domain::governance::gate::{GateInputs, Unwatched, evaluate};
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_gates::SecretRedactor;
use life_agent_groq::{
    ChatReply, Clean, Exchange, FunctionCall, MemoryTape, Model, Outcome, Replayer, Tape,
};
use serde_json::Value;

use super::dialogue::{Dialogue, Next, no_calls_left};
use super::tell::stuck;
use super::telling::{KeptStep, Telling, Working};
use super::texts::clean;
use super::tools::{self, Asked};
use crate::policy::InForce;
use crate::told::{ToolStep, Withheld};

/// What a turn is told again with.
pub(crate) struct Again<'a> {
    pub(crate) policy: &'a InForce,
    /// The facts about a command, as far as they do not hang on the moment.
    pub(crate) facts: &'a dyn Fn(Command<'_>) -> GateInputs,
    pub(crate) principal: Principal,
    pub(crate) agent: &'a AgentId,
    /// The state before the turn.
    pub(crate) before: &'a AgentState,
    /// The turn as the rules settle it.
    pub(crate) turn: &'a TurnStep,
}

/// Something that came out otherwise.
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

/// The response that the recorded answers lead to today.
pub(crate) fn retell(again: &Again<'_>, telling: &Telling) -> Result<String, Difference> {
    let told = of_tape(again, telling)?;
    let (now, text) = match told {
        Ok(text) => (None, text),
        Err(withheld) => (Some(withheld), again.turn.response.clone()),
    };
    let by = |withheld: &Option<Withheld>| match withheld {
        Some(Withheld { gate, rule, .. }) => {
            format!("withheld by {gate}/{}", rule.as_deref().unwrap_or_default())
        }
        None => "told".to_owned(),
    };
    let (recorded, now) = (by(&telling.withheld), by(&now));
    if recorded != now {
        return Err(Difference::new("telling", recorded, now));
    }
    Ok(text)
}

fn of_tape(again: &Again<'_>, telling: &Telling) -> Result<Result<String, Withheld>, Difference> {
    let tape = Arc::new(MemoryTape::default());
    for heard in &telling.exchanges {
        let outcome = Outcome::Reply(heard.reply.clone());
        tape.record(Exchange { digest: heard.digest.clone(), request: Value::Null, outcome });
    }
    let model = Replayer::new(tape, Arc::new(SecretRedactor));
    let mut request = telling.request.clone();
    request.insert("tools".to_owned(), tools::offered().into());
    let mut dialogue = Dialogue::new(request);
    let mut working = Working::after(again.before, again.turn, &again.policy.profile);
    let (mut steps, mut heard) = (telling.steps.iter(), telling.exchanges.iter());
    loop {
        let body = dialogue.request();
        let expected = heard.next();
        let reply = match (model.chat_raw(body.clone()).now_or_never(), expected) {
            (Some(Ok(reply)), Some(_)) => ChatReply::from_raw(reply),
            // An answer that was refused is not kept; the row of its denial is played by itself.
            (_, None) if let Some(withheld) = &telling.withheld => {
                return Ok(Err(withheld.clone()));
            }
            _ => {
                let recorded = expected.map_or("none", |heard| heard.digest.as_str());
                let now = Exchange::digest(&Clean::of(body, &SecretRedactor));
                return Err(Difference::new("request", recorded, now));
            }
        };
        let reply = reply.map_err(|error| Difference::new("reply", "an answer", error))?;
        match dialogue.hear(&reply) {
            Next::Told => return Ok(again.judge(dialogue.text())),
            Next::Stuck(why) => return Ok(Err(stuck(why))),
            Next::Calls(calls) => {
                for call in calls {
                    if !dialogue.admits_call() {
                        dialogue.answer(&call, &no_calls_left());
                        continue;
                    }
                    let recorded = steps
                        .next()
                        .ok_or_else(|| Difference::new("tool", "none", &call.function.name))?;
                    let result = again.call(&mut working, recorded, &call.function)?;
                    dialogue.answer(&call, &result);
                }
            }
        }
    }
}

impl Again<'_> {
    fn judge(&self, text: &str) -> Result<String, Withheld> {
        let said = Message { role: "assistant".to_owned(), content: text.to_owned() };
        let chat = Chat { messages: vec![said] };
        let facts = (self.facts)(chat.view());
        let principal = self.principal.clone();
        let redactor = self.policy.chain.redactor();
        match evaluate(&self.policy.chain, principal, chat, &facts, &Unwatched) {
            Ok(_) => Ok(redactor.redact(text).into_owned()),
            Err(denial) => Err(Withheld {
                gate: denial.gate.to_owned(),
                rule: denial.refusal.rule,
                code: denial.refusal.reason.code().to_owned(),
                message: denial.refusal.message,
            }),
        }
    }

    /// Carries out a call again; what the model is told of it.
    fn call(
        &self,
        working: &mut Working<'_>,
        recorded: &KeptStep,
        call: &FunctionCall,
    ) -> Result<Value, Difference> {
        let mut step = ToolStep::called(call);
        if recorded.momentary {
            step.decision = recorded.step.decision;
            step.code.clone_from(&recorded.step.code);
            step.result.clone_from(&recorded.step.result);
        } else {
            step = match tools::read(self.agent, call) {
                Ok(Asked::Act(act)) => self.act(working, step, act, None),
                Ok(Asked::Recall(act, _)) => self.act(working, step, act, Some(&recorded.found)),
                Ok(Asked::Plan(_)) => step,
                Err(message) => step.failed("validation_error", &message),
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
        working: &mut Working<'_>,
        step: ToolStep,
        act: life_agent_domain::governance::command::Act,
        found: Option<&[u64]>,
    ) -> ToolStep {
        let facts = (self.facts)(act.view());
        let principal = self.principal.clone();
        match evaluate(&self.policy.chain, principal, act, &facts, &Unwatched) {
            Ok(permit) => step.done(working.act(&permit, found, 0)),
            Err(denial) => {
                let refusal = denial.refusal;
                step.denied(refusal.reason.code(), &refusal.message)
            }
        }
    }
}
