//! Reads the payloads of each host.

use serde_json::{Map, Value};

use crate::dialect::Dialect;
use crate::event::{Hook, HookError, HookEvent, ToolCall, ToolResult};

/// Reads one payload. An event that needs no decision is [`HookEvent::Other`].
///
/// # Errors
/// [`HookError`] if the payload is not one of the dialect; the caller refuses the call then.
pub fn parse(dialect: Dialect, payload: &Value) -> Result<Hook, HookError> {
    let payload = Payload(payload.as_object().ok_or(HookError::NotAnObject)?);
    let name = payload.text(&["hook_event_name", "event", "eventName"]).unwrap_or_default();
    let event = match dialect {
        Dialect::Cursor => cursor(&payload, &name)?,
        Dialect::Copilot if name.is_empty() => copilot(&payload)?,
        Dialect::Generic => generic(&payload, &name)?,
        Dialect::ClaudeCode
        | Dialect::Codex
        | Dialect::Copilot
        | Dialect::Gemini
        | Dialect::Goose => named(&payload, &name)?,
    };
    Ok(Hook { dialect, name, event })
}

/// Hosts whose payloads name the event, in the words of Claude Code or Gemini CLI.
fn named(payload: &Payload<'_>, name: &str) -> Result<HookEvent, HookError> {
    if name.is_empty() {
        return Err(HookError::Missing("hook_event_name"));
    }
    match plain(name).as_str() {
        "pretooluse" | "permissionrequest" | "beforetool" => payload.call().map(HookEvent::PreTool),
        "posttooluse" | "aftertool" => payload.result(None).map(HookEvent::PostTool),
        "posttoolusefailure" => payload.result(Some(true)).map(HookEvent::PostTool),
        other => payload.unless_call(other),
    }
}

/// The name of an event without the differences between the hosts' spellings.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Copilot's own payloads name no event: their keys tell it.
fn copilot(payload: &Payload<'_>) -> Result<HookEvent, HookError> {
    let has = |keys: &[&str]| keys.iter().any(|key| payload.0.contains_key(*key));
    match (has(&TOOL), has(&["toolResult", "error"])) {
        (true, false) => payload.call().map(HookEvent::PreTool),
        (true, true) => payload.result(None).map(HookEvent::PostTool),
        // A call without the name of its tool must not pass as another event.
        (false, _) if has(&ARGUMENTS) => Err(HookError::Missing("toolName")),
        (false, _) => Ok(HookEvent::Other),
    }
}

fn cursor(payload: &Payload<'_>, name: &str) -> Result<HookEvent, HookError> {
    let with = |tool: &str, keys: &[&'static str]| {
        let mut arguments = Map::new();
        for key in keys {
            let value = payload.0.get(*key).ok_or(HookError::Missing(key))?;
            arguments.insert((*key).to_owned(), value.clone());
        }
        let tool = tool.to_owned();
        Ok(HookEvent::PreTool(ToolCall { tool, arguments, ..payload.context() }))
    };
    match name {
        "" => Err(HookError::Missing("hook_event_name")),
        "beforeShellExecution" => with("Shell", &["command"]),
        "beforeReadFile" | "beforeTabFileRead" => with("Read", &["file_path"]),
        "beforeMCPExecution" => {
            let call = payload.call()?;
            let server = call.server.clone().or_else(|| payload.text(&["mcp_server_name"]));
            Ok(HookEvent::PreTool(ToolCall { server, ..call }))
        }
        "preToolUse" => payload.call().map(HookEvent::PreTool),
        "postToolUse" => payload.result(None).map(HookEvent::PostTool),
        "postToolUseFailure" => payload.result(Some(true)).map(HookEvent::PostTool),
        other => payload.unless_call(&plain(other)),
    }
}

/// `{event: "pre"|"post", tool, arguments, …}`; without an event, a call.
fn generic(payload: &Payload<'_>, name: &str) -> Result<HookEvent, HookError> {
    match name.to_ascii_lowercase().as_str() {
        "" | "pre" | "pretooluse" | "pre_tool" => payload.call().map(HookEvent::PreTool),
        "post" | "posttooluse" | "post_tool" => payload.result(None).map(HookEvent::PostTool),
        other => payload.unless_call(&plain(other)),
    }
}

/// The keys with the name of a tool and with its arguments.
const TOOL: [&str; 3] = ["tool_name", "toolName", "tool"];
const ARGUMENTS: [&str; 3] = ["tool_input", "toolArgs", "arguments"];

/// The object of a payload.
struct Payload<'a>(&'a Map<String, Value>);

impl Payload<'_> {
    /// The first of these keys that holds a text which is not empty.
    fn text(&self, keys: &[&str]) -> Option<String> {
        let text = |key: &&str| self.0.get(*key)?.as_str().filter(|text| !text.is_empty());
        keys.iter().find_map(text).map(str::to_owned)
    }

    /// An event that this version does not know. One before a tool runs is a call, whatever a newer host names it, unless
    /// it reports what was decided about the call.
    fn unless_call(&self, name: &str) -> Result<HookEvent, HookError> {
        let is_before =
            ["pre", "before", "permissionrequest"].iter().any(|start| name.starts_with(start));
        let is_result = name.ends_with("result");
        let has_call = TOOL.iter().chain(&ARGUMENTS).any(|key| self.0.contains_key(*key));
        match is_before && has_call && !is_result {
            true => self.call().map(HookEvent::PreTool),
            false => Ok(HookEvent::Other),
        }
    }

    fn first(&self, keys: &[&str]) -> Option<&Value> {
        keys.iter().find_map(|key| self.0.get(*key)).filter(|value| !value.is_null())
    }

    /// The parts of a call that do not depend on the event.
    fn context(&self) -> ToolCall {
        ToolCall {
            agent: self.text(&["agent_id", "agentId"]),
            session_id: self.text(&["session_id", "sessionId", "conversation_id"]),
            server: self.server(),
            call_id: self.call_id(),
            cwd: self.text(&["cwd", "working_dir"]).or_else(|| self.first_root()),
            ..ToolCall::default()
        }
    }

    fn call(&self) -> Result<ToolCall, HookError> {
        let tool = self.tool()?;
        let arguments = arguments(self.first(&ARGUMENTS));
        Ok(ToolCall { tool, arguments, ..self.context() })
    }

    fn result(&self, is_error: Option<bool>) -> Result<ToolResult, HookError> {
        let keys = ["tool_response", "tool_output", "toolResult", "result_json", "result", "error"];
        let result = self.first(&keys).cloned().unwrap_or_default();
        Ok(ToolResult {
            session_id: self.text(&["session_id", "sessionId", "conversation_id"]),
            call_id: self.call_id(),
            tool: self.tool()?,
            is_error: is_error
                .or_else(|| failed(&result))
                .or_else(|| self.first(&["is_error"]).and_then(Value::as_bool)),
            result,
            duration_ms: self.first(&["duration_ms", "duration"]).and_then(Value::as_u64),
        })
    }

    fn tool(&self) -> Result<String, HookError> {
        let tool = self.text(&TOOL);
        tool.ok_or(HookError::Missing("tool_name"))
    }

    fn call_id(&self) -> Option<String> {
        self.text(&["tool_use_id", "toolUseId", "tool_call_id", "toolCallId", "call_id"])
    }

    /// Claude Code and Gemini CLI describe the server; others name it or write it into the tool's name.
    fn server(&self) -> Option<String> {
        let described = |key: &str, name: &str| self.0.get(key)?.get(name)?.as_str();
        described("mcp_server", "name")
            .or_else(|| described("mcp_context", "server_name"))
            .map(str::to_owned)
            .or_else(|| self.text(&["server", "server_name"]))
    }

    fn first_root(&self) -> Option<String> {
        self.0.get("workspace_roots")?.as_array()?.first()?.as_str().map(str::to_owned)
    }
}

/// Arguments as an object. Some hosts write the object as a text; a value of another type becomes the
/// argument `input`, so that it is judged too.
fn arguments(value: Option<&Value>) -> Map<String, Value> {
    let parsed = |text: &str| serde_json::from_str::<Map<String, Value>>(text).ok();
    let under_input = |value: &Value| {
        let mut arguments = Map::new();
        arguments.insert("input".to_owned(), value.clone());
        arguments
    };
    match value {
        None => Map::new(),
        Some(Value::Object(map)) => map.clone(),
        Some(value @ Value::String(text)) => parsed(text).unwrap_or_else(|| under_input(value)),
        Some(value) => under_input(value),
    }
}

/// Whether a result says that the tool failed.
fn failed(result: &Value) -> Option<bool> {
    let flag = |key: &str| result.get(key).and_then(Value::as_bool);
    let by_type = || Some(result.get("resultType")?.as_str()? != "success");
    flag("is_error")
        .or_else(|| flag("isError"))
        .or_else(by_type)
        .or_else(|| result.get("error").map(|error| !error.is_null()))
}
