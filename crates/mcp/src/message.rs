//! JSON-RPC messages as MCP uses them: one message per body, ids that are texts or whole numbers, parameters that
//! are an object.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::error::RpcError;

/// A message of a client.
#[derive(Debug)]
pub enum Message {
    /// It expects a response.
    Request(Request),
    /// It expects none; the method.
    Notification(String),
    /// A response to a request of the server.
    Response,
}

/// A request.
#[derive(Debug)]
pub struct Request {
    /// A text or a whole number.
    pub id: Value,
    /// The method.
    pub method: String,
    /// The parameters.
    pub params: Params,
}

/// The parameters that the server side looks at. Unknown ones are ignored, as the protocol requires.
#[derive(Debug, Default, Deserialize)]
pub struct Params {
    /// Metadata of the request.
    #[serde(rename = "_meta", default)]
    pub meta: Option<Map<String, Value>>,
    /// The tool of `tools/call`, or the prompt of `prompts/get`.
    #[serde(default)]
    pub name: Option<String>,
    /// The arguments of the tool, as sent.
    #[serde(default)]
    pub arguments: Option<Box<RawValue>>,
    /// The resource of `resources/read`.
    #[serde(default)]
    pub uri: Option<String>,
    /// The position in a list.
    #[serde(default)]
    pub cursor: Option<String>,
    /// The version that `initialize` requests.
    #[serde(rename = "protocolVersion", default)]
    pub protocol_version: Option<String>,
}

impl Params {
    /// A field of the metadata.
    pub fn meta(&self, name: &str) -> Option<&Value> {
        self.meta.as_ref()?.get(name)
    }
}

#[derive(Deserialize)]
struct Parts<'a> {
    jsonrpc: Option<String>,
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// [`RpcError`] if the bytes are not one message of the protocol.
    pub fn read(bytes: &[u8]) -> Result<Self, RpcError> {
        let raw: &RawValue = serde_json::from_slice(bytes)
            .map_err(|error| RpcError::parse(format!("the body is not JSON: {error}")))?;
        match raw.get().as_bytes().first() {
            Some(b'{') => {}
            Some(b'[') => {
                let message =
                    "batches are not supported; send each message in a request of its own";
                return Err(RpcError::invalid_request(message));
            }
            _ => return Err(RpcError::invalid_request("a message must be an object")),
        }
        let parts: Parts<'_> = serde_json::from_str(raw.get()).map_err(|error| {
            RpcError::invalid_request(format!("the body is not a message: {error}"))
        })?;
        if parts.jsonrpc.as_deref() != Some("2.0") {
            return Err(RpcError::invalid_request("`jsonrpc` must be `2.0`"));
        }
        match (parts.id, parts.method) {
            (Some(id), Some(method)) if is_id(&id) => {
                Ok(Self::Request(Request { id, method, params: params(parts.params)? }))
            }
            // A server could carry out a call without an id, whose response would be lost.
            (None, Some(method)) if method.starts_with("notifications/") => {
                Ok(Self::Notification(method))
            }
            (None, Some(_)) => {
                Err(RpcError::invalid_request("`id` is missing; only notifications have none"))
            }
            (Some(id), None) if is_id(&id) && parts.result.is_some() != parts.error.is_some() => {
                Ok(Self::Response)
            }
            (Some(_), Some(_)) => {
                Err(RpcError::invalid_request("`id` must be a text or a whole number"))
            }
            _ => Err(RpcError::invalid_request("a message must have a `method`")),
        }
    }
}

/// Keeps `null` apart from an absent id.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64()
}

fn params(raw: Option<&RawValue>) -> Result<Params, RpcError> {
    let Some(raw) = raw else { return Ok(Params::default()) };
    // Serde reads a struct from a list too.
    if !raw.get().starts_with('{') {
        return Err(RpcError::malformed_params("`params` must be an object"));
    }
    serde_json::from_str(raw.get())
        .map_err(|error| RpcError::malformed_params(format!("`params` is invalid: {error}")))
}

/// The response to a request.
pub fn success(id: &Value, result: Map<String, Value>) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> i64 {
        Message::read(text.as_bytes()).unwrap_err().code
    }

    #[test]
    fn requests_notifications_and_responses_are_told_apart() {
        let read = |text: &str| Message::read(text.as_bytes()).unwrap();
        let request = read(
            r#" {"jsonrpc":"2.0","id":"a","method":"tools/call",
                 "params":{"name":"act","arguments":{"b": 1.50},"unknown":[]}} "#,
        );
        let Message::Request(Request { id, method, params }) = request else { panic!() };
        assert_eq!((id, method.as_str()), (json!("a"), "tools/call"));
        assert_eq!(params.arguments.unwrap().get(), r#"{"b": 1.50}"#);
        for text in [
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#,
        ] {
            assert!(matches!(read(text), Message::Notification(_)), "{text}");
        }
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#,
        ] {
            assert!(matches!(read(text), Message::Response), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_code_of_the_protocol() {
        for text in ["", "{", "{} x", "nul", "\u{feff}{}"] {
            assert_eq!(code(text), -32700, "{text}");
        }
        for text in [
            "1",
            "null",
            "[]",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        ] {
            assert_eq!(code(text), -32600, "{text}");
        }
        for params in ["[]", "1", r#"{"name":1}"#, r#"{"_meta":[]}"#, r#"{"name":"a","name":"b"}"#]
        {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{params}}}"#);
            assert_eq!(code(&text), -32602, "{text}");
        }
    }
}
