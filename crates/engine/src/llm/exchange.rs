//! One exchange with the model: from the permit over the answer's own gates to its row.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_domain::governance::command::{Chat, Gated, Kind, Message, Turn};
use life_agent_domain::governance::event::EventKind;
use life_agent_domain::governance::gate::{Permit, Trace, evaluate};
use life_agent_domain::governance::ids::AgentId;
use life_agent_domain::governance::size::json_size;
use life_agent_groq::{ChatReply, Clean, Exchange as Kept, Model, Usage};
use life_agent_observer::{SideWrite, WriteBatch};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::texts::{clean, of_reply};
use super::{Failure, Llm};
use crate::answers::GateNotes;
use crate::engine::{Caller, Engine, row_data};
use crate::error::EngineError;
use crate::facts::Metered;
use crate::policy::InForce;

/// Longest answer in JSON, in bytes: a row has room for it beside the request.
pub(super) const MAX_ANSWER: usize = 1024 * 1024;

/// What has passed the gates, on its way to the model.
pub(crate) struct Exchange {
    pub(crate) caller: Caller,
    pub(crate) policy: Arc<InForce>,
    pub(super) leave: Leave,
    /// What the provider is sent: what was permitted in its JSON.
    pub(crate) body: Clean,
    /// Which call it is, as the row states.
    pub(crate) endpoint: &'static str,
    pub(crate) begun: Instant,
    /// When waiting for the model ends, besides at the stop of the service.
    pub(super) until: Until,
    /// What was paid for on the way here.
    pub(super) spent: Vec<(String, Usage)>,
}

/// What lets the model be asked.
pub(crate) enum Leave {
    Chat(Permit<Chat>),
    Turn(Permit<Turn>),
}

impl From<Permit<Chat>> for Leave {
    fn from(permit: Permit<Chat>) -> Self {
        Leave::Chat(permit)
    }
}

impl From<Permit<Turn>> for Leave {
    fn from(permit: Permit<Turn>) -> Self {
        Leave::Turn(permit)
    }
}

impl Leave {
    pub(super) fn trace(&self) -> &Trace {
        match self {
            Leave::Chat(permit) => permit.trace(),
            Leave::Turn(permit) => permit.trace(),
        }
    }

    /// What the gates judged, as messages.
    fn messages(&self) -> Cow<'_, [Message]> {
        match self {
            Leave::Chat(permit) => Cow::Borrowed(&permit.command().messages),
            Leave::Turn(permit) => {
                let content = permit.command().input.clone();
                Cow::Owned(vec![Message { role: "user".to_owned(), content }])
            }
        }
    }

    fn agent(&self) -> Option<AgentId> {
        match self {
            Leave::Chat(_) => None,
            Leave::Turn(permit) => Some(permit.command().agent.clone()),
        }
    }
}

/// What ends the wait for the model.
#[derive(Default)]
pub(crate) struct Until {
    /// The time that all of it may take, and when it is up.
    pub(crate) deadline: Option<(Duration, tokio::time::Instant)>,
    /// Somebody wants it no more.
    pub(crate) cancel: CancellationToken,
}

impl Until {
    async fn up(&self) -> Failure {
        let late = async {
            match self.deadline {
                Some((whole, at)) => {
                    tokio::time::sleep_until(at).await;
                    whole
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Failure::cancelled(),
            whole = late => Failure::late(whole),
        }
    }
}

/// An answer that has passed the gates and is on the record.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The whole of it in JSON, without credentials.
    pub(crate) reply: ChatReply,
    /// The number of its row.
    pub(crate) event_id: u64,
    /// What the gates noted about the request.
    pub(crate) notes: GateNotes,
    /// What the gates noted about the answer.
    pub(crate) answer_notes: GateNotes,
}

/// What the journal keeps of an exchange.
#[derive(Serialize)]
struct ChatData<'a> {
    #[serde(flatten)]
    outcome: Told<'a>,
    endpoint: &'a str,
    /// What the gates judged of the request.
    messages: &'a [Message],
    /// The messages as they were sent, where they are more than texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_messages: Option<&'a Value>,
    /// Everything else that was sent.
    parameters: BTreeMap<&'a String, &'a Value>,
    /// [`life_agent_groq::Exchange::digest`], under which the exchange can be played back.
    digest: &'a str,
    #[serde(flatten)]
    notes: &'a GateNotes,
    policy_hash: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Told<'a> {
    Answered {
        model: &'a str,
        content: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_calls: Option<&'a Value>,
        finish_reason: Option<&'a str>,
        usage: Option<Usage>,
        answer: &'a GateNotes,
    },
    Failed {
        error: &'static str,
        message: String,
    },
}

impl Engine {
    pub(super) fn llm(&self) -> Result<&Llm, EngineError> {
        self.llm.as_ref().ok_or(EngineError::LlmUnconfigured)
    }

    /// Carries an exchange out to its end, also if whoever waits for it leaves.
    pub(crate) async fn exchange(&self, exchange: Exchange) -> Result<Answered, EngineError> {
        let engine = self.clone();
        self.exchanges.carry(async move { exchange.whole(&engine).await }).await
    }
}

impl Exchange {
    pub(crate) fn new(
        caller: &Caller,
        policy: Arc<InForce>,
        permit: impl Into<Leave>,
        body: Clean,
        endpoint: &'static str,
        begun: Instant,
    ) -> Self {
        let (caller, leave) = (caller.clone(), permit.into());
        let (until, spent) = (Until::default(), Vec::new());
        Self { caller, policy, leave, body, endpoint, begun, until, spent }
    }

    async fn whole(self, engine: &Engine) -> Result<Answered, EngineError> {
        let reply = self.ask(engine).await?;
        self.admit(engine, reply).await
    }

    /// What the model answers, as it came. A failure is on the record.
    pub(super) async fn ask(&self, engine: &Engine) -> Result<Value, EngineError> {
        let answer = engine.llm()?.client.chat_raw(Value::clone(&self.body));
        match self.in_time(engine, answer).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(self.failed(engine, error.into()).await),
            Err(failure) => Err(self.failed(engine, failure).await),
        }
    }

    /// What the model answers, unless something ends the wait for it.
    pub(super) async fn in_time<T>(
        &self,
        engine: &Engine,
        answer: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = engine.exchanges.stopped() => Err(Failure::stopping()),
            failure = self.until.up() => Err(failure),
            answer = answer => Ok(answer),
        }
    }

    /// An answer is input from a stranger: it passes the chain like any, and is on the record before
    /// anyone sees it.
    pub(super) async fn admit(
        &self,
        engine: &Engine,
        reply: Value,
    ) -> Result<Answered, EngineError> {
        let mut reply = clean(reply, &engine.llm()?.key);
        drop_token_lists(&mut reply);
        let readable = match ChatReply::from_raw(reply) {
            Ok(readable) if json_size(&readable.raw) <= MAX_ANSWER => readable,
            Ok(_) => return Err(self.failed(engine, too_long()).await),
            Err(error) => return Err(self.failed(engine, error.into()).await),
        };
        let extra = self.usage(&readable.model, readable.usage);
        let permit = self.judge(engine, of_reply(&readable.raw), extra).await?;
        let reply = clean(readable.raw, self.policy.chain.redactor());
        let reply = match ChatReply::from_raw(reply) {
            Ok(reply) => reply,
            Err(error) => return Err(self.failed(engine, error.into()).await),
        };
        let answer_notes = GateNotes::from(permit.trace());
        let tool_calls = &reply.raw["choices"][0]["message"]["tool_calls"];
        let told = Told::Answered {
            model: &reply.model,
            content: &reply.content,
            tool_calls: Some(tool_calls).filter(|calls| !calls.is_null()),
            finish_reason: reply.finish_reason.as_deref(),
            usage: reply.usage,
            answer: &answer_notes,
        };
        let extra = self.usage(&reply.model, reply.usage);
        let extra = self.caller.marked(extra);
        let event_id = self.record(engine, told, &Kept::digest(&self.body), extra).await?;
        engine.meters.done(Kind::Chat, self.begun);
        let notes = GateNotes::from(self.leave.trace());
        Ok(Answered { reply, event_id, notes, answer_notes })
    }

    /// Sends texts of the model through the chain. A refusal is recorded, with what the answer cost in
    /// `extra`.
    pub(super) async fn judge(
        &self,
        engine: &Engine,
        messages: Vec<Message>,
        extra: Vec<SideWrite>,
    ) -> Result<Permit<Chat>, EngineError> {
        let answer = Chat { messages };
        let facts = engine.facts(&self.caller, &self.policy, answer.view(), Metered::No).await?;
        let principal = self.caller.principal.clone();
        let policy = &self.policy;
        let mut denial = match evaluate(&policy.chain, principal, answer, &facts, &policy.timer) {
            Ok(permit) => return Ok(permit),
            Err(denial) => denial,
        };
        denial.refusal.message =
            format!("the model's answer was refused and is withheld: {}", denial.refusal.message);
        Err(engine.denied_with(&self.caller, policy, *denial, extra).await)
    }

    /// Records that an exchange came to nothing, if the provider was asked at all; what its caller is
    /// told.
    pub(super) async fn failed(&self, engine: &Engine, failure: Failure) -> EngineError {
        if !failure.asked {
            return failure.error;
        }
        let redactor = self.policy.chain.redactor();
        let message = redactor.redact(&failure.error.to_string()).into_owned();
        let told = Told::Failed { error: failure.label, message };
        let digest = Kept::digest(&self.body);
        let spent = self.spent.iter().flat_map(|(model, usage)| self.usage(model, Some(*usage)));
        match self.record(engine, told, &digest, spent.collect()).await {
            Ok(_) => failure.error,
            Err(error) => error,
        }
    }

    async fn record(
        &self,
        engine: &Engine,
        outcome: Told<'_>,
        digest: &str,
        extra: Vec<SideWrite>,
    ) -> Result<u64, EngineError> {
        let fields = self.body.as_object().into_iter().flatten();
        let parameters = fields.filter(|(name, _)| *name != "messages").collect();
        let (sent, messages) = (&self.body["messages"], self.leave.messages());
        let data = row_data(&ChatData {
            outcome,
            endpoint: self.endpoint,
            messages: &messages,
            sent_messages: (!are_these(sent, &messages)).then_some(sent),
            parameters,
            digest,
            notes: &GateNotes::from(self.leave.trace()),
            policy_hash: &self.policy.snapshot.hash,
        })?;
        let entry = engine.entry(&self.caller, EventKind::Chat, self.leave.agent(), data);
        Ok(engine
            .journal
            .append(WriteBatch { side_writes: extra, ..WriteBatch::of(entry) })?
            .await?
            .id)
    }

    pub(super) fn usage(&self, model: &str, usage: Option<Usage>) -> Vec<SideWrite> {
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

    /// The model that is asked.
    pub(super) fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }
}

pub(super) fn too_long() -> Failure {
    Failure::unusable("the model's answer is longer than 1 MiB; ask for less")
}

/// Whether the messages of a request are these texts and nothing more.
fn are_these(sent: &Value, messages: &[Message]) -> bool {
    let is_this = |(sent, message): (&Value, &Message)| {
        let fields = sent.as_object().map_or(0, Map::len);
        let text = sent["content"].as_str();
        fields == 2 && sent["role"] == *message.role && text == Some(message.content.as_str())
    };
    let sent = sent.as_array().map(Vec::as_slice).unwrap_or_default();
    sent.len() == messages.len() && sent.iter().zip(messages).all(is_this)
}

/// Lists of single tokens spell out what redaction takes out of the text.
fn drop_token_lists(reply: &mut Value) {
    let choices = reply.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten() {
        if let Some(choice) = choice.as_object_mut() {
            choice.remove("logprobs");
        }
    }
}
