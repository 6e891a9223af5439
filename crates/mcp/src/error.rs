//! The errors of the protocol, each with its code and its HTTP status.

use serde_json::{Value, json};

/// A JSON-RPC error.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    /// The code.
    pub code: i64,
    /// The HTTP status that carries the error.
    pub status: u16,
    /// What happened and what to do next.
    pub message: String,
    /// More for programs.
    pub data: Option<Value>,
}

impl std::fmt::Display for RpcError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}

impl RpcError {
    fn new(code: i64, status: u16, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), data: None }
    }

    /// The body is not JSON.
    pub fn parse(message: impl Into<String>) -> Self {
        Self::new(-32700, 400, message)
    }

    /// The body is JSON, but not a message of the protocol.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(-32600, 400, message)
    }

    /// The method is unknown. The older era responds with status 200.
    pub fn unknown_method(method: &str, status: u16) -> Self {
        Self::new(-32601, status, format!("unknown method `{method}`"))
    }

    /// The parameters are invalid for the method.
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, 200, message)
    }

    /// The parameters lack what every request must have.
    pub fn malformed_params(message: impl Into<String>) -> Self {
        Self::new(-32602, 400, message)
    }

    /// The server failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(-32603, 200, message)
    }

    /// A header is missing or differs from the body.
    pub fn header_mismatch(message: impl Into<String>) -> Self {
        Self::new(-32020, 400, message)
    }

    /// The server does not implement the requested version.
    pub fn unsupported_version(requested: &str, supported: &[&str]) -> Self {
        let error = Self::new(-32022, 400, "unsupported protocol version");
        error.with_data(json!({"supported": supported, "requested": requested}))
    }

    /// The call waits for something that a person does at an address; a client shows the person the addresses.
    /// Revision 2025-11-25 alone has this error.
    pub fn url_elicitation_required(message: impl Into<String>, elicitations: Value) -> Self {
        let error = Self::new(-32042, 200, message);
        error.with_data(json!({"elicitations": elicitations}))
    }

    /// The same error with another message and with every text of its data changed.
    #[must_use]
    pub fn with_texts(self, change: &dyn Fn(&str) -> String) -> Self {
        fn each(value: Value, change: &dyn Fn(&str) -> String) -> Value {
            match value {
                Value::String(text) => Value::String(change(&text)),
                Value::Array(items) => items.into_iter().map(|item| each(item, change)).collect(),
                Value::Object(fields) => {
                    fields.into_iter().map(|(name, value)| (name, each(value, change))).collect()
                }
                other => other,
            }
        }
        let data = self.data.map(|data| each(data, change));
        Self { message: change(&self.message), data, ..self }
    }

    /// Adds data for programs.
    #[must_use]
    pub fn with_data(self, data: Value) -> Self {
        Self { data: Some(data), ..self }
    }

    /// The response to the request with this id; `None` if the id could not be read.
    pub fn response(&self, id: Option<&Value>) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if let (Some(data), Some(error)) = (&self.data, error.as_object_mut()) {
            error.insert("data".to_owned(), data.clone());
        }
        let mut response = json!({"jsonrpc": "2.0", "error": error});
        if let (Some(id), Some(response)) = (id, response.as_object_mut()) {
            response.insert("id".to_owned(), id.clone());
        }
        response
    }
}
