//! The port to a model: the live client, a recorder or a replay.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use crate::delta::{Chunks, Deltas, deltas};
use crate::error::ChatError;
use crate::wire::{ChatReply, ChatRequest};

/// A future in a box, so that `dyn Model` works.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, ChatError>> + Send + 'a>>;

/// Something that answers conversations.
pub trait Model: Send + Sync {
    /// A whole answer to a request in JSON; `stream` in it is taken out. Unknown fields pass through
    /// both ways.
    fn chat_raw(&self, body: Value) -> Pending<'_, Value>;

    /// An answer in chunks as they come; `stream` is put in. What goes wrong before the first chunk
    /// is an error here, what goes wrong later is the last item of the stream.
    fn stream_raw(&self, body: Value) -> Pending<'_, Chunks>;

    /// A whole answer.
    fn chat(&self, request: &ChatRequest) -> Pending<'_, ChatReply> {
        let body = request.to_body(false);
        Box::pin(async move { ChatReply::from_raw(self.chat_raw(body?).await?) })
    }

    /// An answer in pieces; the last is [`crate::Delta::End`] or an error.
    fn stream(&self, request: &ChatRequest) -> Pending<'_, Deltas> {
        let body = request.to_body(true);
        Box::pin(async move { Ok(deltas(self.stream_raw(body?).await?)) })
    }
}
