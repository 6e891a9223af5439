//! Translation between chat completions and the Messages API, in both directions, whole and streamed.
//!
//! A request is translated only if every field has a counterpart that means the same; the first one
//! without is an error that names it. Texts, schemas and arguments keep their bytes, so what is sent
//! holds exactly the texts that were judged. Marks that only speed up a call (`cache_control`,
//! `prompt_cache_key`) have no effect on its response and are left out.

mod chat_request;
mod json;
mod messages_request;
mod replies;
mod stream_to_chat;
mod stream_to_messages;

use std::collections::VecDeque;

pub use json::Untranslatable;

use crate::sse::Frame;
use crate::wire::Usage;

/// An API that is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Api {
    /// OpenAI's chat completions.
    Chat,
    /// Anthropic's Messages API.
    Messages,
}

impl Api {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Api::Chat => Api::Messages,
            Api::Messages => Api::Chat,
        }
    }
}

/// A translated request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    /// The body in the other API.
    pub body: String,
    /// What the translation did besides: `max_tokens` if it added the limit that the Messages API
    /// requires, `dropped-fields` if it left out fields that the caller of [`request`] named.
    pub notes: Vec<&'static str>,
}

/// Translates the body of a request, which must be valid JSON, from this API into the other one.
/// Fields named in `drop` are left out; `thinking` there also means the thinking blocks of messages.
///
/// # Errors
/// [`Untranslatable`] names the first field without a counterpart.
pub fn request(from: Api, body: &str, drop: &[String]) -> Result<Translation, Untranslatable> {
    match from {
        Api::Chat => chat_request::to_messages(body, drop),
        Api::Messages => messages_request::to_chat(body, drop),
    }
}

/// Translates a complete response of this API into the other one. `created` is the time in Unix
/// seconds that a chat completion states.
///
/// # Errors
/// [`Untranslatable`] if the response is none, or has a part without a counterpart.
pub fn reply(from: Api, body: &str, created: i64) -> Result<String, Untranslatable> {
    match from {
        Api::Chat => replies::to_messages(body),
        Api::Messages => replies::to_chat(body, created),
    }
}

/// Translates the events of a stream.
#[derive(Debug)]
pub struct StreamTranslator {
    kind: Kind,
    ready: VecDeque<Frame>,
}

#[derive(Debug)]
enum Kind {
    ToChat(stream_to_chat::ToChat),
    ToMessages(stream_to_messages::ToMessages),
}

impl StreamTranslator {
    /// A translator of streams of this API. A stream of chat completions ends with its usage if
    /// `include_usage` is set; `created` is the time in Unix seconds that its chunks state.
    pub fn new(from: Api, include_usage: bool, created: i64) -> Self {
        let kind = match from {
            Api::Messages => Kind::ToChat(stream_to_chat::ToChat::new(include_usage, created)),
            Api::Chat => Kind::ToMessages(stream_to_messages::ToMessages::default()),
        };
        Self { kind, ready: VecDeque::new() }
    }

    /// Adds a frame of the provider.
    ///
    /// # Errors
    /// [`Untranslatable`] for an event without a counterpart.
    pub fn push(&mut self, frame: &Frame) -> Result<(), Untranslatable> {
        let frames = match &mut self.kind {
            Kind::ToChat(stream) => stream.push(frame)?,
            Kind::ToMessages(stream) => stream.push(frame),
        };
        self.ready.extend(frames);
        Ok(())
    }

    /// The provider's stream is complete.
    pub fn finish(&mut self) {
        let frames = match &mut self.kind {
            Kind::ToChat(stream) => stream.finish(),
            Kind::ToMessages(stream) => stream.finish(),
        };
        self.ready.extend(frames);
    }

    /// The next translated frame.
    pub fn next_frame(&mut self) -> Option<Frame> {
        self.ready.pop_front()
    }

    /// The usage so far, as the client's API counts it.
    pub fn usage(&self) -> Option<Usage> {
        let usage = match &self.kind {
            Kind::ToChat(stream) => stream.usage(),
            Kind::ToMessages(stream) => stream.usage(),
        };
        Some(usage).filter(|usage| *usage != Usage::default())
    }
}

#[cfg(test)]
mod tests;
