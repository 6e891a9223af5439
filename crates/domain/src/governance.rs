//! Commands, gates, permits, and the events that record them. Independent of [`crate::agent`].

pub mod approval;
pub mod budget;
pub mod change_policy;
pub mod command;
pub mod event;
pub mod fault;
pub mod gate;
pub mod ids;
pub mod invisible;
pub mod json_text;
pub mod payload;
pub mod principal;
pub mod redaction;
pub mod request;
pub mod score;
pub mod size;
