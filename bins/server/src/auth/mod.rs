//! Authentication: which callers may use the service, and what they may do.

pub mod keys;
pub mod scope;
