//! The Model Context Protocol without input and output: JSON-RPC messages, the two protocol eras, and the errors
//! of the protocol.
//!
//! ```
//! use life_agent_mcp::era::{Era, Headers};
//! use life_agent_mcp::message::{Message, success};
//!
//! let text = br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
//! let Message::Request(request) = Message::read(text)? else { panic!("a request") };
//! assert_eq!(Era::of(&request, &Headers::default())?, Era::Handshake);
//!
//! let response = success(&request.id, serde_json::Map::new());
//! assert_eq!(response.to_string(), r#"{"id":7,"jsonrpc":"2.0","result":{}}"#);
//! # Ok::<(), life_agent_mcp::error::RpcError>(())
//! ```

pub mod definition;
pub mod era;
pub mod error;
pub mod events;
pub mod lock;
pub mod message;
pub mod object;
