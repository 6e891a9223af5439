//! Who asks for what, and whether it may happen: commands, gates, permits and the events that record them.
//!
//! Nothing here depends on [`crate::agent`].

pub mod approval;
pub mod change_policy;
pub mod command;
pub mod event;
pub mod fault;
pub mod gate;
pub mod ids;
pub mod invisible;
pub mod payload;
pub mod redaction;
pub mod score;
pub mod size;
