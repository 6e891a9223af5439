//! The span of a message to an MCP server.

use super::upstream::UpstreamError;
use crate::context::RequestContext;
use crate::trace::{Span, SpanKind};

/// Begins the exchange of a message with a server of the policy.
pub(super) fn begin(context: &RequestContext, server: &str, method: &str) -> Span {
    let mut span = context.span(SpanKind::Client, || method.to_owned());
    span.set_text("mcp.method.name", method);
    span.set_text("life_agent.mcp.server", server);
    span
}

/// Begins a tool call. `tool` is redacted.
pub(super) fn begin_call(context: &RequestContext, server: &str, tool: &str) -> Span {
    let mut span = begin(context, server, "tools/call");
    span.rename(|| format!("tools/call {tool}"));
    span.set("gen_ai.operation.name", "execute_tool");
    span.set_text("gen_ai.tool.name", tool);
    span
}

/// Notes the status of the response.
pub(super) fn sent(span: &mut Span, sent: &Result<reqwest::Response, UpstreamError>) {
    match sent {
        Ok(response) => span.set("http.response.status_code", response.status().as_u16()),
        Err(UpstreamError::NotSent(_)) => span.fail("not_sent"),
        Err(UpstreamError::Lost(_)) => span.fail("lost"),
    }
}
