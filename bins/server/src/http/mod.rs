//! The HTTP layer that all endpoints share: extraction, middleware, errors and event streams.

pub mod accept;
pub mod describe;
pub mod documents;
pub mod endpoint;
pub mod errors;
pub mod extract;
pub mod in_flight;
pub mod large;
pub mod middleware;
pub mod model_stream;
pub mod protected_resource;
pub mod sse;
