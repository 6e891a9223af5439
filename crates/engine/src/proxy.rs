//! The transparent model proxy: forwards requests of the APIs that model clients speak, byte for byte.
//!
//! The bytes that a provider receives are the bytes that the gates judged. They are the caller's own,
//! unless a credential had to be removed, a message was refused before, or the caller named no model;
//! the reply then names the change. Responses are judged before any of their text is released, and a
//! refused response is replaced by one in the client's own protocol, so that an agent can continue.

mod call;
mod endpoint;
mod guard;
mod judged;
mod memory;
mod models;
mod pieces;
mod providers;
mod record;
mod request;
mod seams;
mod service;
mod stream;
mod texts;
mod tool_calls;
mod translated;
mod types;
mod withheld;

pub use endpoint::Endpoint;
pub(crate) use judged::restore as restore_judged;
pub(crate) use service::ProxyService;
pub use types::{ProxyBody, ProxyError, ProxyEvent, ProxyReply, ProxyRequest, ProxyStream};
