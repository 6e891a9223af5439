//! Streamed calls: a task reads the provider, judges what arrives and records the end; its frames go
//! to the caller through a channel.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use life_agent_domain::governance::event::CallOutcome;
use life_agent_domain::governance::gate::GateNotes;
use life_agent_domain::governance::redaction::Redact;
use life_agent_groq::raw_json::repair_surrogates;
use life_agent_groq::{Assembly, Forwarded, ForwardedBody, Frame, Frames, Redacted, Usage};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::call::{Call, withheld_by};
use super::endpoint::Endpoint;
use super::guard::Guard;
use super::service::ProxyService;
use super::tool_calls::{Observed, ToolCalls};
use super::translated::Events;
use super::types::{ProxyBody, ProxyError, ProxyEvent, ProxyReply, ProxyStream};
use super::withheld::{self, StreamState};
use crate::budgets::{prompt, used_so_far};
use crate::chat::tokens;
use crate::error::EngineError;

/// How long the status of a reply waits for the provider. Then the reply begins, so that signs of life
/// can be sent, and an error of the provider comes as an event.
const STATUS_WAIT: Duration = Duration::from_secs(8);

/// What a stream cost.
struct Used {
    model: String,
    tokens: Option<Usage>,
}

/// The beginning of a reply.
type Begun = Result<ProxyReply, ProxyError>;

impl ProxyService {
    /// Runs a call that asked for a stream.
    pub(super) async fn stream_call(
        &self,
        call: Call,
        cancel: CancellationToken,
        guard: DropGuard,
    ) -> Result<ProxyReply, ProxyError> {
        // The call is an effect, so its row comes first.
        call.record_begun(self).await?;
        let (out, events) = unbounded_channel();
        let (begin, begun) = oneshot::channel();
        let changed = call.changed.clone();
        let service = self.clone();
        self.calls.in_flight.spawn(async move {
            call.stream(&service, &cancel, begin, out).await;
        });
        let reply = match tokio::time::timeout(STATUS_WAIT, begun).await {
            Ok(Ok(begun)) => begun?,
            Ok(Err(_)) => return Err(EngineError::Unavailable.into()),
            Err(_) => ProxyReply {
                headers: Vec::new(),
                changed,
                withheld: None,
                body: ProxyBody::Whole(Vec::new()),
            },
        };
        Ok(match reply.body {
            ProxyBody::Whole(body) if !body.is_empty() => {
                ProxyReply { body: ProxyBody::Whole(body), ..reply }
            }
            _ => with_stream(reply, events, guard),
        })
    }

    /// Streams a response that began before it was clear that it is one.
    pub(super) fn pump(
        &self,
        call: Call,
        cancel: CancellationToken,
        guard: DropGuard,
        forwarded: Forwarded,
    ) -> ProxyReply {
        let (out, events) = unbounded_channel();
        let reply = begun_reply(&call, forwarded.headers);
        let service = self.clone();
        if let ForwardedBody::Stream(frames) = forwarded.body {
            self.calls.in_flight.spawn(async move {
                call.pump(&service, &cancel, *frames, &out).await;
            });
        }
        with_stream(reply, events, guard)
    }
}

fn begun_reply(call: &Call, headers: Vec<(String, String)>) -> ProxyReply {
    let changed = call.changed.clone();
    ProxyReply { headers, changed, withheld: None, body: ProxyBody::Whole(Vec::new()) }
}

fn with_stream(
    reply: ProxyReply,
    events: UnboundedReceiver<ProxyEvent>,
    guard: DropGuard,
) -> ProxyReply {
    ProxyReply { body: ProxyBody::Stream(ProxyStream { events, _cancel: guard }), ..reply }
}

impl Call {
    async fn stream(
        self,
        service: &ProxyService,
        cancel: &CancellationToken,
        begin: oneshot::Sender<Begun>,
        out: UnboundedSender<ProxyEvent>,
    ) {
        let forwarded = match self.open(service, cancel).await {
            Ok(forwarded) => forwarded,
            Err(error) => return begin_or_send(begin, &out, Err(error)),
        };
        match forwarded.body {
            ForwardedBody::Whole(body) => {
                let reply = self.finish_whole(service, forwarded.headers, body).await;
                begin_or_send(begin, &out, reply);
            }
            ForwardedBody::Stream(frames) => {
                // Fails if the reply has begun already.
                let _ = begin.send(Ok(begun_reply(&self, forwarded.headers)));
                self.pump(service, cancel, *frames, &out).await;
            }
        }
    }

    /// Reads the frames to their end.
    async fn pump(
        &self,
        service: &ProxyService,
        cancel: &CancellationToken,
        frames: Frames,
        out: &UnboundedSender<ProxyEvent>,
    ) {
        if let Err(error) = self.pumped(service, cancel, frames, out).await {
            // A caller that disconnected receives nothing; the journal has the row.
            let _ = out.send(ProxyEvent::Failed(error));
        }
    }

    async fn pumped(
        &self,
        service: &ProxyService,
        cancel: &CancellationToken,
        frames: Frames,
        out: &UnboundedSender<ProxyEvent>,
    ) -> Result<(), ProxyError> {
        let mut frames = Events::new(frames, self.outgoing.from, &self.body);
        let redactor = self.redactor();
        let key: &dyn Redact = self.upstream.key.as_ref();
        let (mut guard, mut state) = (Guard::default(), StreamState::default());
        let mut assembly = Assembly::default();
        let judges_calls = self.judges_calls();
        let (mut calls, mut observed) = (ToolCalls::default(), Observed::default());
        let prompt = prompt(&self.permit.command().messages);
        loop {
            let frame = match self.until(service, cancel, frames.next()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(self.failed(service, error).await),
                Ok(None) => break,
                Err(ended) => {
                    let (texts, usage) = (guard.record(&redactor), frames.usage());
                    // The provider's call ends here, before the row is written.
                    drop(frames);
                    return Err(self.stopped(service, ended, texts, usage).await);
                }
            };
            for event in documents(&frame) {
                state.note(&event);
                if judges_calls {
                    calls.push(&event);
                }
                if self.endpoint == Endpoint::ChatCompletions {
                    assembly.push(&event);
                }
            }
            guard.push(frame, &redactor);
            let used = used_so_far(prompt, guard.arrived(), frames.usage());
            if guard.is_due() {
                let unjudged = guard.unjudged(key);
                if !unjudged.is_empty() {
                    let extra = self.usage("", Some(used));
                    if let Err(error) = self.judge(service, unjudged, extra).await {
                        return self.withhold_rest(service, error, &state, out).await;
                    }
                }
            }
            let used = ("", Some(used));
            if let Err(error) = self.judge_calls(service, &mut calls, &mut observed, used).await {
                return self.withhold_rest(service, error, &state, out).await;
            }
            send(out, guard.release(&redactor, false));
        }
        guard.finish();
        calls.finish();
        let used = ("", frames.usage());
        if let Err(error) = self.judge_calls(service, &mut calls, &mut observed, used).await {
            return self.withhold_rest(service, error, &state, out).await;
        }
        let model = state.first.as_ref().and_then(model_of).unwrap_or_default();
        let usage = Used { model, tokens: frames.usage() };
        self.held.settle(usage.tokens.and_then(tokens));
        let extra = self.usage(&usage.model, usage.tokens);
        let permit = match self.judge(service, guard.all(key), extra).await {
            Ok(permit) => permit,
            Err(error) => return self.withhold_rest(service, error, &state, out).await,
        };
        let mut notes = GateNotes::from(permit.trace());
        observed.add_to(&mut notes);
        self.record_stream(service, assembly, &guard, &notes, usage).await?;
        self.done(service);
        send(out, guard.release(&redactor, true));
        Ok(())
    }

    /// Records a stream that may end as it came.
    async fn record_stream(
        &self,
        service: &ProxyService,
        assembly: Assembly,
        guard: &Guard,
        notes: &GateNotes,
        usage: Used,
    ) -> Result<(), EngineError> {
        let redactor = self.redactor();
        let chat = self.endpoint == Endpoint::ChatCompletions;
        let reply = Redacted::of(assembly.into_reply(), &redactor);
        let texts = if chat { BTreeMap::new() } else { guard.record(&redactor) };
        let at = |pointer: &str| reply.pointer(pointer).filter(|value| chat && !value.is_null());
        let text = |pointer: &str| at(pointer).and_then(Value::as_str);
        let outcome = CallOutcome::Answered {
            model: redactor.redact(&usage.model),
            content: text("/choices/0/message/content").unwrap_or_default().into(),
            tool_calls: at("/choices/0/message/tool_calls").map(Cow::Borrowed),
            finish_reason: text("/choices/0/finish_reason").map(Cow::Borrowed),
            usage: usage.tokens.map(Into::into),
            answer: Cow::Borrowed(notes),
        };
        self.record(service, outcome, texts, self.usage(&usage.model, usage.tokens)).await?;
        Ok(())
    }

    /// Ends a stream whose rest the gates refused, in the client's protocol.
    async fn withhold_rest(
        &self,
        service: &ProxyService,
        error: EngineError,
        state: &StreamState,
        out: &UnboundedSender<ProxyEvent>,
    ) -> Result<(), ProxyError> {
        let report = withheld_by(self.record_withheld(service, error).await)?;
        let words = withheld::words(&report);
        let frames = withheld::ending(self.endpoint, state, &words);
        send(out, frames.into_iter().flat_map(|frame| frame.raw).collect());
        Ok(())
    }
}

/// Begins the reply with this result; if it has begun already, sends the result as events.
fn begin_or_send(begin: oneshot::Sender<Begun>, out: &UnboundedSender<ProxyEvent>, result: Begun) {
    let Err(late) = begin.send(result) else { return };
    match late {
        Ok(ProxyReply { body: ProxyBody::Whole(body), .. }) => {
            let body = String::from_utf8_lossy(&body).replace(['\n', '\r'], " ");
            send(out, Frame::of(None, &body).raw);
            send(out, Frame::of(None, "[DONE]").raw);
        }
        Ok(_) => {}
        Err(error) => {
            let _ = out.send(ProxyEvent::Failed(error));
        }
    }
}

fn send(out: &UnboundedSender<ProxyEvent>, bytes: Vec<u8>) {
    if !bytes.is_empty() {
        // A caller that disconnected receives nothing; the journal has the row.
        let _ = out.send(ProxyEvent::Frames(Bytes::from(bytes)));
    }
}

fn documents(frame: &Frame) -> Vec<Value> {
    let read = |text: &str| serde_json::from_str(&repair_surrogates(text)).ok();
    frame.payloads().iter().filter_map(|text| read(text)).collect()
}

fn model_of(event: &Value) -> Option<String> {
    let places = ["/model", "/message/model", "/response/model"];
    places.iter().find_map(|place| event.pointer(place)?.as_str().map(str::to_owned))
}
