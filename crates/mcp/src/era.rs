//! The two protocol eras on one endpoint.
//!
//! Since revision 2026-07-28 each request states its version and the client's capabilities in `_meta`, and repeats
//! the version, the method and the name in headers. Earlier revisions begin with a handshake (`initialize`). A
//! request that states its version in `_meta`, or in the header a version that no handshake knows, is of the
//! newer era.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::error::RpcError;
use crate::message::{Params, Request};

/// The revision without a handshake.
pub const STATELESS: &str = "2026-07-28";
/// The revisions with a handshake, latest first.
pub const HANDSHAKE: [&str; 2] = ["2025-11-25", "2025-06-18"];
/// Every supported revision, latest first.
pub const SUPPORTED: [&str; 3] = [STATELESS, HANDSHAKE[0], HANDSHAKE[1]];

/// The header that states the version.
pub const VERSION_HEADER: &str = "mcp-protocol-version";
/// The header that repeats the method.
pub const METHOD_HEADER: &str = "mcp-method";
/// The header that repeats the name of the tool or prompt, or the address of the resource.
pub const NAME_HEADER: &str = "mcp-name";

const VERSION_FIELD: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_FIELD: &str = "io.modelcontextprotocol/clientCapabilities";

/// The revision in which servers ask for an address to be opened by an error of the call.
pub const URL_ELICITATION: &str = HANDSHAKE[0];

/// Whether capabilities of a client say that it asks a person to open an address.
pub fn opens_addresses(capabilities: &serde_json::Value) -> bool {
    capabilities.pointer("/elicitation/url").is_some_and(serde_json::Value::is_object)
}

/// Whether a request of revision 2026-07-28 comes from a client that asks a person to open an address.
pub fn states_that_it_opens_addresses(params: &Params) -> bool {
    params.meta(VERSION_FIELD).is_some_and(|version| version == STATELESS)
        && params.meta(CAPABILITIES_FIELD).is_some_and(opens_addresses)
}

/// The era of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Revision 2026-07-28.
    Stateless,
    /// Revisions that begin with `initialize`.
    Handshake,
}

/// The headers that a request of the newer era repeats its body in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// [`VERSION_HEADER`].
    pub version: Option<&'a str>,
    /// [`METHOD_HEADER`].
    pub method: Option<&'a str>,
    /// [`NAME_HEADER`].
    pub name: Option<&'a str>,
}

impl Era {
    /// The era of a request, whose metadata and headers are valid for it.
    ///
    /// # Errors
    /// [`RpcError`] if the version is not supported, a required field is missing, or a header differs from the
    /// body.
    pub fn of(request: &Request, headers: &Headers<'_>) -> Result<Self, RpcError> {
        let stated = match request.params.meta(VERSION_FIELD) {
            None => None,
            Some(version) => Some(version.as_str().ok_or_else(|| missing(VERSION_FIELD))?),
        };
        let handshake = |version: &str| HANDSHAKE.contains(&version);
        if stated.is_none_or(handshake) && headers.version.is_none_or(handshake) {
            return Ok(Self::Handshake);
        }
        // The handshake negotiates the version, so its header counts for nothing.
        if stated.is_none() && request.method == "initialize" && headers.version != Some(STATELESS)
        {
            return Ok(Self::Handshake);
        }
        check_version(stated, headers.version)?;
        if !request.params.meta(CAPABILITIES_FIELD).is_some_and(serde_json::Value::is_object) {
            return Err(missing(CAPABILITIES_FIELD));
        }
        check_headers(request, headers)?;
        Ok(Self::Stateless)
    }
}

fn check_version(stated: Option<&str>, header: Option<&str>) -> Result<(), RpcError> {
    match (stated, header) {
        (Some(stated), Some(header)) if stated != header => Err(RpcError::header_mismatch(
            "`MCP-Protocol-Version` differs from the version in `_meta`",
        )),
        (Some(version), Some(_)) if version != STATELESS => {
            Err(RpcError::unsupported_version(version, &SUPPORTED))
        }
        (Some(_), Some(_)) => Ok(()),
        (Some(_), None) => {
            Err(RpcError::header_mismatch("the header `MCP-Protocol-Version` is missing"))
        }
        (None, Some(header)) if header != STATELESS => {
            Err(RpcError::unsupported_version(header, &SUPPORTED))
        }
        (None, _) => Err(missing(VERSION_FIELD)),
    }
}

fn check_headers(request: &Request, headers: &Headers<'_>) -> Result<(), RpcError> {
    match headers.method {
        Some(method) if method == request.method => {}
        Some(_) => return Err(RpcError::header_mismatch("`Mcp-Method` differs from the method")),
        None => return Err(RpcError::header_mismatch("the header `Mcp-Method` is missing")),
    }
    let Some(named) = named(&request.method, &request.params) else { return Ok(()) };
    match headers.name.map(decoded) {
        Some(Some(name)) if name == named => Ok(()),
        Some(Some(_)) => Err(RpcError::header_mismatch("`Mcp-Name` differs from the body")),
        Some(None) => Err(RpcError::header_mismatch("`Mcp-Name` is not valid Base64")),
        None => Err(RpcError::header_mismatch("the header `Mcp-Name` is missing")),
    }
}

/// Whether headers that repeat the body, where they are present, agree with it.
///
/// # Errors
/// [`RpcError`] for a header that differs.
pub fn repeated(request: &Request, headers: &Headers<'_>) -> Result<(), RpcError> {
    let stated = request.params.meta(VERSION_FIELD).and_then(serde_json::Value::as_str);
    if let (Some(stated), Some(header)) = (stated, headers.version)
        && stated != header
    {
        return check_version(Some(stated), Some(header));
    }
    let method = headers.method.unwrap_or(&request.method);
    let own = named(&request.method, &request.params);
    let headers = Headers {
        method: Some(method),
        // A name without a counterpart in the body is not judged, so the server must not see it.
        name: headers.name.or(own),
        ..*headers
    };
    if own.is_none() && headers.name.is_some() {
        return Err(RpcError::header_mismatch("`Mcp-Name` has no counterpart in the body"));
    }
    check_headers(request, &headers)
}

/// The value that [`NAME_HEADER`] repeats.
fn named<'a>(method: &str, params: &'a Params) -> Option<&'a str> {
    match method {
        "tools/call" | "prompts/get" => params.name.as_deref(),
        "resources/read" => params.uri.as_deref(),
        _ => None,
    }
}

/// The value of a header: as it is, or encoded as `=?base64?…?=`. `None` if the encoding is invalid.
fn decoded(value: &str) -> Option<String> {
    let encoded = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    match encoded {
        None => Some(value.to_owned()),
        Some(encoded) => String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok(),
    }
}

fn missing(field: &str) -> RpcError {
    RpcError::malformed_params(format!("`params._meta` lacks a valid `{field}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::message::Message;

    fn meta(version: &str) -> Value {
        json!({VERSION_FIELD: version, CAPABILITIES_FIELD: {}})
    }

    fn of(method: &str, params: Value, headers: Headers<'_>) -> Result<Era, i64> {
        let text = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        match Message::read(text.to_string().as_bytes()) {
            Ok(Message::Request(request)) => Era::of(&request, &headers).map_err(|e| e.code),
            other => panic!("{other:?}"),
        }
    }

    fn headers<'a>(version: &'a str, method: &'a str, name: &'a str) -> Headers<'a> {
        let given = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        Headers { version: given(version), method: given(method), name: given(name) }
    }

    #[test]
    fn a_handshake_and_what_follows_it_is_the_older_era() {
        for version in ["", "2025-06-18", "2025-11-25"] {
            for method in ["initialize", "ping", "tools/list"] {
                let found = of(method, json!({}), headers(version, "", ""));
                assert_eq!(found, Ok(Era::Handshake), "{method} {version}");
            }
        }
        let older = json!({"protocolVersion": "2024-11-05"});
        assert_eq!(of("initialize", older, headers("2024-11-05", "", "")), Ok(Era::Handshake));
        assert_eq!(of("ping", json!({}), headers("2024-11-05", "", "")), Err(-32022));
    }

    #[test]
    fn the_newer_era_repeats_its_body_in_headers() {
        let call = json!({"name": "ärger", "_meta": meta(STATELESS)});
        for (sent, expected) in [
            (headers(STATELESS, "tools/call", "=?base64?w6RyZ2Vy?="), Ok(Era::Stateless)),
            (headers(STATELESS, "tools/call", "ärger"), Ok(Era::Stateless)),
            (headers(STATELESS, "tools/call", "=?base64?w6RyZ2Vy"), Err(-32020)),
            (headers(STATELESS, "tools/call", "=?base64?w6RyZ2V?="), Err(-32020)),
            (headers(STATELESS, "tools/call", "other"), Err(-32020)),
            (headers(STATELESS, "tools/call", ""), Err(-32020)),
            (headers(STATELESS, "tools/CALL", "ärger"), Err(-32020)),
            (headers(STATELESS, "", "ärger"), Err(-32020)),
            (headers("", "tools/call", "ärger"), Err(-32020)),
            (headers("2025-11-25", "tools/call", "ärger"), Err(-32020)),
        ] {
            assert_eq!(of("tools/call", call.clone(), sent), expected, "{sent:?}");
        }
    }

    #[test]
    fn only_a_client_with_the_capability_opens_addresses() {
        for (capabilities, expected) in [
            (json!({"elicitation": {"url": {}}}), true),
            (json!({"elicitation": {"form": {}, "url": {}}}), true),
            (json!({"elicitation": {}}), false),
            (json!({"elicitation": {"form": {}}}), false),
            (json!({"elicitation": {"url": true}}), false),
            (json!({}), false),
            (json!("url"), false),
        ] {
            assert_eq!(opens_addresses(&capabilities), expected, "{capabilities}");
            for (version, stated) in [(STATELESS, expected), (HANDSHAKE[0], false)] {
                let meta = json!({VERSION_FIELD: version, CAPABILITIES_FIELD: capabilities});
                let params: Params = serde_json::from_value(json!({"_meta": meta})).unwrap();
                assert_eq!(states_that_it_opens_addresses(&params), stated, "{version}");
            }
        }
    }

    #[test]
    fn the_newer_era_states_version_and_capabilities() {
        let sent = headers(STATELESS, "server/discover", "");
        let discover = |meta: Value| of("server/discover", json!({"_meta": meta}), sent);
        assert_eq!(discover(meta(STATELESS)), Ok(Era::Stateless));
        assert_eq!(of("server/discover", json!({}), sent), Err(-32602));
        assert_eq!(discover(json!({CAPABILITIES_FIELD: {}})), Err(-32602));
        assert_eq!(discover(json!({VERSION_FIELD: STATELESS})), Err(-32602));
        assert_eq!(discover(json!({VERSION_FIELD: 1, CAPABILITIES_FIELD: {}})), Err(-32602));
        assert_eq!(discover(meta("v999")), Err(-32020));
        let sent = headers("v999", "server/discover", "");
        let asked = of("server/discover", json!({"_meta": meta("v999")}), sent);
        assert_eq!(asked, Err(-32022));
    }
}
