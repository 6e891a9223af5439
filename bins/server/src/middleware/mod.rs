//! What every request and every answer goes through, from the outside in.

pub mod access;
pub mod envelope;
pub mod headers;
pub mod idempotency;
pub mod in_flight;
pub mod request_id;
