//! A streamed exchange: a task reads the model, gates what comes and records it; readers may leave.

use futures_util::StreamExt;
use life_agent_groq::{Assembly, Model};
use serde_json::{Map, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Both;
use super::exchange::{Answered, Exchange, MAX_ANSWER, too_long};
use super::texts::clean;
use super::window::Window;
use crate::engine::Engine;
use crate::error::EngineError;

/// What identifies an answer in each of its chunks; other fields of a chunk are not passed on.
const HEAD: [&str; 6] = ["id", "object", "created", "model", "system_fingerprint", "service_tier"];

/// A piece of an answer that may go to its caller.
pub(crate) enum Piece {
    /// The answer begins; what identifies it.
    Begun(Map<String, Value>),
    /// More of one of its texts, redacted.
    Text(&'static str, String),
    /// All of it is out and on the record.
    Done(Box<Answered>),
    /// It ends here, and nothing comes after this.
    Failed(EngineError),
}

/// What is heard of an answer while it comes.
pub(super) enum Heard<'c> {
    /// A chunk, as it came.
    Chunk(&'c Value),
    /// More of one of its texts that may go on, redacted.
    Text(&'static str, String),
}

/// The pieces of one answer, the first of which has come. Dropping it does not end the exchange.
pub(crate) struct Pieces {
    /// Without a bound of its own: what waits in it is part of one answer, which has one. A reader
    /// that is slow must not keep the exchange from its record.
    pieces: UnboundedReceiver<Piece>,
    head: Map<String, Value>,
}

impl Pieces {
    /// What identifies the answer.
    pub(crate) fn head(&self) -> &Map<String, Value> {
        &self.head
    }

    /// The next piece; none after the last.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        self.pieces.recv().await
    }
}

impl Engine {
    /// Begins a streamed exchange. What goes wrong before the answer begins is an error here.
    pub(crate) async fn stream(&self, exchange: Exchange) -> Result<Pieces, EngineError> {
        let (out, mut pieces) = unbounded_channel();
        let engine = self.clone();
        self.exchanges.spawn(async move {
            let last = match exchange.streamed(&engine, &out).await {
                Ok(answered) => Piece::Done(Box::new(answered)),
                Err(error) => Piece::Failed(error),
            };
            // A caller that has left is told nothing; the record has it.
            let _ = out.send(last);
        });
        match pieces.recv().await {
            Some(Piece::Begun(head)) => Ok(Pieces { pieces, head }),
            Some(Piece::Failed(error)) => Err(error),
            _ => Err(EngineError::Unavailable),
        }
    }
}

impl Exchange {
    async fn streamed(
        self,
        engine: &Engine,
        out: &UnboundedSender<Piece>,
    ) -> Result<Answered, EngineError> {
        let (mut window, mut begun) = (Window::default(), false);
        let redactor = engine.llm()?.redactor(&self.policy);
        let mut hear = |heard: Heard<'_>| {
            let piece = match heard {
                Heard::Chunk(_) if begun => return,
                Heard::Chunk(chunk) => {
                    begun = true;
                    Piece::Begun(head(chunk, &redactor))
                }
                Heard::Text(field, text) => Piece::Text(field, text),
            };
            // A caller that has left is told nothing; the record has it.
            let _ = out.send(piece);
        };
        let reply = self.ask_streamed(engine, &mut window, &mut hear).await?;
        let answered = self.admit(engine, reply).await?;
        let message = answered.reply.raw.pointer("/choices/0/message").unwrap_or(&Value::Null);
        let Some(rest) = window.rest(message) else {
            let message = "a credential in the model's answer showed too late to stream the rest; \
                           ask again without `stream`";
            return Err(EngineError::LlmFailed { message: message.to_owned() });
        };
        for (field, text) in rest {
            let _ = out.send(Piece::Text(field, text));
        }
        Ok(answered)
    }

    /// Asks, reads the answer to its end and lets go what may go on the way. What has been read of an
    /// answer before this one may be in the window already.
    pub(super) async fn ask_streamed(
        &self,
        engine: &Engine,
        window: &mut Window,
        hear: &mut (dyn FnMut(Heard<'_>) + Send),
    ) -> Result<Value, EngineError> {
        let llm = engine.llm()?;
        let redactor = llm.redactor(&self.policy);
        let mut chunks =
            match self.in_time(engine, llm.client.stream_raw(Value::clone(&self.body))).await {
                Ok(Ok(chunks)) => chunks,
                Ok(Err(error)) => return Err(self.failed(engine, error.into()).await),
                Err(failure) => return Err(self.failed(engine, failure).await),
            };
        let mut assembly = Assembly::default();
        loop {
            let chunk = match self.in_time(engine, chunks.next()).await {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(error))) => return Err(self.failed(engine, error.into()).await),
                Ok(None) => break,
                Err(failure) => return Err(self.failed(engine, failure).await),
            };
            hear(Heard::Chunk(&chunk));
            assembly.push(&chunk);
            window.push(&chunk);
            if window.len() > MAX_ANSWER {
                return Err(self.failed(engine, too_long()).await);
            }
            if window.is_due() {
                // The permit is for the text so far, of which a part is let go now.
                self.judge(engine, window.messages(&llm.key), Vec::new()).await?;
                for (field, text) in window.release(&redactor) {
                    hear(Heard::Text(field, text));
                }
            }
        }
        let mut reply = assembly.into_reply();
        for (name, text) in window.others() {
            reply["choices"][0]["message"][name] = Value::from(text);
        }
        Ok(reply)
    }
}

fn head(chunk: &Value, redactor: &Both<'_>) -> Map<String, Value> {
    let known = HEAD.iter().filter_map(|name| Some((*name, chunk.get(*name)?)));
    known.map(|(name, value)| (name.to_owned(), clean(value.clone(), redactor))).collect()
}
