//! The rows of forwarded calls.

use std::borrow::Cow;
use std::collections::BTreeMap;

use life_agent_domain::governance::command::Message;
use life_agent_domain::governance::event::{
    CallOutcome, ChatBegunRecord, ChatRecord, ForwardedCall, MAX_CHAT, TextDigest,
};
use life_agent_domain::governance::gate::GateNotes;
use life_agent_domain::governance::size::json_size;
use life_agent_groq::Usage;
use life_agent_observer::SideWrite;
use serde_json::{Map, Value};

use super::call::Call;
use super::judged;
use super::service::ProxyService;
use super::texts::without_media;
use crate::error::EngineError;
use crate::trace::model::end_call;

/// Largest row that keeps its texts; a larger one keeps their digests and sizes.
const MAX_ROW: usize = MAX_CHAT;

impl Call {
    /// Records that a stream begins, before the provider is called and anything goes out.
    pub(super) async fn record_begun(&self, service: &ProxyService) -> Result<u64, EngineError> {
        let record = ChatBegunRecord {
            endpoint: self.endpoint.own_path().into(),
            model: self.policy.chain.redactor().redact(&self.model),
            provider: (*self.upstream.name).into(),
            stream: self.stream,
            digest: self.digest.as_str().into(),
        };
        let hash = &self.policy.snapshot.hash;
        service.calls.recorder.record(&self.context, hash, None, &record, Vec::new()).await
    }

    /// Records the end of the call.
    pub(super) async fn record(
        &self,
        service: &ProxyService,
        outcome: CallOutcome<'_>,
        texts: BTreeMap<String, String>,
        extra: Vec<SideWrite>,
    ) -> Result<u64, EngineError> {
        let mut span = std::mem::take(&mut *self.span.lock());
        end_call(&mut span, &outcome);
        drop(span);
        let items = self.endpoint.items();
        let messages = &self.permit.command().messages;
        let body = without_media(&self.body);
        let judged = judged::follows(self.endpoint, &body, messages);
        let fields = body.as_object().into_iter().flatten();
        let parameters: BTreeMap<_, _> = fields
            .filter(|(name, _)| *name != items)
            .map(|(name, value)| (name.as_str().into(), Cow::Borrowed(value)))
            .collect();
        let is_kept = |sent: &&Value| judged.is_some() || !are_these(sent, messages);
        let sent = body.get(items).filter(is_kept);
        let mut record = ChatRecord {
            outcome,
            endpoint: self.endpoint.own_path().into(),
            messages: Cow::Borrowed(if judged.is_some() { &[] } else { messages }),
            sent_messages: sent.map(Cow::Borrowed),
            parameters,
            digest: self.digest.as_str().into(),
            notes: Cow::Owned(GateNotes::from(self.permit.trace())),
            forwarded: Some(ForwardedCall {
                provider: (*self.upstream.name).into(),
                stream: self.stream,
                changed: self.changed.iter().map(|change| (*change).into()).collect(),
                texts,
                judged,
                sent: self.outgoing.sent.clone(),
                digests: Vec::new(),
            }),
        };
        if is_large(&record) {
            shorten(&mut record, messages);
        }
        let hash = &self.policy.snapshot.hash;
        service.calls.recorder.record(&self.context, hash, None, &record, extra).await
    }

    /// Records the request of a response that the gates refused: the denial states only the response.
    pub(super) async fn record_withheld(
        &self,
        service: &ProxyService,
        error: EngineError,
    ) -> EngineError {
        let EngineError::Denied(report) = &error else { return error };
        let Some(outcome) = report.withheld_call() else { return error };
        match self.record(service, outcome, BTreeMap::new(), Vec::new()).await {
            Ok(_) => error,
            Err(error) => error,
        }
    }

    /// The usage that is kept next to a row.
    pub(super) fn usage(&self, model: &str, usage: Option<Usage>) -> Vec<SideWrite> {
        let model = if model.is_empty() { &self.model } else { model };
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
}

/// Whether a row would not fit.
fn is_large(record: &ChatRecord<'_>) -> bool {
    json_size(record) > MAX_ROW
}

/// Replaces the texts of a record by their digests and sizes. The verdict of the gates stays.
fn shorten(record: &mut ChatRecord<'_>, messages: &[Message]) {
    let mut digests: Vec<_> =
        messages.iter().map(|message| digest(&message.role, &message.content)).collect();
    record.messages = Cow::Owned(Vec::new());
    record.sent_messages = None;
    record.parameters.retain(|_, value| json_size(value) <= 1024);
    if let CallOutcome::Answered { content, tool_calls, .. } = &mut record.outcome {
        digests.push(digest("assistant", content));
        *content = Cow::Borrowed("");
        if let Some(calls) = tool_calls.take() {
            digests.push(digest("tool_calls", &calls.to_string()));
        }
    }
    record.notes.to_mut().findings.truncate(256);
    if let Some(forwarded) = &mut record.forwarded {
        forwarded.judged = None;
        let texts = std::mem::take(&mut forwarded.texts);
        digests.extend(texts.iter().map(|(name, text)| digest(name, text)));
        forwarded.digests = digests;
    }
}

fn digest(role: &str, text: &str) -> TextDigest {
    let blake3 = blake3::hash(text.as_bytes()).to_hex().to_string();
    TextDigest { role: role.to_owned(), blake3, bytes: text.len() }
}

/// Whether the messages of a request are these texts and nothing more.
fn are_these(sent: &Value, messages: &[Message]) -> bool {
    let is_this = |(sent, message): (&Value, &Message)| {
        let fields = sent.as_object().map_or(0, Map::len);
        let text = sent["content"].as_str();
        fields == 2 && sent["role"] == *message.role && text == Some(message.content.as_str())
    };
    let sent = sent.as_array().map(Vec::as_slice).unwrap_or_default();
    // The last message holds the fields outside of messages.
    sent.len() + 1 == messages.len() && sent.iter().zip(messages).all(is_this)
}
