//! One call of the model: from its permit through the gates for the reply to its row.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_domain::governance::budget::Tokens;
use life_agent_domain::governance::command::{Chat, Kind, Message, Turn};
use life_agent_domain::governance::event::{CallOutcome, ChatBegunRecord, ChatRecord};
use life_agent_domain::governance::gate::{GateNotes, Permit, Trace};
use life_agent_domain::governance::ids::AgentId;
use life_agent_domain::governance::size::json_size;
use life_agent_groq::{ChatError, ChatReply, Clean, Exchange, Usage};
use life_agent_observer::SideWrite;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::failure::CallFailure;
use super::model_calls::ModelCalls;
use super::text_extraction::{clean, of_reply};
use crate::budgets::{Asked, Held, most_of_body};
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::govern::Governor;
use crate::meters::Whose;
use crate::policy::ActivePolicy;
use crate::trace::{Span, model, with_context};

/// Longest reply in JSON, in bytes: a row has room for the request and the reply.
pub(crate) const MAX_ANSWER: usize = 1024 * 1024;

/// The name of the configured provider in rows.
pub(crate) const DEFAULT_PROVIDER: &str = "default";

/// A permitted request on its way to the model.
pub(crate) struct ModelCall {
    pub(crate) context: RequestContext,
    pub(crate) policy: Arc<ActivePolicy>,
    pub(crate) permit: CallPermit,
    /// The body for the provider, built from the permitted request.
    pub(crate) body: Clean,
    /// The endpoint, as the row states it.
    pub(crate) endpoint: &'static str,
    pub(crate) begun: Instant,
    /// The end of the wait for the model, unless the service stops first.
    pub(crate) deadline: Deadline,
    /// The cost of earlier calls of the same request.
    pub(crate) spent: Vec<(String, Usage)>,
    /// Whether a row states that the call begins, so that a row must state its end.
    is_announced: bool,
}

/// The permit of a model call.
pub(crate) enum CallPermit {
    Chat(Permit<Chat>),
    Turn(Permit<Turn>),
}

impl From<Permit<Chat>> for CallPermit {
    fn from(permit: Permit<Chat>) -> Self {
        CallPermit::Chat(permit)
    }
}

impl From<Permit<Turn>> for CallPermit {
    fn from(permit: Permit<Turn>) -> Self {
        CallPermit::Turn(permit)
    }
}

impl CallPermit {
    pub(crate) fn trace(&self) -> &Trace {
        match self {
            CallPermit::Chat(permit) => permit.trace(),
            CallPermit::Turn(permit) => permit.trace(),
        }
    }

    /// The messages that the gates judged.
    fn messages(&self) -> Cow<'_, [Message]> {
        match self {
            CallPermit::Chat(permit) => Cow::Borrowed(&permit.command().messages),
            CallPermit::Turn(permit) => {
                let content = permit.command().input.clone();
                Cow::Owned(vec![Message { role: "user".to_owned(), content }])
            }
        }
    }

    fn agent(&self) -> Option<&AgentId> {
        match self {
            CallPermit::Chat(_) => None,
            CallPermit::Turn(permit) => Some(&permit.command().agent),
        }
    }
}

/// The end of the wait for the model.
#[derive(Default)]
pub(crate) struct Deadline {
    /// The time limit and its end.
    pub(crate) limit: Option<(Duration, tokio::time::Instant)>,
    /// Cancels the request.
    pub(crate) cancel: CancellationToken,
}

impl Deadline {
    async fn elapsed(&self) -> CallFailure {
        let late = async {
            match self.limit {
                Some((whole, at)) => {
                    tokio::time::sleep_until(at).await;
                    whole
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => CallFailure::cancelled(),
            whole = late => CallFailure::late(whole),
        }
    }
}

/// A durable reply that passed the gates.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The whole reply, redacted.
    pub(crate) reply: ChatReply,
    /// The number of its row.
    pub(crate) event_id: u64,
    /// The findings in the request.
    pub(crate) notes: GateNotes,
    /// The findings in the reply.
    pub(crate) answer_notes: GateNotes,
}

impl ModelCall {
    pub(crate) fn new(
        context: &RequestContext,
        policy: Arc<ActivePolicy>,
        permit: impl Into<CallPermit>,
        body: Clean,
        endpoint: &'static str,
        begun: Instant,
    ) -> Self {
        let (context, permit) = (context.clone(), permit.into());
        let (deadline, spent) = (Deadline::default(), Vec::new());
        let is_announced = false;
        Self { context, policy, permit, body, endpoint, begun, deadline, spent, is_announced }
    }

    pub(super) async fn run(mut self, calls: &ModelCalls) -> Result<Reply, EngineError> {
        let reply = self.ask(calls).await?;
        self.admit(calls, reply).await
    }

    /// The raw reply. A failure is recorded.
    pub(crate) async fn ask(&mut self, calls: &ModelCalls) -> Result<Value, EngineError> {
        let llm = calls.provider()?;
        let held = self.reserve(calls).await?;
        let mut span = self.begin_span();
        let answer = with_context(&span, llm.model.chat_raw(Value::clone(&self.body)));
        let asked = Instant::now();
        let answered = self.in_time(calls, answer).await;
        self.context.add_model_time(asked.elapsed());
        note_end(&mut span, &answered);
        match answered {
            Ok(Ok(reply)) => {
                describe_reply(&mut span, &reply);
                drop(span);
                held.settle(Usage::of(&reply).and_then(tokens));
                Ok(reply)
            }
            Ok(Err(error)) => {
                drop(span);
                Err(self.failed_holding(calls, error, &held).await)
            }
            Err(failure) => {
                drop(span);
                Err(self.failed(calls, failure).await)
            }
        }
    }

    /// Begins the span of a request to the model.
    pub(super) fn begin_span(&self) -> Span {
        let redactor = self.policy.chain.redactor();
        model::begin_call(&self.context, "chat", DEFAULT_PROVIDER, self.model(), redactor)
    }

    /// Reserves the most that the call can use of its budgets. A refusal is recorded.
    pub(super) async fn reserve(&self, calls: &ModelCalls) -> Result<Held, EngineError> {
        let usual = self.policy.snapshot.policy.llm.max_tokens;
        let most = most_of_body(&self.body, usual);
        let asked = Asked { agent: self.permit.agent(), model: self.model(), most };
        let (context, policy) = (&self.context, &self.policy);
        match calls.budgets.reserve(context, policy, asked).await {
            Ok(held) => Ok(held),
            Err(not) => Err(match &self.permit {
                CallPermit::Chat(permit) => {
                    calls.governor.deny_over_budget(context, policy, permit, not).await
                }
                CallPermit::Turn(permit) => {
                    calls.governor.deny_over_budget(context, policy, permit, not).await
                }
            }),
        }
    }

    /// Records a failure. A call that the provider did not carry out costs nothing.
    pub(super) async fn failed_holding(
        &mut self,
        calls: &ModelCalls,
        error: ChatError,
        held: &Held,
    ) -> EngineError {
        let rejected = is_rejection(&error);
        let failure = CallFailure::from(error);
        if rejected || !failure.asked {
            held.release();
        }
        self.failed(calls, failure).await
    }

    /// Denies a turn whose agent or principal, or everything, was stopped since its permit.
    pub(crate) async fn deny_if_stopped(&self, governor: &Governor) -> Result<(), EngineError> {
        match &self.permit {
            CallPermit::Chat(permit) => {
                governor.deny_if_stopped(&self.context, &self.policy, permit).await
            }
            CallPermit::Turn(permit) => {
                governor.deny_if_stopped(&self.context, &self.policy, permit).await
            }
        }
    }

    /// Waits for the model until the deadline, a cancellation or a stop.
    pub(crate) async fn in_time<T>(
        &self,
        calls: &ModelCalls,
        answer: impl Future<Output = T>,
    ) -> Result<T, CallFailure> {
        tokio::select! {
            biased;
            () = calls.in_flight.stopped() => Err(CallFailure::stopping()),
            stop = calls.governor.stops().stopped(&self.context.principal, self.permit.agent()) => {
                Err(CallFailure::cut_off(stop))
            }
            failure = self.deadline.elapsed() => Err(failure),
            answer = answer => Ok(answer),
        }
    }

    /// Records that a streamed call begins, before the provider is called and anything is released.
    pub(crate) async fn record_begun(&mut self, calls: &ModelCalls) -> Result<(), EngineError> {
        let record = ChatBegunRecord {
            endpoint: self.endpoint.into(),
            model: self.policy.chain.redactor().redact(self.model()),
            provider: DEFAULT_PROVIDER.into(),
            stream: true,
            digest: Exchange::digest(&self.body).into(),
        };
        let (hash, agent) = (&self.policy.snapshot.hash, self.permit.agent());
        calls.recorder.record(&self.context, hash, agent, &record, Vec::new()).await?;
        self.is_announced = true;
        Ok(())
    }

    /// Sends a reply through the chain like any untrusted input, and records it before anyone sees it.
    pub(crate) async fn admit(
        &mut self,
        calls: &ModelCalls,
        reply: Value,
    ) -> Result<Reply, EngineError> {
        let mut reply = clean(reply, calls.provider()?.key.as_ref());
        drop_token_lists(&mut reply);
        let readable = match ChatReply::from_raw(reply) {
            Ok(readable) if json_size(&readable.raw) <= MAX_ANSWER => readable,
            Ok(_) => return Err(self.failed(calls, too_long()).await),
            Err(error) => return Err(self.failed(calls, error.into()).await),
        };
        let extra = self.usage(&readable.model, readable.usage);
        let permit = match self.judge(calls, of_reply(&readable.raw), extra).await {
            Ok(permit) => permit,
            Err(error) => return Err(self.withheld(calls, error).await),
        };
        let reply = clean(readable.raw, self.policy.chain.redactor());
        let reply = match ChatReply::from_raw(reply) {
            Ok(reply) => reply,
            Err(error) => return Err(self.failed(calls, error.into()).await),
        };
        let answer_notes = GateNotes::from(permit.trace());
        let tool_calls = &reply.raw["choices"][0]["message"]["tool_calls"];
        let told = CallOutcome::Answered {
            model: reply.model.as_str().into(),
            content: reply.content.as_str().into(),
            tool_calls: Some(tool_calls).filter(|calls| !calls.is_null()).map(Cow::Borrowed),
            finish_reason: reply.finish_reason.as_deref().map(Cow::Borrowed),
            usage: reply.usage.map(Into::into),
            answer: Cow::Borrowed(&answer_notes),
        };
        let extra = self.usage(&reply.model, reply.usage);
        let event_id = self.record(calls, told, &Exchange::digest(&self.body), extra).await?;
        let whose = Whose::of(&self.context, self.permit.agent());
        calls.meters.done(Kind::Chat, whose, self.begun);
        let notes = GateNotes::from(self.permit.trace());
        Ok(Reply { reply, event_id, notes, answer_notes })
    }

    /// Sends texts of the model through the chain. A denial is recorded with the cost in `extra`.
    pub(crate) async fn judge(
        &self,
        calls: &ModelCalls,
        messages: Vec<Message>,
        extra: Vec<SideWrite>,
    ) -> Result<Permit<Chat>, EngineError> {
        let reply = Chat { messages };
        calls.governor.permit_reply(&self.context, &self.policy, reply, extra).await
    }

    /// Records the request of a response that the gates refused: the denial states only the response.
    pub(super) async fn withheld(&self, calls: &ModelCalls, error: EngineError) -> EngineError {
        let EngineError::Denied(report) = &error else { return error };
        let Some(outcome) = report.withheld_call() else { return error };
        match self.record(calls, outcome, &Exchange::digest(&self.body), Vec::new()).await {
            Ok(_) => error,
            Err(error) => error,
        }
    }

    /// Records a failure if a request was sent or announced, together with the cost of earlier calls, and returns the
    /// error for the caller.
    pub(crate) async fn failed(&mut self, calls: &ModelCalls, failure: CallFailure) -> EngineError {
        if !failure.asked && !self.is_announced {
            return failure.error;
        }
        let redactor = self.policy.chain.redactor();
        let message = redactor.redact(&failure.error.to_string()).into_owned();
        let told = CallOutcome::Failed { error: failure.label.into(), message: message.into() };
        let digest = Exchange::digest(&self.body);
        // A request that goes on without the model must not record the same cost again.
        let spent = std::mem::take(&mut self.spent);
        let spent = spent.iter().flat_map(|(model, usage)| self.usage(model, Some(*usage)));
        match self.record(calls, told, &digest, spent.collect()).await {
            Ok(_) => failure.error,
            Err(error) => error,
        }
    }

    async fn record(
        &self,
        calls: &ModelCalls,
        outcome: CallOutcome<'_>,
        digest: &str,
        extra: Vec<SideWrite>,
    ) -> Result<u64, EngineError> {
        let fields = self.body.as_object().into_iter().flatten();
        let parameters = fields
            .filter(|(name, _)| *name != "messages")
            .map(|(name, value)| (name.as_str().into(), Cow::Borrowed(value)))
            .collect();
        let (sent, messages) = (&self.body["messages"], self.permit.messages());
        let is_more = !are_these(sent, &messages);
        let notes = GateNotes::from(self.permit.trace());
        let record = ChatRecord {
            outcome,
            endpoint: self.endpoint.into(),
            messages,
            sent_messages: is_more.then_some(Cow::Borrowed(sent)),
            parameters,
            digest: digest.into(),
            notes: Cow::Owned(notes),
            forwarded: None,
        };
        let (hash, agent) = (&self.policy.snapshot.hash, self.permit.agent());
        calls.recorder.record(&self.context, hash, agent, &record, extra).await
    }

    pub(crate) fn usage(&self, model: &str, usage: Option<Usage>) -> Vec<SideWrite> {
        let model = if model.is_empty() { self.model() } else { model };
        let model = self.policy.chain.redactor().redact(model).into_owned();
        let used = |usage: Usage| {
            SideWrite::Usage(life_agent_observer::Usage {
                model,
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
                total_tokens: usage.total_tokens,
            })
        };
        usage.map(used).into_iter().collect()
    }

    /// The requested model.
    pub(crate) fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Notes why a request to the model failed.
pub(super) fn note_end<T>(span: &mut Span, ended: &Result<Result<T, ChatError>, CallFailure>) {
    match ended {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => span.fail(error.label()),
        Err(failure) => span.fail(failure.label),
    }
}

/// Notes the cost and the end of a raw reply.
pub(super) fn describe_reply(span: &mut Span, reply: &Value) {
    if span.trace().is_none() {
        return;
    }
    let reason = reply.pointer("/choices/0/finish_reason").and_then(Value::as_str);
    model::note_reason(span, reason);
    model::note_usage(span, Usage::of(reply).map(Into::into));
}

/// The tokens of a call as the provider reports them. No call uses none, so a report of none is not one.
pub(crate) fn tokens(usage: Usage) -> Option<Tokens> {
    let tokens = Tokens { prompt: usage.prompt_tokens, completion: usage.completion_tokens };
    (tokens != Tokens::default()).then_some(tokens)
}

/// Whether the provider rejected a request instead of carrying it out.
pub(crate) fn is_rejection(error: &ChatError) -> bool {
    match error {
        ChatError::Failed { status: Some(status), .. } => (400..500).contains(status),
        ChatError::Overloaded { .. } => true,
        _ => false,
    }
}

pub(crate) fn too_long() -> CallFailure {
    CallFailure::unusable("the model's answer is longer than 1 MiB; ask for less")
}

/// Whether the messages of a request consist of these texts only.
fn are_these(sent: &Value, messages: &[Message]) -> bool {
    let is_this = |(sent, message): (&Value, &Message)| {
        let fields = sent.as_object().map_or(0, Map::len);
        let text = sent["content"].as_str();
        fields == 2 && sent["role"] == *message.role && text == Some(message.content.as_str())
    };
    let sent = sent.as_array().map(Vec::as_slice).unwrap_or_default();
    sent.len() == messages.len() && sent.iter().zip(messages).all(is_this)
}

/// Removes the lists of single tokens, which would reveal redacted text.
fn drop_token_lists(reply: &mut Value) {
    let choices = reply.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten() {
        if let Some(choice) = choice.as_object_mut() {
            choice.remove("logprobs");
        }
    }
}
