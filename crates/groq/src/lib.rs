//! The model client: talks to Groq and to every provider with the same API as OpenAI or Anthropic.
//!
//! [`Client`] calls a live provider, [`Recorder`] keeps requests and replies, and [`Replayer`]
//! responds from what was kept; all three are a [`Model`], which is what the engine uses. A call has
//! deadlines, a bound on its response, retries within a budget, a circuit breaker per model and a
//! place among a bounded number of calls. It ends in a reply or in one [`ChatError`], whose text is
//! redacted. No body is ever logged.
//!
//! [`Client::forward`] sends the bytes of a caller instead and returns the bytes of the response, so
//! that a proxy changes nothing on the way. [`raw_json`] edits such bytes in place.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use life_agent_domain::governance::redaction::Redact;
//! use life_agent_groq::{ChatMessage, ChatRequest, Client, Model, Settings};
//!
//! # async fn run(redactor: Arc<dyn Redact>) -> Result<(), life_agent_groq::ChatError> {
//! let client = Client::new(Settings::new("gsk_...".into()), redactor)?;
//! let request = ChatRequest {
//!     model: "openai/gpt-oss-120b".to_owned(),
//!     messages: vec![ChatMessage::new("user", "What is a portcullis?")],
//!     ..ChatRequest::default()
//! };
//! println!("{}", client.chat(&request).await?.content);
//! # Ok(())
//! # }
//! ```

mod breaker;
mod client;
mod deadlines;
mod delta;
mod error;
mod events;
mod forward;
mod limits;
mod meters;
mod model;
mod propagation;
pub mod raw_json;
mod redacting;
mod refusal;
mod rejection;
mod replay;
mod retry;
mod seed;
mod settings;
mod sse;
mod tape;
#[cfg(feature = "testing")]
pub mod testing;
pub mod translate;
mod transport;
mod wire;

pub use breaker::BreakerState;
pub use client::{Client, ClientStatus, Jitter};
pub use delta::{Assembly, Chunks, Delta, Deltas, ToolCallDelta, deltas};
pub use error::{ChatError, Overload, Phase};
pub use forward::{ForwardError, ForwardRequest, Forwarded, ForwardedBody, Frames};
pub use limits::{Limits, parse_duration};
pub use model::{Model, Pending};
pub use propagation::with_headers;
pub use redacting::{Redacted, redacted_text};
pub use rejection::Rejection;
pub use replay::Replayer;
pub use seed::seed;
pub use settings::{
    BreakerSettings, GROQ_BASE_URL, KeyHeader, KnownModels, Retries, Settings, Timeouts,
};
pub use sse::{Frame, FrameReader};
pub use tape::{Exchange, MemoryTape, Outcome, Recorder, Tape};
pub use wire::{ChatMessage, ChatReply, ChatRequest, FunctionCall, ToolCall, Usage};

/// JSON without credentials.
pub type Clean = Redacted;
