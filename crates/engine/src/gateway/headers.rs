//! The headers of the protocol: which pass, and that they agree with the body that is judged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use life_agent_domain::governance::payload::Arguments;
use life_agent_mcp::era::{Headers, METHOD_HEADER, NAME_HEADER, VERSION_HEADER, repeated};
use life_agent_mcp::error::RpcError;
use life_agent_mcp::message::Request;
use serde_json::Value;

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

/// Whether the value of a parameter's header is the value of an argument. A text beyond ASCII comes in Base64.
pub(super) fn repeats(value: &str, arguments: &Arguments) -> bool {
    let encoded = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    let decoded = encoded.and_then(|text| STANDARD.decode(text).ok());
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let stated = decoded.as_deref().unwrap_or(value);
    arguments.as_object().values().any(|argument| is_stated(stated, argument))
}

fn is_stated(stated: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => text == stated,
        Value::Array(items) => items.iter().any(|item| is_stated(stated, item)),
        Value::Object(fields) => fields.values().any(|field| is_stated(stated, field)),
        // Numbers have several spellings, none of which says anything else.
        Value::Number(number) => number.as_f64() == stated.parse().ok(),
        Value::Bool(flag) => stated.parse() == Ok(*flag),
        Value::Null => stated == "null",
    }
}

/// The headers that pass to the client.
pub(super) fn of_response(response: &reqwest::Response) -> Vec<(String, String)> {
    let session = response.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok());
    session.map(|session| (SESSION_HEADER.to_owned(), session.to_owned())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_parameter_header_passes_only_if_an_argument_has_its_value() {
        let arguments =
            json!({"region": "eu", "n": 1.0, "deep": [{"city": "Zürich"}], "dry": true});
        let arguments = Arguments::try_from(arguments.as_object().cloned().unwrap()).unwrap();
        for stated in ["eu", "1", "1.0", "true", "=?base64?WsO8cmljaA==?="] {
            assert!(repeats(stated, &arguments), "{stated}");
        }
        for other in ["us", "", "false", "region", "2", "=?base64?dXM=?=", "=?base64?%?="] {
            assert!(!repeats(other, &arguments), "{other}");
        }
    }
}
