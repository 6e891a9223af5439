//! Streamed model calls: a task reads, judges and records the reply; readers may disconnect.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use life_agent_groq::{Assembly, Usage};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::call::{MAX_ANSWER, ModelCall, Reply, describe_reply, note_end, tokens, too_long};
use super::model_calls::ModelCalls;
use super::stream_guard::StreamGuard;
use crate::budgets::{most_of_body, used_so_far};
use crate::error::EngineError;
use crate::trace::with_context;

/// A part of a reply that may be sent to the caller.
pub(crate) enum Piece {
    /// The reply begins.
    Begun,
    /// More of one of its texts, redacted.
    Text(&'static str, String),
    /// The reply is complete and durable.
    Done(Box<Reply>),
    /// The call failed. The last item.
    Failed(EngineError),
}

/// An item of a reply that is being read.
pub(crate) enum StreamItem {
    /// A chunk arrived.
    Chunk,
    /// More of one of its texts that may be forwarded, redacted.
    Text(&'static str, String),
}

/// The parts of one reply, after its beginning. Dropping it does not end the call.
pub(crate) struct Pieces {
    /// Unbounded, because the length of a reply is bounded and a slow reader must not delay its record.
    pieces: UnboundedReceiver<Piece>,
}

impl Pieces {
    /// The next part; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        self.pieces.recv().await
    }
}

impl ModelCalls {
    /// Starts a streamed call. Returns the errors that occur before the reply begins.
    pub(crate) async fn stream(
        self: &Arc<Self>,
        mut call: ModelCall,
    ) -> Result<Pieces, EngineError> {
        // The call is an effect, and text leaves before its end is recorded.
        call.record_begun(self).await?;
        let (out, mut pieces) = unbounded_channel();
        let calls = Arc::clone(self);
        self.in_flight.spawn(async move {
            let last = match call.streamed(&calls, &out).await {
                Ok(answered) => Piece::Done(Box::new(answered)),
                Err(error) => Piece::Failed(error),
            };
            // Fails if the caller disconnected. The row exists regardless.
            let _ = out.send(last);
        });
        match pieces.recv().await {
            Some(Piece::Begun) => Ok(Pieces { pieces }),
            Some(Piece::Failed(error)) => Err(error),
            _ => Err(EngineError::Unavailable),
        }
    }
}

impl ModelCall {
    async fn streamed(
        mut self,
        calls: &ModelCalls,
        out: &UnboundedSender<Piece>,
    ) -> Result<Reply, EngineError> {
        let (mut guard, mut begun) = (StreamGuard::default(), false);
        let mut hear = |heard: StreamItem| {
            let piece = match heard {
                StreamItem::Chunk if begun => return,
                StreamItem::Chunk => {
                    begun = true;
                    Piece::Begun
                }
                StreamItem::Text(field, text) => Piece::Text(field, text),
            };
            // Fails if the caller disconnected. The row exists regardless.
            let _ = out.send(piece);
        };
        let reply = match self.ask_streamed(calls, &mut guard, &mut hear).await {
            Ok(reply) => reply,
            Err(error) => return Err(self.withheld(calls, error).await),
        };
        let answered = self.admit(calls, reply).await?;
        let message = answered.reply.raw.pointer("/choices/0/message").unwrap_or(&Value::Null);
        let Some(rest) = guard.rest(message) else {
            let message = "a credential in the model's answer showed too late to stream the rest; \
                           ask again without `stream`";
            return Err(EngineError::LlmFailed { message: message.to_owned() });
        };
        for (field, text) in rest {
            let _ = out.send(Piece::Text(field, text));
        }
        Ok(answered)
    }

    /// Reads the reply to its end and releases its text on the way. The guard may contain the text of
    /// earlier replies.
    pub(crate) async fn ask_streamed(
        &mut self,
        calls: &ModelCalls,
        guard: &mut StreamGuard,
        hear: &mut (dyn FnMut(StreamItem) + Send),
    ) -> Result<Value, EngineError> {
        let llm = calls.provider()?;
        let held = self.reserve(calls).await?;
        let policy = Arc::clone(&self.policy);
        let redactor = llm.redactor(&policy);
        let mut span = self.begin_span();
        let asked = Instant::now();
        let stream = with_context(&span, llm.model.stream_raw(Value::clone(&self.body)));
        let opened = self.in_time(calls, stream).await;
        self.context.add_model_time(asked.elapsed());
        note_end(&mut span, &opened);
        let mut chunks = match opened {
            Ok(Ok(chunks)) => chunks,
            Ok(Err(error)) => {
                drop(span);
                return Err(self.failed_holding(calls, error, &held).await);
            }
            Err(failure) => {
                drop(span);
                return Err(self.failed(calls, failure).await);
            }
        };
        let mut assembly = Assembly::default();
        let prompt = most_of_body(&self.body, 0).prompt;
        loop {
            let asked = Instant::now();
            let next = self.in_time(calls, chunks.next()).await;
            self.context.add_model_time(asked.elapsed());
            let chunk = match next {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(error))) => {
                    span.fail(error.label());
                    drop(span);
                    return Err(self.failed(calls, error.into()).await);
                }
                Ok(None) => break,
                Err(failure) => {
                    span.fail(failure.label);
                    drop(span);
                    return Err(self.failed(calls, failure).await);
                }
            };
            hear(StreamItem::Chunk);
            assembly.push(&chunk);
            guard.push(&chunk);
            if guard.len() > MAX_ANSWER {
                return Err(self.failed(calls, too_long()).await);
            }
            if guard.is_due() {
                // The permit covers the text so far, of which a part is released now.
                let used = used_so_far(prompt, guard.len(), Usage::of(&chunk));
                let extra = self.usage("", Some(used));
                self.judge(calls, guard.messages(llm.key.as_ref()), extra).await?;
                for (field, text) in guard.release(&redactor) {
                    hear(StreamItem::Text(field, text));
                }
            }
        }
        let mut reply = assembly.into_reply();
        describe_reply(&mut span, &reply);
        held.settle(Usage::of(&reply).and_then(tokens));
        for (name, text) in guard.others() {
            reply["choices"][0]["message"][name] = Value::from(text);
        }
        Ok(reply)
    }
}
