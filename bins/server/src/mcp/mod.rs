//! The service as an MCP server. Its tools are endpoints of the table: a `tools/call` becomes the request that the
//! tool's endpoint takes, so that scopes, agents, gates, limits, idempotency and rows are those of the endpoint.

mod call;
mod origin;
mod resources;
mod result;
mod schema;
mod server;
mod tools;

pub use server::{Response, check_origin, respond};
