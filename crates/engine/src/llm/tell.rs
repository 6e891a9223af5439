//! The model tells a turn that the rules have settled, and may call tools on the way.
//!
//! Nothing is applied and nothing appended until it is done: then the turn and all that the model did go
//! into the journal together. A turn that cannot be told leaves the agent as it was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_domain::agent::rules::{TurnStep, decide_turn};
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::{Kind, Message, Turn};
use life_agent_domain::governance::gate::{Permit, Reason};
use life_agent_domain::governance::ids::AgentId;
use life_agent_domain::governance::size::json_size;
use life_agent_groq::{
    ChatReply, ChatRequest, Clean, Exchange as Kept, FunctionCall, ToolCall, seed,
};
use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedSender;

use super::Failure;
use super::dialogue::{Dialogue, Next, joined, no_calls_left};
use super::exchange::{Exchange, Until};
use super::prompt::{HISTORY_ROWS, RECORD_ROWS, Scene, history, own_record};
use super::stream::Heard as Came;
use super::telling::{Heard, KeptStep, MAX_TOLD, Telling, Working, is_momentary, kept, sum};
use super::texts::{body_of, clean};
use super::tools::{self, Asked};
use super::window::Window;
use crate::answers::{GateNotes, Source};
use crate::engine::{Caller, Engine};
use crate::error::{DenialReport, EngineError};
use crate::plan::PlanAsked;
use crate::policy::InForce;
use crate::step::Told;
use crate::told::{ToolStep, TurnEvent, Turned, Withheld};
use crate::turn::How;

/// GateInputs that a recall brings at most.
const MAX_RECALLED: usize = 8;
/// Faults of a plan that the model is told of.
const MAX_FAULTS: usize = 5;

/// A turn while it is being told.
struct Teller<'e> {
    engine: &'e Engine,
    agent: AgentId,
    exchange: Exchange,
    dialogue: Dialogue,
    working: Working<'e>,
    /// What the model said, as it said it.
    raw: String,
    window: Option<Window>,
    events: Option<UnboundedSender<TurnEvent>>,
    telling: Telling,
}

impl Engine {
    /// Lets the model tell a permitted turn, also if whoever waits for it leaves.
    pub(crate) async fn tell(
        &self,
        caller: &Caller,
        policy: Arc<InForce>,
        permit: Permit<Turn>,
        how: How,
        begun: Instant,
    ) -> Result<Turned, EngineError> {
        let (engine, caller) = (self.clone(), caller.clone());
        let told = async move { engine.told(&caller, &policy, permit, how, begun).await };
        self.exchanges.carry(told).await
    }

    async fn told(
        &self,
        caller: &Caller,
        policy: &Arc<InForce>,
        permit: Permit<Turn>,
        how: How,
        begun: Instant,
    ) -> Result<Turned, EngineError> {
        let notes = GateNotes::from(permit.trace());
        let agent = permit.command().agent.clone();
        let slot = self.agents.slot(&agent);
        let _held = self.agents.hold(&slot).await?;
        let before = self.agents.present(&agent).await?.state;
        let turn = decide_turn(&before, &policy.profile, &permit);
        let working = Working::after(&before, &turn, &policy.profile);
        let settled = (working.state().version, working.state().hash());

        let request = self.first_request(policy, &agent, &turn, working.state()).await?;
        let whole = Duration::from_secs(policy.snapshot.policy.llm.turn_seconds.into());
        let deadline = Some((whole, tokio::time::Instant::now() + whole));
        let (policy_of, body) = (Arc::clone(policy), Clean::default());
        let mut exchange = Exchange::new(caller, policy_of, permit, body, "/turn", begun);
        exchange.until = Until { deadline, cancel: how.cancel };
        let mut sent = request.clone();
        sent.insert("tools".to_owned(), tools::offered().into());
        let mut teller = Teller {
            engine: self,
            agent: agent.clone(),
            exchange,
            dialogue: Dialogue::new(sent),
            working,
            raw: String::new(),
            window: how.events.is_some().then(Window::of_contents),
            events: how.events,
            telling: Telling {
                request,
                exchanges: Vec::new(),
                steps: Vec::new(),
                withheld: None,
                usage: None,
                latency_ms: 0,
            },
        };
        let told = teller.converse().await?;
        teller.telling.latency_ms = begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        let Teller { exchange, working, window, events, telling, .. } = teller;
        let source = if told.is_some() { Source::Llm } else { Source::Offline };
        let step = TurnStep { response: told.unwrap_or(turn.response), ..turn };
        let (state, acts) = working.into_parts();
        let mut extra = how.extra;
        extra.extend(
            exchange.spent.iter().flat_map(|(model, used)| exchange.usage(model, Some(*used))),
        );
        let done = Told { step, settled, acts, telling, source, before, state, extra };
        let acts = done.acts.len();
        let turned = self.take_told(caller, policy, &agent, &slot, done, notes).await?;
        self.meters.done(Kind::Turn, begun);
        self.meters.acts_in_turn(acts);
        if let (Some(window), Some(events), Source::Llm) = (window, events, source) {
            release_rest(&window, &events, &turned.step.response);
        }
        Ok(turned)
    }

    /// The first request, without the tools and without credentials.
    async fn first_request(
        &self,
        policy: &InForce,
        agent: &AgentId,
        turn: &TurnStep,
        state: &AgentState,
    ) -> Result<Map<String, Value>, EngineError> {
        let recent = self.journal.recent_activity(agent.as_str(), RECORD_ROWS, HISTORY_ROWS);
        let recent = recent.await?;
        let llm = &policy.snapshot.policy.llm;
        let scene = Scene {
            profile: &policy.profile,
            agent,
            turn,
            state,
            history: history(&recent.turns, llm.history_tokens),
            record: own_record(&recent.events),
        };
        let request = ChatRequest {
            model: llm.model.clone(),
            messages: scene.messages(),
            temperature: Some(llm.temperature),
            max_completion_tokens: Some(llm.max_tokens),
            seed: Some(seed(self.llm()?.seed, agent.as_str(), turn.turn.number)),
            ..ChatRequest::default()
        };
        match body_of(&request, policy.chain.redactor())?.into_value() {
            Value::Object(body) => Ok(body),
            _ => Err(EngineError::Unavailable),
        }
    }
}

impl Teller<'_> {
    /// What the model tells; none if that is withheld, which the telling then says. What fails is on
    /// the record.
    async fn converse(&mut self) -> Result<Option<String>, EngineError> {
        loop {
            let redactor = self.exchange.policy.chain.redactor();
            self.exchange.body = Clean::of(self.dialogue.request(), redactor);
            let reply = match self.ask().await {
                Ok(reply) => reply,
                Err(error) => return self.withhold(error).await,
            };
            let (raw, heard) = self.read(reply).await?;
            self.raw = joined(&self.raw, &raw.content);
            let told = match self.judge(&raw).await {
                Ok(()) => self.dialogue.hear(&heard),
                Err(error) => return self.withhold(error).await,
            };
            match told {
                Next::Told => {
                    let redactor = self.exchange.policy.chain.redactor();
                    return Ok(Some(redactor.redact(self.dialogue.text()).into_owned()));
                }
                Next::Stuck(why) => {
                    self.telling.withheld = Some(stuck(why));
                    return Ok(None);
                }
                Next::Calls(calls) => {
                    for (call, raw) in calls.iter().zip(&raw.tool_calls) {
                        self.call(call, raw).await?;
                    }
                }
            }
        }
    }

    async fn ask(&mut self) -> Result<Value, EngineError> {
        let Some(window) = &mut self.window else {
            return self.exchange.ask(self.engine).await;
        };
        window.divide();
        let events = &self.events;
        let mut hear = |came: Came<'_>| {
            if let (Came::Text("content", text), Some(events)) = (came, events) {
                // A caller that has left is told nothing; the record has it.
                let _ = events.send(TurnEvent::Delta(text));
            }
        };
        self.exchange.ask_streamed(self.engine, window, &mut hear).await
    }

    /// The answer as it came but for the provider's key, and what is kept of it.
    async fn read(&mut self, reply: Value) -> Result<(ChatReply, ChatReply), EngineError> {
        let reply = clean(reply, &self.engine.llm()?.key);
        let raw = match ChatReply::from_raw(reply) {
            Ok(raw) => raw,
            Err(error) => return Err(self.exchange.failed(self.engine, error.into()).await),
        };
        if let Some(usage) = raw.usage {
            self.exchange.spent.push((raw.model.clone(), usage));
            self.telling.usage = sum(self.telling.usage, raw.usage);
        }
        let redactor = self.exchange.policy.chain.redactor();
        let reply = clean(kept(&raw), redactor);
        let told = self.telling.exchanges.iter().map(|heard| json_size(&heard.reply));
        if told.fold(json_size(&reply), usize::saturating_add) > MAX_TOLD {
            let failure = Failure::unusable("the model's answers are too long; ask for less");
            return Err(self.exchange.failed(self.engine, failure).await);
        }
        match ChatReply::from_raw(reply) {
            Ok(heard) => Ok((raw, heard)),
            Err(error) => Err(self.exchange.failed(self.engine, error.into()).await),
        }
    }

    /// Sends all that the model has said so far through the chain; what passes is kept.
    async fn judge(&mut self, raw: &ChatReply) -> Result<(), EngineError> {
        if !raw.content.trim().is_empty() {
            let said = Message { role: "assistant".to_owned(), content: self.raw.clone() };
            self.exchange.judge(self.engine, vec![said], Vec::new()).await?;
        }
        let redactor = self.exchange.policy.chain.redactor();
        let digest = Kept::digest(&self.exchange.body);
        self.telling.exchanges.push(Heard { digest, reply: clean(kept(raw), redactor) });
        Ok(())
    }

    /// A refusal of the model's text leaves the turn with the rules' sentence; with the kill switch on
    /// nothing is done at all.
    async fn withhold(&mut self, error: EngineError) -> Result<Option<String>, EngineError> {
        match error {
            EngineError::Denied(report) if report.reason == Reason::KillSwitch => {
                let error = EngineError::Denied(report);
                let failure = Failure { label: "kill_switch", asked: true, error };
                Err(self.exchange.failed(self.engine, failure).await)
            }
            EngineError::Denied(report) => {
                self.telling.withheld = Some(withheld(&report));
                Ok(None)
            }
            other => Err(other),
        }
    }

    /// Carries out one call, or tells the model why not.
    async fn call(&mut self, call: &ToolCall, raw: &ToolCall) -> Result<(), EngineError> {
        if !self.dialogue.admits_call() {
            self.dialogue.answer(call, &no_calls_left());
            return Ok(());
        }
        if let Err(failure) = self.exchange.in_time(self.engine, std::future::ready(())).await {
            return Err(self.exchange.failed(self.engine, failure).await);
        }
        let mut kept = self.carry_out(&call.function, &raw.function).await?;
        let redactor = self.exchange.policy.chain.redactor();
        let result = clean(kept.step.result.take().unwrap_or_default(), redactor);
        self.dialogue.answer(call, &result);
        kept.step.result = Some(result);
        if let Some(events) = &self.events {
            let _ = events.send(TurnEvent::Tool(Box::new(kept.step.clone())));
        }
        self.telling.steps.push(kept);
        Ok(())
    }

    async fn carry_out(
        &mut self,
        clean: &FunctionCall,
        raw: &FunctionCall,
    ) -> Result<KeptStep, EngineError> {
        let (engine, exchange) = (self.engine, &self.exchange);
        let mut step = ToolStep::called(clean);
        let (mut found, mut momentary) = (Vec::new(), false);
        let asked = tools::read(&self.agent, raw);
        let (act, query) = match asked {
            Ok(Asked::Act(act)) => (act, None),
            Ok(Asked::Recall(act, query)) => (act, Some(query)),
            Ok(Asked::Plan(asked)) => {
                step = self.plan(step, *asked).await?;
                return Ok(KeptStep { step, found, momentary: true });
            }
            Err(message) => {
                step = step.failed("validation_error", &message);
                return Ok(KeptStep { step, found, momentary });
            }
        };
        match engine.permit(&exchange.caller, &exchange.policy, act).await {
            Ok(permit) => {
                if let Some(query) = &query {
                    let agent = &permit.command().agent;
                    found = self.working.new_facts(query);
                    found.extend(engine.find_facts(agent, query, MAX_RECALLED).await?);
                    found.truncate(MAX_RECALLED);
                }
                let found = query.is_some().then_some(found.as_slice());
                step = step.done(self.working.act(&permit, found, self.telling.steps.len()));
            }
            Err(EngineError::Denied(report)) => {
                momentary = is_momentary(&report);
                step = denied(step, &report);
            }
            Err(error) => return Err(error),
        }
        Ok(KeptStep { step, found, momentary })
    }

    /// A plan of the model's is on the record at once, and stays a draft for people to review.
    async fn plan(&self, step: ToolStep, asked: PlanAsked) -> Result<ToolStep, EngineError> {
        match self.engine.plan(&self.exchange.caller, asked).await {
            Ok(planned) => {
                let told = serde_json::json!({"status": "created", "id": planned.id,
                    "review": "people decide about it; nothing has been changed"});
                Ok(ToolStep { event_id: Some(planned.event_id), ..step.done(told) })
            }
            Err(EngineError::Denied(report)) => Ok(denied(step, &report)),
            Err(EngineError::PlanInvalid { code, faults, .. }) => {
                let told: Vec<_> =
                    faults.iter().take(MAX_FAULTS).map(|fault| fault.message.as_str()).collect();
                Ok(step.failed(code, &told.join("; ")))
            }
            Err(EngineError::PathForbidden(message)) => Ok(step.failed("path_forbidden", &message)),
            Err(EngineError::NotFound(message)) => Ok(step.failed("not_found", &message)),
            Err(EngineError::Conflict(message)) => Ok(step.failed("conflict", &message)),
            Err(error) => Err(error),
        }
    }
}

fn denied(step: ToolStep, report: &DenialReport) -> ToolStep {
    let step = step.denied(report.reason.code(), &report.message);
    ToolStep { event_id: Some(report.event_id), ..step }
}

fn withheld(report: &DenialReport) -> Withheld {
    Withheld {
        gate: report.gate.to_owned(),
        rule: report.rule.clone(),
        code: report.reason.code().to_owned(),
        message: report.message.clone(),
    }
}

/// Of a model that told nothing.
pub(super) fn stuck(why: &str) -> Withheld {
    let (gate, code) = ("turn".to_owned(), "llm_failed".to_owned());
    Withheld { gate, rule: None, code, message: why.to_owned() }
}

/// What has been held back of a text that is on the record now. Where a credential showed too late for
/// the rest to follow what was let go, the last event has all of it.
fn release_rest(window: &Window, events: &UnboundedSender<TurnEvent>, response: &str) {
    let message = serde_json::json!({ "content": response });
    for (field, text) in window.rest(&message).into_iter().flatten() {
        if field == "content" {
            let _ = events.send(TurnEvent::Delta(text));
        }
    }
}
