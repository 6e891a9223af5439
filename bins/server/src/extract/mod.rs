//! What handlers ask for in their signatures: who calls, and what was sent, checked.

mod body;
mod caller;
mod faults;
mod json;
mod query;

pub(crate) use body::arrived;
pub use body::{Body, MAX_BODY};
pub use caller::Authenticated;
pub(crate) use caller::authenticate;
pub use faults::Faults;
pub use json::{Document, Strict};
pub use query::{Given, MAX_ROW, Parameters, Query};
