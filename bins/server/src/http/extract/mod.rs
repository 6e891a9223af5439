//! The extractors: the authenticated caller, the checked body, the checked query.

mod body;
mod caller;
mod faults;
mod json;
mod query;

pub use body::Body;
pub(crate) use body::{read_body, read_json, read_stream};
pub use caller::Authenticated;
pub(crate) use caller::{authenticate, carry_count, grant_of, prepare};
pub use faults::Faults;
pub use json::{Document, Strict};
pub use query::{Given, MAX_ROW, Parameters, Query, read as read_query};
