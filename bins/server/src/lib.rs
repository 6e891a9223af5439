//! The HTTP face of the engine, thin: settings in, requests to use cases, answers and errors out.
//!
//! [`cli::main`] reads the settings and calls [`serve::serve`], which opens the engine and runs
//! [`app::create_app`]. A request meets [`middleware`] from the outside in, then the handler that the
//! table in [`routes`] names. Handlers extract ([`extract`]), call the engine, and respond; whatever
//! goes wrong on the way becomes an [`errors::ApiError`], and one table gives it code and status.

pub mod app;
pub mod cli;
pub mod commands;
pub mod errors;
pub mod extract;
pub mod keys;
pub mod logging;
pub mod metrics;
pub mod middleware;
pub mod model_stream;
pub mod openapi;
pub mod policy_watch;
pub mod retention;
pub mod routes;
pub mod serve;
pub mod settings;
pub mod shutdown;
pub mod sse;
pub mod start_message;
pub mod wire;
