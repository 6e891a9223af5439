//! Authentication and authorization: which callers may use the service, and what they may do.

pub mod grant;
pub mod jwt;
pub mod keys;
pub mod keys_file;
pub mod last_use;
pub mod request_limit;
pub mod scope;
