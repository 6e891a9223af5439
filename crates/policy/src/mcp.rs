//! The policy's `mcp` section: the MCP servers behind the gateway.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The MCP servers that the service forwards tool calls to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Mcp {
    /// The servers by name. The path of a server is `/mcp/` and its name.
    #[garde(length(max = 64), custom(are_names), dive)]
    pub servers: BTreeMap<String, McpServer>,
    /// How long the definitions of a server's tools count as known, in seconds; 0 reads them before each call.
    #[garde(range(max = 3600))]
    pub refresh_seconds: u32,
}

impl Default for Mcp {
    fn default() -> Self {
        Self { servers: BTreeMap::new(), refresh_seconds: 60 }
    }
}

/// One MCP server.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, garde::Validate,
)]
#[schemars(deny_unknown_fields)]
pub struct McpServer {
    /// The address of its MCP endpoint.
    #[garde(length(chars, min = 8, max = 2048), custom(is_http))]
    pub url: String,
    /// Headers of every request, each with the environment variable that holds its value. The caller's own key is
    /// never sent.
    #[garde(length(max = 16))]
    #[serde(default)]
    pub headers_env: BTreeMap<String, String>,
    /// The longest silence of the server, in seconds.
    #[garde(range(min = 1, max = 3600))]
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
}

fn default_timeout() -> u32 {
    120
}

// garde's interface.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_http(url: &str, (): &()) -> garde::Result {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    Err(garde::Error::new("must be an http or https URL"))
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn are_names(servers: &BTreeMap<String, McpServer>, (): &()) -> garde::Result {
    let is_name = |name: &&String| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        (1..=64).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
    };
    match servers.keys().find(|name| !is_name(name)) {
        None => Ok(()),
        Some(name) => Err(garde::Error::new(format!(
            "`{name}` is no name of a server: 1 to 64 letters, digits and `. _ -`, no dot first"
        ))),
    }
}
