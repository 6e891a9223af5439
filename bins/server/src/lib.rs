//! The HTTP layer over the engine: it turns requests into use cases, and results and errors into responses.
//!
//! [`cli::main`] reads the settings and calls [`serve::serve`], which opens the engine and runs
//! [`app::create_app`]. A request passes the [`http::middleware`] from the outside in and then the handler that
//! the table in [`endpoints`] names. Handlers extract ([`http::extract`]), call the engine, and respond. Every
//! error becomes an [`http::errors::ApiError`], and one table maps it to code and status.

#![allow(
    missing_docs,
    reason = "a program, not a library; its lib exists for its own tests and xtask"
)]

pub mod app;
pub mod auth;
pub mod cli;
pub mod commands;
pub mod endpoints;
pub mod http;
pub mod listener;
pub mod mcp;
pub mod openapi;
pub mod place;
pub mod routes;
pub mod serve;
pub mod settings;
pub mod state;
pub mod telemetry;
