//! Rates and budgets that several life-agent instances count in Redis 7 or Valkey.
//!
//! [`RedisCounters`] implements the engine's [`SharedCounters`]. Each decision is one script on the server's clock.
//! Redis holds nothing that cannot be lost: rates start again, and the engine rebuilds budgets from the journal.
//!
//! [`SharedCounters`]: life_agent_engine::shared_counters::SharedCounters

mod address;
mod counters;
mod link;
mod scripts;
#[cfg(feature = "testing")]
pub mod testing;

pub use address::RedisAddress;
pub use counters::{RedisCounters, RedisOptions};
