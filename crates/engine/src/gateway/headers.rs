//! The headers of the protocol: which pass, and that they agree with the body that is judged.

use life_agent_mcp::era::{Headers, METHOD_HEADER, NAME_HEADER, VERSION_HEADER, repeated};
use life_agent_mcp::error::RpcError;
use life_agent_mcp::message::Request;

use super::upstream::SESSION_HEADER;

/// Headers with parameters of a tool.
pub(super) const PARAMETER_PREFIX: &str = "mcp-param-";

/// Fails if a header that repeats the body differs from it: the server could act on the header.
pub(super) fn check(request: &Request, headers: &[(String, String)]) -> Result<(), RpcError> {
    let value = |name: &str| {
        let mut values = headers.iter().filter(|(known, _)| known == name);
        let first = values.next().map(|(_, value)| value.as_str());
        // Several values equal nothing in a body.
        if values.next().is_some() { Some("\0") } else { first }
    };
    let headers = Headers {
        version: value(VERSION_HEADER),
        method: value(METHOD_HEADER),
        name: value(NAME_HEADER),
    };
    repeated(request, &headers)
}

/// The headers that pass to the server.
pub(super) fn forwarded(headers: &[(String, String)]) -> Vec<(String, String)> {
    let passes = |name: &str| {
        [VERSION_HEADER, METHOD_HEADER, NAME_HEADER, SESSION_HEADER].contains(&name)
            || name.starts_with(PARAMETER_PREFIX)
    };
    headers.iter().filter(|(name, _)| passes(name)).cloned().collect()
}

/// The headers that pass to the client.
pub(super) fn of_response(response: &reqwest::Response) -> Vec<(String, String)> {
    let session = response.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok());
    session.map(|session| (SESSION_HEADER.to_owned(), session.to_owned())).into_iter().collect()
}
