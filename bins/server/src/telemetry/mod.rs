//! The log, the metrics and the traces.

pub mod logging;
pub mod metrics;
pub mod traces;
