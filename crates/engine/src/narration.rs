//! Narration: the model narrates a turn that the rules have decided, and may call tools on the way.
//!
//! The turn and the acts of the model are committed together at the end. If the model fails, the rules answer,
//! or the turn fails and leaves the agent as it was, as the policy says.

mod conversation;
mod options;
mod policy_change;
mod prompt;
pub(crate) mod replay;
mod tool_calls;
mod tools;
mod turn_in_progress;

use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_domain::agent::rules::{TurnStep, decide_turn};
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::{Kind, Message, Turn};
use life_agent_domain::governance::event::{ModelReply, NarrationRecord, Source, Withheld};
use life_agent_domain::governance::gate::{GateNotes, Permit, Reason};
use life_agent_domain::governance::ids::AgentId;
use life_agent_domain::governance::size::json_size;
use life_agent_groq::{ChatReply, ChatRequest, Clean, Exchange, seed};
use life_agent_observer::Journal;
use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedSender;

pub(crate) use conversation::MAX_CALLS;
use conversation::{Conversation, Next, joined};
pub(crate) use options::TurnOptions;
use policy_change::Outcome;
use prompt::{HISTORY_ROWS, RECORD_ROWS, Scene, history, own_record};
use turn_in_progress::{MAX_REPLIES, TurnInProgress, kept, stuck, sum};

use crate::agents::{AgentService, NarratedTurn};
use crate::approvals::{ApprovalUse, record_use};
use crate::chat::stream_guard::StreamGuard;
use crate::chat::text_extraction::{body_of, clean};
use crate::chat::{CallFailure, Deadline, ModelCall, ModelCalls, StreamItem, fallback};
use crate::context::RequestContext;
use crate::error::{DenialReport, EngineError};
use crate::govern::Governor;
use crate::meters::{Meters, Whose};
use crate::planning::PlanService;
use crate::policy::ActivePolicy;
use crate::views::{TurnEvent, TurnOutcome};

/// Narrates turns.
pub(crate) struct Narrator {
    pub(crate) calls: Arc<ModelCalls>,
    pub(crate) governor: Arc<Governor>,
    pub(crate) agents: Arc<AgentService>,
    pub(crate) plans: Arc<PlanService>,
    pub(crate) journal: Journal,
    pub(crate) meters: Arc<Meters>,
}

/// A narration in progress.
struct NarrationRun<'e> {
    narrator: &'e Narrator,
    agent: AgentId,
    /// The number of the agent's turn.
    turn: u64,
    call: ModelCall,
    conversation: Conversation,
    working: TurnInProgress<'e>,
    /// The model's text, not redacted.
    raw: String,
    guard: Option<StreamGuard>,
    events: Option<UnboundedSender<TurnEvent>>,
    record: NarrationRecord,
    /// The approval that permits the turn.
    used: Option<ApprovalUse>,
}

impl Narrator {
    /// Narrates a permitted turn to its end, even if its caller disconnects.
    pub(crate) async fn run(
        self: &Arc<Self>,
        context: &RequestContext,
        policy: Arc<ActivePolicy>,
        permitted: (Permit<Turn>, Option<ApprovalUse>),
        options: TurnOptions,
        begun: Instant,
    ) -> Result<TurnOutcome, EngineError> {
        let (narrator, context) = (Arc::clone(self), context.clone());
        let narrated =
            async move { narrator.narrate(&context, &policy, permitted, options, begun).await };
        self.calls.in_flight.run(narrated).await
    }

    async fn narrate(
        &self,
        context: &RequestContext,
        policy: &Arc<ActivePolicy>,
        permitted: (Permit<Turn>, Option<ApprovalUse>),
        options: TurnOptions,
        begun: Instant,
    ) -> Result<TurnOutcome, EngineError> {
        let (permit, used) = permitted;
        let notes = GateNotes::from(permit.trace());
        let agent = permit.command().agent.clone();
        let slot = self.agents.cache.slot(&agent);
        let _held = self.agents.cache.lock_exclusive(&slot).await?;
        let before = self.agents.state(&agent).await?.state;
        if let Err(error) = self.agents.admit(&context.principal, &before).await {
            return Err(self.governor.deny_new_agent(context, policy, permit, error).await);
        }
        let turn = decide_turn(&before, &policy.profile, &permit);
        let working = TurnInProgress::after(&before, &turn, &policy.profile);
        let settled = (working.state().version, working.state().hash());

        let first = self.first_request(policy, &agent, &turn, working.state()).await;
        let (request, unsent) = match first {
            Ok(request) => (request, None),
            Err(error) => (Map::new(), Some(fallback(policy, error)?)),
        };
        let whole = Duration::from_secs(policy.snapshot.policy.llm.turn_seconds.into());
        let limit = Some((whole, tokio::time::Instant::now() + whole));
        let (policy_of, body) = (Arc::clone(policy), Clean::default());
        let mut call = ModelCall::new(context, policy_of, permit, body, "/turn", begun);
        call.deadline = Deadline { limit, cancel: options.cancel };
        let mut sent = request.clone();
        sent.insert("tools".to_owned(), tools::offered().into());
        let mut run = NarrationRun {
            narrator: self,
            agent: agent.clone(),
            turn: turn.turn.number,
            call,
            conversation: Conversation::new(sent),
            working,
            raw: String::new(),
            guard: options.events.is_some().then(StreamGuard::of_contents),
            events: options.events,
            record: NarrationRecord {
                request,
                exchanges: Vec::new(),
                steps: Vec::new(),
                withheld: None,
                fallback: unsent,
                usage: None,
                latency_ms: 0,
            },
            used,
        };
        let text = run.narration().await?;
        run.record.latency_ms = begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        let NarrationRun { mut call, working, guard, events, record, mut used, .. } = run;
        let source = if text.is_some() { Source::Llm } else { Source::Offline };
        let step = TurnStep { response: text.unwrap_or(turn.response), ..turn };
        let (state, acts) = working.into_parts();
        let text = (source == Source::Llm).then_some(step.response.as_str());
        let outcome = Outcome { agent: &agent, turn: &step, acts: &acts, text };
        self.recheck(&mut call, &outcome).await?;
        let mut with = options.with;
        with.side
            .extend(call.spent.iter().flat_map(|(model, used)| call.usage(model, Some(*used))));
        let narrated =
            NarratedTurn { step, settled, acts, narration: record, source, before, state, with };
        let acts = narrated.acts.len();
        context.adopt_times(&call.context);
        // Only now: a turn that fails because of the model has used nothing.
        record_use(&mut used, context, policy).await?;
        let turned =
            self.agents.commit_narrated(context, policy, &agent, &slot, narrated, notes).await?;
        if let Some(fallback) = &turned.fallback {
            self.meters.fell_back(Kind::Turn, fallback);
        }
        let whose = Whose::of(context, Some(&agent));
        self.meters.done(Kind::Turn, whose, begun);
        self.meters.acts_in_turn(acts, whose);
        if let (Some(guard), Some(events), Source::Llm) = (guard, events, source) {
            release_rest(&guard, &events, &turned.step.response);
        }
        Ok(turned)
    }

    /// The first request, redacted and without the tools.
    async fn first_request(
        &self,
        policy: &ActivePolicy,
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
            seed: Some(seed(self.calls.provider()?.seed, agent.as_str(), turn.turn.number)),
            ..ChatRequest::default()
        };
        match body_of(&request, policy.chain.redactor())?.into_value() {
            Value::Object(body) => Ok(body),
            _ => Err(EngineError::Unavailable),
        }
    }
}

impl NarrationRun<'_> {
    /// The narration; `None` if it is withheld or the turn goes on without the model, as the record then
    /// states.
    async fn narration(&mut self) -> Result<Option<String>, EngineError> {
        if self.record.fallback.is_none() {
            match self.converse().await {
                Ok(text) => return Ok(text),
                Err(error) => self.record.fallback = Some(fallback(&self.call.policy, error)?),
            }
        }
        // The model took its time, and no gate has judged a reply of it since.
        self.call.deny_if_stopped(&self.narrator.governor).await?;
        Ok(None)
    }

    /// The narration; `None` if it is withheld, as the record then states. Failures are recorded.
    async fn converse(&mut self) -> Result<Option<String>, EngineError> {
        loop {
            let redactor = self.call.policy.chain.redactor();
            self.call.body = Clean::of(self.conversation.request(), redactor);
            let reply = match self.ask().await {
                Ok(reply) => reply,
                Err(error) => return self.withhold(error).await,
            };
            let (raw, heard) = self.read(reply).await?;
            self.raw = joined(&self.raw, &raw.content);
            let told = match self.judge(&raw).await {
                Ok(()) => self.conversation.add_reply(&heard),
                Err(error) => return self.withhold(error).await,
            };
            match told {
                Next::Narrated => {
                    let redactor = self.call.policy.chain.redactor();
                    return Ok(Some(redactor.redact(self.conversation.text()).into_owned()));
                }
                Next::Stuck(why) => {
                    self.record.withheld = Some(stuck(why));
                    return Ok(None);
                }
                Next::Calls(calls) => {
                    for (call, raw) in calls.iter().zip(&raw.tool_calls) {
                        self.run_tool(call, raw).await?;
                    }
                }
            }
        }
    }

    /// Records the use of the approval before an effect that the rows of the turn do not record.
    async fn record_use(&mut self) -> Result<(), EngineError> {
        let ModelCall { context, policy, .. } = &self.call;
        record_use(&mut self.used, context, policy).await
    }

    async fn ask(&mut self) -> Result<Value, EngineError> {
        if self.guard.is_none() {
            return self.call.ask(&self.narrator.calls).await;
        }
        if self.record.exchanges.is_empty() {
            // The caller may see parts of the text from here on.
            self.record_use().await?;
            self.call.record_begun(&self.narrator.calls).await?;
        }
        let Some(guard) = &mut self.guard else { return Err(EngineError::Unavailable) };
        guard.divide();
        let events = &self.events;
        let mut hear = |came: StreamItem| {
            if let (StreamItem::Text("content", text), Some(events)) = (came, events) {
                // Fails if the caller disconnected. The row exists regardless.
                let _ = events.send(TurnEvent::Delta(text));
            }
        };
        self.call.ask_streamed(&self.narrator.calls, guard, &mut hear).await
    }

    /// The reply without the provider's key, and its recorded part.
    async fn read(&mut self, reply: Value) -> Result<(ChatReply, ChatReply), EngineError> {
        let reply = clean(reply, self.narrator.calls.provider()?.key.as_ref());
        let raw = match ChatReply::from_raw(reply) {
            Ok(raw) => raw,
            Err(error) => return Err(self.call.failed(&self.narrator.calls, error.into()).await),
        };
        if let Some(usage) = raw.usage {
            self.call.spent.push((raw.model.clone(), usage));
            self.record.usage = sum(self.record.usage, raw.usage.map(Into::into));
        }
        let redactor = self.call.policy.chain.redactor();
        let reply = clean(kept(&raw), redactor);
        let told = self.record.exchanges.iter().map(|heard| json_size(&heard.reply));
        if told.fold(json_size(&reply), usize::saturating_add) > MAX_REPLIES {
            let failure = CallFailure::unusable("the model's answers are too long; ask for less");
            return Err(self.call.failed(&self.narrator.calls, failure).await);
        }
        match ChatReply::from_raw(reply) {
            Ok(heard) => Ok((raw, heard)),
            Err(error) => Err(self.call.failed(&self.narrator.calls, error.into()).await),
        }
    }

    /// Sends the whole text so far through the chain and records the reply if it passes.
    async fn judge(&mut self, raw: &ChatReply) -> Result<(), EngineError> {
        if !raw.content.trim().is_empty() {
            let said = Message { role: "assistant".to_owned(), content: self.raw.clone() };
            self.call.judge(&self.narrator.calls, vec![said], Vec::new()).await?;
        }
        let redactor = self.call.policy.chain.redactor();
        let digest = Exchange::digest(&self.call.body);
        self.record.exchanges.push(ModelReply { digest, reply: clean(kept(raw), redactor) });
        Ok(())
    }

    /// A denied text is replaced by the rules' sentence. If the kill switch is on, the turn fails.
    async fn withhold(&mut self, error: EngineError) -> Result<Option<String>, EngineError> {
        match error {
            EngineError::Denied(report)
                if matches!(report.reason, Reason::KillSwitch | Reason::Stopped) =>
            {
                let label = report.reason.as_str();
                let error = EngineError::Denied(report);
                let failure = CallFailure { label, asked: true, error };
                Err(self.call.failed(&self.narrator.calls, failure).await)
            }
            EngineError::Denied(report) => {
                self.record.withheld = Some(withheld(&report));
                Ok(None)
            }
            other => Err(other),
        }
    }
}

fn withheld(report: &DenialReport) -> Withheld {
    Withheld {
        gate: report.gate.to_owned(),
        rule: report.rule.clone(),
        code: report.reason.code().to_owned(),
        message: report.message.clone(),
    }
}

/// Sends the rest of a durable text. If a credential was recognized too late for that, the last event
/// contains the whole text.
fn release_rest(guard: &StreamGuard, events: &UnboundedSender<TurnEvent>, response: &str) {
    let message = serde_json::json!({ "content": response });
    for (field, text) in guard.rest(&message).into_iter().flatten() {
        if field == "content" {
            let _ = events.send(TurnEvent::Delta(text));
        }
    }
}
