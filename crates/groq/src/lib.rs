//! The chat client for Groq and every other provider that speaks OpenAI's chat completions.
//!
//! [`Client`] asks a live provider, [`Recorder`] keeps what was asked and answered, [`Replayer`]
//! answers from what was kept; all three are a [`Model`], which is what the engine takes. A call has
//! deadlines, a bound on its answer, retries within a budget, a circuit breaker and a place among a
//! bounded number of calls. It ends in an answer or in one [`ChatError`], whose text is redacted.
//! No body is ever logged.

mod attempt;
mod breaker;
mod client;
mod delta;
mod error;
mod events;
mod limits;
mod meters;
mod model;
mod patience;
mod redacting;
mod refusal;
mod replay;
mod retry;
mod seed;
mod settings;
mod tape;
#[cfg(feature = "testing")]
pub mod testing;
mod wire;

pub use breaker::BreakerState;
pub use client::{Client, ClientStatus, Jitter};
pub use delta::{Assembly, Chunks, Delta, Deltas, ToolCallDelta, deltas};
pub use error::{ChatError, Overload, Phase};
pub use limits::{Limits, parse_duration};
pub use model::{Model, Pending};
pub use redacting::Clean;
pub use replay::Replayer;
pub use seed::seed;
pub use settings::{BreakerSettings, GROQ_BASE_URL, Retries, Settings, Timeouts};
pub use tape::{Exchange, MemoryTape, Outcome, Recorder, Tape};
pub use wire::{ChatMessage, ChatReply, ChatRequest, FunctionCall, ToolCall, Usage};
