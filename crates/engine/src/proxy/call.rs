//! One forwarded call: from the permit over the provider's response to its row.

use std::sync::Arc;
use std::time::Instant;

use life_agent_domain::governance::command::{Chat, Kind, Message};
use life_agent_domain::governance::event::CallOutcome;
use life_agent_domain::governance::gate::{Denial, GateNotes, Permit, Reason, Refusal};
use life_agent_groq::raw_json::{Role, repair_surrogates, rewrite};
use life_agent_groq::{
    ChatReply, Exchange, ForwardError, ForwardRequest, Forwarded, ForwardedBody, Redacted, Usage,
    redacted_text,
};
use life_agent_observer::SideWrite;
use life_agent_policy::llm::matches;
use parking_lot::Mutex;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;
use super::providers::Upstream;
use super::request::Prepared;
use super::service::ProxyService;
use super::texts::{is_media_text, leaves, of_response};
use super::tool_calls::{Observed, ToolCalls, is_judgment};
use super::translated::{self, Outgoing, outgoing};
use super::types::{ProxyBody, ProxyError, ProxyReply, ProxyRequest};
use super::withheld;
use crate::approvals::record_use;
use crate::budgets::{Asked, Held, most_of_texts};
use crate::chat::{Both, CallFailure, is_rejection, tokens};
use crate::context::RequestContext;
use crate::error::{DenialReport, EngineError};
use crate::meters::Whose;
use crate::policy::ActivePolicy;
use crate::trace::model::begin_call;
use crate::trace::{Span, with_context};

/// A permitted call.
pub(super) struct Call {
    pub(super) context: RequestContext,
    pub(super) policy: Arc<ActivePolicy>,
    pub(super) permit: Permit<Chat>,
    pub(super) endpoint: Endpoint,
    pub(super) upstream: Upstream,
    /// The request as it is sent.
    pub(super) outgoing: Outgoing,
    headers: Vec<(String, String)>,
    /// The request as a value, for the row.
    pub(super) body: Redacted,
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) changed: Vec<&'static str>,
    pub(super) digest: String,
    /// What the call holds of its budgets.
    pub(super) held: Held,
    begun: Instant,
    /// The request to the provider, until its end is recorded.
    pub(super) span: Mutex<Span>,
}

/// What ended the wait for the provider.
pub(super) enum Ended {
    /// The caller disconnected.
    Caller,
    /// The service stops.
    Service,
    /// The caller was stopped.
    Stop(EngineError),
}

impl ProxyService {
    /// Forwards a request. The reply is complete and recorded, or a stream whose end means that.
    pub(crate) async fn forward(
        &self,
        context: &RequestContext,
        request: ProxyRequest,
    ) -> Result<ProxyReply, ProxyError> {
        let begun = Instant::now();
        let policy = self.governor.policy();
        let mut prepared = self.prepare(context, &policy, &request).await?;
        self.check_model(context, &policy, &prepared).await?;
        let endpoint = request.endpoint;
        let upstream = self.upstream(&policy, endpoint, &prepared.model)?;
        let redactor = policy.chain.redactor();
        let outgoing = outgoing(endpoint, &upstream, &mut prepared, redactor)?;
        let held = self.reserve(context, &policy, endpoint, &prepared).await?;
        // Now nothing but the call itself can fail.
        if let Err(error) = record_use(&mut prepared.used, context, &policy).await {
            held.release();
            return Err(error.into());
        }
        let Prepared { permit, body, model, stream, changed, .. } = prepared;
        let body = Redacted::of(body, policy.chain.redactor());
        let digest = Exchange::digest(&body);
        let call = Call {
            context: context.clone(),
            policy,
            permit,
            endpoint,
            upstream,
            outgoing,
            headers: request.headers,
            body,
            model,
            stream,
            changed,
            digest,
            held,
            begun,
            span: Mutex::default(),
        };
        let cancel = CancellationToken::new();
        // A caller that disconnects drops this future, and with it the guard.
        let guard = cancel.clone().drop_guard();
        if stream {
            return self.stream_call(call, cancel, guard).await;
        }
        let service = self.clone();
        let work = async move {
            let reply = call.whole(&service, &cancel).await;
            Ok(reply.map(|reply| (reply, call, cancel)))
        };
        let (reply, call, cancel) = self.calls.in_flight.run(work).await??;
        match reply {
            Whole::Reply(reply) => {
                drop(guard.disarm());
                Ok(reply)
            }
            Whole::Stream(forwarded) => Ok(self.pump(call, cancel, guard, forwarded)),
        }
    }

    /// Reserves the most that a call can use of its budgets. Counting tokens uses none.
    async fn reserve(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        endpoint: Endpoint,
        prepared: &Prepared,
    ) -> Result<Held, EngineError> {
        let texts = &prepared.permit.command().messages;
        let usual = policy.snapshot.policy.llm.max_tokens;
        let most = match endpoint {
            Endpoint::CountTokens => return Ok(self.calls.budgets.none()),
            _ if endpoint.returns_numbers() => most_of_texts(texts, &Value::Null, 0),
            _ => most_of_texts(texts, &prepared.body, usual),
        };
        let asked = Asked { agent: None, model: &prepared.model, most };
        match self.calls.budgets.reserve(context, policy, asked).await {
            Ok(held) => Ok(held),
            Err(not) => {
                let permit = &prepared.permit;
                Err(self.governor.deny_over_budget(context, policy, permit, not).await)
            }
        }
    }

    /// Denies models that the policy does not name.
    async fn check_model(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        prepared: &Prepared,
    ) -> Result<(), EngineError> {
        let allowed = &policy.snapshot.policy.llm.models;
        if allowed.is_empty() || allowed.iter().any(|glob| matches(glob, &prepared.model)) {
            return Ok(());
        }
        let model = policy.chain.redactor().redact(&prepared.model).into_owned();
        let refusal = Refusal {
            reason: Reason::RuleDeny,
            rule: Some("llm.models".to_owned()),
            message: format!(
                "the policy does not allow the model `{model}`; name one of `llm.models`"
            ),
            retry_after: None,
        };
        let permit = &prepared.permit;
        let (principal, command) = (context.principal.clone(), permit.command().clone());
        let denial = Denial::new(principal, command, "models", refusal, permit.trace().clone());
        Err(self.governor.deny(context, policy, denial, Vec::new()).await)
    }
}

/// What a request without `stream` gets.
enum Whole {
    Reply(ProxyReply),
    /// The provider streams although nothing asked for it.
    Stream(Forwarded),
}

impl Call {
    async fn whole(
        &self,
        service: &ProxyService,
        cancel: &CancellationToken,
    ) -> Result<Whole, ProxyError> {
        let forwarded = self.open(service, cancel).await?;
        match forwarded.body {
            ForwardedBody::Whole(body) => {
                Ok(Whole::Reply(self.finish_whole(service, forwarded.headers, body).await?))
            }
            ForwardedBody::Stream(_) => Ok(Whole::Stream(forwarded)),
        }
    }

    /// Sends the request; an error is recorded.
    pub(super) async fn open(
        &self,
        service: &ProxyService,
        cancel: &CancellationToken,
    ) -> Result<Forwarded, ProxyError> {
        let request = ForwardRequest {
            path: self.outgoing.path.to_owned(),
            body: Some(self.outgoing.bytes.clone()),
            headers: self.sent_headers(),
            model: self.model.clone(),
        };
        let sent = Instant::now();
        let (operation, redactor) = (self.endpoint.operation(), self.policy.chain.redactor());
        let span = begin_call(&self.context, operation, &self.upstream.name, &self.model, redactor);
        let work = with_context(&span, self.upstream.forward(&request));
        let forwarded = self.until(service, cancel, work).await;
        *self.span.lock() = span;
        self.context.add_model_time(sent.elapsed());
        match forwarded {
            Ok(Ok(forwarded)) => Ok(forwarded),
            Ok(Err(error)) => Err(self.failed(service, error).await),
            Err(ended) => Err(self.stopped(service, ended, BTreeMap::new(), None).await),
        }
    }

    /// The caller's headers; those of one API mean nothing to the other.
    fn sent_headers(&self) -> Vec<(String, String)> {
        let redactor = self.policy.chain.redactor();
        let values = || self.headers.iter().map(|(_, value)| value.as_str()).chain([""]);
        let pairs =
            values().flat_map(|first| values().map(move |second| format!("{first}{second}")));
        // A header is no text that gates judge: one with a credential, or two that hold one together, stay here.
        let has_credential = pairs.into_iter().any(|pair| redactor.redact(&pair) != pair);
        match has_credential || self.outgoing.from.is_some() {
            true => Vec::new(),
            false => self.headers.clone(),
        }
    }

    /// Waits for the provider, unless something ends the wait.
    pub(super) async fn until<T>(
        &self,
        service: &ProxyService,
        cancel: &CancellationToken,
        work: impl Future<Output = T>,
    ) -> Result<T, Ended> {
        tokio::select! {
            biased;
            () = service.calls.in_flight.stopped() => Err(Ended::Service),
            stop = service.governor.stops().stopped(&self.context.principal, None) => {
                Err(Ended::Stop(stop))
            }
            () = cancel.cancelled() => Err(Ended::Caller),
            done = work => Ok(done),
        }
    }

    /// Judges a complete response and records it.
    pub(super) async fn finish_whole(
        &self,
        service: &ProxyService,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<ProxyReply, ProxyError> {
        let body = match translated::reply(self.outgoing.from, body) {
            Ok(body) => body,
            Err(error) => return Err(self.failed(service, error).await),
        };
        let mut changed = self.changed.clone();
        let unreadable = || EngineError::LlmFailed {
            message: "the model provider sent something unreadable".to_owned(),
        };
        let mut text = String::from_utf8_lossy(&body);
        if let Cow::Owned(repaired) = repair_surrogates(&text) {
            changed.push("half-characters");
            text = Cow::Owned(repaired);
        }
        let mut value: Value = serde_json::from_str(&text).map_err(|_| unreadable())?;
        if drop_token_lists(&mut value) {
            changed.push("logprobs");
            text = Cow::Owned(value.to_string());
        }
        let usage = Usage::of(&value);
        self.held.settle(usage.and_then(tokens));
        let model = value.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
        let redactor = self.redactor();
        let of_key = Redacted::of(value.clone(), self.upstream.key.as_ref());
        let judged = self.judge(service, of_response(&of_key), self.usage(&model, usage)).await;
        let mut notes = match judged {
            Ok(permit) => GateNotes::from(permit.trace()),
            Err(error) => return self.withhold(service, error, headers, &of_key).await,
        };
        let mut observed = Observed::default();
        if self.judges_calls() {
            let (mut calls, used) = (ToolCalls::of(&of_key), (model.as_str(), usage));
            if let Err(error) = self.judge_calls(service, &mut calls, &mut observed, used).await {
                return self.withhold(service, error, headers, &of_key).await;
            }
        }
        observed.add_to(&mut notes);
        let redacted = rewrite(&text, &mut |path, role, text| {
            let media = role == Role::Value && is_media_text(&value, path, text);
            if media { None } else { redacted_text(text, &redactor) }
        });
        let redacted = match redacted {
            Ok(Cow::Borrowed(_)) => None,
            Ok(Cow::Owned(new)) => Some(new),
            // A key that appears twice: only the value that was judged goes on.
            Err(_) => Some(Redacted::of(value.clone(), &redactor).to_string()),
        };
        if let Some(new) = redacted {
            changed.push("credentials");
            value = serde_json::from_str(&new).map_err(|_| unreadable())?;
            text = Cow::Owned(new);
        }
        self.record_whole(service, &value, usage, &notes).await?;
        self.done(service);
        let body = match text {
            Cow::Borrowed(_) => body,
            Cow::Owned(text) => text.into_bytes(),
        };
        Ok(ProxyReply { headers, changed, withheld: None, body: ProxyBody::Whole(body) })
    }

    async fn record_whole(
        &self,
        service: &ProxyService,
        value: &Value,
        usage: Option<Usage>,
        notes: &GateNotes,
    ) -> Result<u64, EngineError> {
        let value = Redacted::of(value.clone(), &self.redactor()).into_value();
        let reply = ChatReply::from_raw(value.clone()).ok();
        let mut texts = BTreeMap::new();
        if reply.is_none() && !self.endpoint.returns_numbers() {
            let mut found = Vec::new();
            leaves(&value, &mut found);
            texts.insert("response".to_owned(), found.join("\n"));
        }
        let calls = value.pointer("/choices/0/message/tool_calls").filter(|calls| !calls.is_null());
        let model = value.get("model").and_then(Value::as_str).unwrap_or_default();
        let text = |text: &str| Cow::Owned(text.to_owned());
        let outcome = CallOutcome::Answered {
            model: text(model),
            content: reply.as_ref().map_or(Cow::Borrowed(""), |reply| text(&reply.content)),
            tool_calls: calls.map(Cow::Borrowed),
            finish_reason: reply
                .as_ref()
                .and_then(|reply| reply.finish_reason.as_deref())
                .map(text),
            usage: usage.map(Into::into),
            answer: Cow::Borrowed(notes),
        };
        self.record(service, outcome, texts, self.usage(model, usage)).await
    }

    /// The reply in place of a refused response; other denials (a kill switch) are errors.
    async fn withhold(
        &self,
        service: &ProxyService,
        error: EngineError,
        headers: Vec<(String, String)>,
        original: &Value,
    ) -> Result<ProxyReply, ProxyError> {
        let report = withheld_by(self.record_withheld(service, error).await)?;
        let body = withheld::whole(self.endpoint, original, &withheld::words(&report)).to_string();
        Ok(ProxyReply {
            headers,
            changed: self.changed.clone(),
            withheld: Some(report.reason.code()),
            body: ProxyBody::Whole(body.into_bytes()),
        })
    }

    /// Sends texts of the model through the gates. A refusal is recorded, with the usage in `extra`.
    pub(super) async fn judge(
        &self,
        service: &ProxyService,
        messages: Vec<Message>,
        extra: Vec<SideWrite>,
    ) -> Result<Permit<Chat>, EngineError> {
        let response = Chat { messages };
        service.governor.permit_reply(&self.context, &self.policy, response, extra).await
    }

    /// Records a failed call; returns the error of its caller.
    pub(super) async fn failed(&self, service: &ProxyService, failure: ForwardError) -> ProxyError {
        let ForwardError { error, rejection } = failure;
        let rejected = is_rejection(&error);
        let CallFailure { label, asked, error } = CallFailure::from(error);
        // Errors of the caller keep the provider's status; the others are the service's to report.
        let rejection = rejection.filter(|r| (400..500).contains(&r.status) || r.status == 529);
        if rejected || !asked {
            self.held.release();
        }
        if !asked {
            self.span.lock().fail(label);
        } else {
            let redactor = self.policy.chain.redactor();
            let words =
                rejection.as_ref().map(|r| r.message.clone()).filter(|words| !words.is_empty());
            let message = words.unwrap_or_else(|| error.to_string());
            let message = redactor.redact(&message).into_owned();
            let outcome = CallOutcome::Failed { error: label.into(), message: message.into() };
            if let Err(error) = self.record(service, outcome, BTreeMap::new(), Vec::new()).await {
                return error.into();
            }
        }
        match rejection {
            Some(rejection) => {
                let rejection = translated::rejection(self.outgoing.from, *rejection);
                ProxyError::Rejected(Box::new(rejection))
            }
            None => ProxyError::Engine(error),
        }
    }

    /// Records a call that was cut off, with what had arrived.
    pub(super) async fn stopped(
        &self,
        service: &ProxyService,
        ended: Ended,
        texts: BTreeMap<String, String>,
        usage: Option<Usage>,
    ) -> ProxyError {
        self.held.settle(usage.and_then(tokens));
        let extra = self.usage("", usage);
        let outcome = CallOutcome::Stopped { usage: usage.map(Into::into) };
        if let Err(error) = self.record(service, outcome, texts, extra).await {
            return error.into();
        }
        match ended {
            Ended::Service => ProxyError::Engine(CallFailure::stopping().error),
            Ended::Stop(error) => ProxyError::Engine(error),
            Ended::Caller => {
                ProxyError::Engine(EngineError::Conflict("the caller disconnected".to_owned()))
            }
        }
    }

    pub(super) fn redactor(&self) -> Both<'_> {
        Both(self.upstream.key.as_ref(), self.policy.chain.redactor())
    }

    pub(super) fn done(&self, service: &ProxyService) {
        service.calls.meters.done(Kind::Chat, Whose::of(&self.context, None), self.begun);
    }
}

/// The report of a refused text; any other error stays one.
pub(super) fn withheld_by(error: EngineError) -> Result<Box<DenialReport>, ProxyError> {
    match error {
        EngineError::Denied(report) if is_judgment(report.reason) => Ok(report),
        other => Err(other.into()),
    }
}

/// Lists of single tokens spell out what redaction removes from the text. Returns whether there were
/// any.
fn drop_token_lists(response: &mut Value) -> bool {
    let choices = response.get_mut("choices").and_then(Value::as_array_mut);
    let mut found = false;
    for choice in choices.into_iter().flatten().filter_map(Value::as_object_mut) {
        if choice.get("logprobs").is_some_and(|list| !list.is_null()) {
            choice.remove("logprobs");
            found = true;
        }
    }
    found
}
