//! A caller of the demo: sends requests with one key and checks their statuses.

use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::client::Service;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A caller with its key.
pub(super) struct Caller(Service);

impl Caller {
    pub(super) fn new(base: &str, key: &str) -> Result<Self, String> {
        Service::new(base, key).map(Self).map_err(|failure| failure.to_string())
    }

    /// Sends a request, which must get this status.
    pub(super) fn send(&self, path: &str, body: &Value, expected: u16) -> Result<Value, String> {
        self.request("POST", path, body.to_string().as_bytes(), expected)
    }

    pub(super) fn request(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        expected: u16,
    ) -> Result<Value, String> {
        let answered = self.0.request((method, path), body, TIMEOUT);
        let (status, body) = answered.map_err(|failure| failure.to_string())?;
        if status != expected {
            let text = String::from_utf8_lossy(&body);
            return Err(format!("{path} returned {status} instead of {expected}: {text}"));
        }
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(super) fn act(
        &self,
        agent: &str,
        action: &str,
        payload: &Value,
        expected: u16,
    ) -> Result<(), String> {
        let body = json!({"agent_id": agent, "action": action, "payload": payload});
        self.send("/act", &body, expected).map(drop)
    }

    pub(super) fn turn(&self, agent: &str, input: &str, expected: u16) -> Result<(), String> {
        self.send("/turn", &json!({"agent_id": agent, "input": input}), expected).map(drop)
    }

    pub(super) fn chat(&self, content: &str, expected: u16) -> Result<(), String> {
        let body = json!({"messages": [{"role": "user", "content": content}]});
        self.send("/llm/chat", &body, expected).map(drop)
    }

    /// A tool call of a session; an allowed one finishes.
    pub(super) fn tool(
        &self,
        (agent, session): (&str, &str),
        (tool, arguments): (&str, Value),
        expected: u16,
    ) -> Result<Value, String> {
        let body = json!({"agent_id": agent, "tool": tool, "arguments": arguments,
            "session_id": session});
        let answer = self.send("/tool", &body, expected)?;
        if expected == 200 {
            let result = json!({"is_error": false, "result": "ok", "duration_ms": 180});
            self.send(&format!("/tool/{}/result", answer["event_id"]), &result, 200)?;
        }
        Ok(answer)
    }
}
