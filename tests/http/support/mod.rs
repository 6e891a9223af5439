//! The tests' foundation: a real server as a child process, and a client.

mod answer;
mod app;
mod binary;
mod collector;
mod credentials;
pub(crate) mod issuer;
mod journal;
mod mcp_server;
mod model;
mod mortal;
mod proxy;
mod raw;
mod setup;
pub(crate) mod snippets;
mod sse;
mod tree;

pub(crate) use answer::Answer;
pub(crate) use app::{TestApp, client};
pub(crate) use binary::path as binary;
pub(crate) use collector::{COLLECTOR_KEY, Collector, Traced};
pub(crate) use credentials::{Credential, credentials};
pub(crate) use journal::{Row, assert_chained, hash_of_state};
pub(crate) use mcp_server::{Behavior, McpServer};
pub(crate) use model::{
    ENFORCING, FAILING, LENIENT, PROVIDER_KEY, chat, model_setup, with_model, with_model_enforcing,
    with_model_failing,
};
pub(crate) use mortal::Mortal;
pub(crate) use proxy::Proxy;
pub(crate) use raw::RawConnection;
pub(crate) use setup::{KEY, Refused, Setup};
pub(crate) use sse::{Event, Events};
pub(crate) use tree::fingerprint;
