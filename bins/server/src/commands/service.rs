//! Calls of commands to the running service: results, refusals in words, and exit codes.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use life_agent_hooks::Failure;
use serde_json::Value;

use super::client::Service;
use super::{CommandResult, FOUND, visible};

/// The service takes no such request now: it is stopped, overloaded, or limits the caller.
const NOT_NOW: u8 = 3;
/// Time for a call. Only a turn that a model narrates takes longer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The end of the help of each command that calls the service.
macro_rules! service_help {
    ($examples:literal) => {
        concat!(
            $examples,
            "\n\nThe service is the one at LIFE_AGENT_URL (default http://127.0.0.1:8000), called with \
             LIFE_AGENT_KEY.\n\nExit code: 0 success, 1 the service refused, 2 it could not be reached, 3 not now \
             (stopped, overloaded or over a limit)"
        )
    };
}
pub(super) use service_help;

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The service refused, with this status and body.
    Refused(u16, Value),
    /// The service could not be reached, or its response is not usable.
    Failed(String),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(match failure {
            Failure::Unreachable(why) => format!(
                "cannot reach the service ({why}); start it, or set LIFE_AGENT_URL to its address"
            ),
            Failure::Timeout(seconds) => format!("the service did not respond within {seconds} s"),
            Failure::NoDecision(why) | Failure::Unparsable(why) => {
                format!("the response of the service cannot be used: {why}")
            }
        })
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl Trouble {
    /// Prints a refusal and returns its exit code.
    pub(super) fn end(self) -> CommandResult {
        match self {
            Trouble::Failed(why) => Err(why),
            Trouble::Refused(status, body) => {
                eprintln!("life-agent: {}", visible(&words(status, &body)));
                Ok(ExitCode::from(if matches!(status, 429 | 503) { NOT_NOW } else { FOUND }))
            }
        }
    }
}

/// A refusal in words: the message, its code and status, and what to do next.
fn words(status: u16, body: &Value) -> String {
    let error = &body["error"];
    let (code, details) = (error["code"].as_str().unwrap_or("no code"), &error["details"]);
    let message = error["message"].as_str().unwrap_or("the response has no message");
    let mut text = format!("{message} ({code}, status {status})");
    if let (Some(gate), Some(rule)) = (details["gate"].as_str(), details["rule"].as_str()) {
        let _ = write!(text, "\n  gate: {gate}, rule: {rule}");
    }
    if details.as_array().is_some_and(|faults| faults.len() > 1) {
        for fault in details.as_array().into_iter().flatten() {
            let part = |name: &str| fault[name].as_str().unwrap_or_default();
            let _ = write!(text, "\n  `{}`: {}", part("path"), part("message"));
        }
    }
    if let Some(id) = details["approval_id"].as_u64() {
        let _ = write!(
            text,
            "\n  approval {id} waits for another key: life-agent approvals approve {id}"
        );
    }
    match status {
        401 => text += "\n  set LIFE_AGENT_KEY to a key of this service",
        429 | 503 if code != "kill_switch" && code != "stopped" => text += "\n  try again later",
        _ => {}
    }
    text
}

/// The JSON of a success.
pub(super) fn call(method: &str, path: &str, body: Option<&Value>) -> Result<Value, Trouble> {
    call_within(method, path, body, TIMEOUT)
}

/// [`call`] with another limit of time.
pub(super) fn call_within(
    method: &str,
    path: &str,
    body: Option<&Value>,
    timeout: Duration,
) -> Result<Value, Trouble> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let service = Service::from_environment()?;
    let (status, body) = service.request((method, path), body.as_bytes(), timeout)?;
    Ok(serde_json::from_slice(&success(status, body)?).unwrap_or_default())
}

/// The body of a successful `GET`, byte for byte.
pub(super) fn get(path: &str) -> Result<Vec<u8>, Trouble> {
    let (status, body) = Service::from_environment()?.request(("GET", path), &[], TIMEOUT)?;
    success(status, body)
}

fn success(status: u16, body: Vec<u8>) -> Result<Vec<u8>, Trouble> {
    match status {
        200..=299 => Ok(body),
        _ => Err(Trouble::Refused(status, serde_json::from_slice(&body).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::words;

    #[test]
    fn a_refusal_states_the_cause_and_the_next_step() {
        for (status, error, parts) in [
            (
                401,
                json!({"code": "unauthorized", "message": "no key"}),
                vec!["no key", "LIFE_AGENT_KEY"],
            ),
            (
                403,
                json!({"code": "approval_required", "message": "a person decides",
                    "details": {"gate": "command", "rule": "publish", "approval_id": 12}}),
                vec!["status 403", "rule: publish", "approvals approve 12"],
            ),
            (
                422,
                json!({"code": "validation_error", "message": "2 fields are invalid",
                    "details": [{"path": "a", "message": "x"}, {"path": "b", "message": "y"}]}),
                vec!["`a`: x", "`b`: y"],
            ),
            (
                503,
                json!({"code": "overloaded", "message": "busy"}),
                vec!["busy", "try again later"],
            ),
        ] {
            let text = words(status, &json!({ "error": error }));
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
        assert!(words(502, &json!(null)).contains("status 502"));
    }
}
