//! The handlers, one file per resource. Each file defines its endpoints; [`crate::endpoints`] lists them.

pub mod act;
pub mod approvals;
pub mod backtest;
pub mod check;
pub mod docs;
pub mod events;
pub mod health;
pub mod hooks;
pub mod journal;
pub mod kill_switch;
pub mod llm;
pub mod mcp;
pub mod mcp_gateway;
pub mod memory;
pub mod meta;
pub mod metrics;
pub mod plan;
pub mod plans;
pub mod policy;
pub mod proxy;
pub mod state;
pub mod tool;
pub mod turn;
pub mod turns;
pub mod ui;
pub mod whoami;
