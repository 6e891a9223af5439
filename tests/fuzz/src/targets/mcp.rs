//! Messages of MCP, and payloads of hooks.

use life_agent_hooks::{Decision, Dialect, HookEvent, parse, render};
use life_agent_mcp::definition::Definition;
use life_agent_mcp::message::Message;
use life_agent_mcp::object::RawObject;
use serde_json::Value;

use super::{FIELD, Target, ensure};

pub(crate) const MESSAGES: Target =
    Target { name: "mcp", pieces: PIECES, run: messages, bound: FIELD };
pub(crate) const HOOKS: Target =
    Target { name: "hooks", pieces: HOOK_PIECES, run: hooks, bound: FIELD };

const PIECES: &[&str] = &[
    "{\"jsonrpc\":\"2.0\",",
    "\"id\":1,",
    "\"id\":\"a\",",
    "\"id\":null,",
    "\"method\":\"tools/call\",",
    "\"method\":\"ping\"}",
    "\"params\":{",
    "\"name\":\"x\",",
    "\"arguments\":{\"a\":1.50}",
    "\"_meta\":{},",
    "}",
    "}}",
    "\"result\":{}}",
    "\"error\":{}}",
    "[",
    "]",
    ",",
    "null",
    "1",
    "\"",
    "\\u0061",
    "{\"name\":\"x\",\"description\":\"d\",\"inputSchema\":{\"type\":\"object\"}}",
    "\n",
    " ",
    "é",
    "\0",
];

const HOOK_PIECES: &[&str] = &[
    "{\"hook_event_name\":\"PreToolUse\",",
    "{\"hook_event_name\":\"PostToolUse\",",
    "\"tool_name\":\"Bash\",",
    "\"tool_input\":{\"command\":\"ls\"},",
    "\"tool_use_id\":\"t\",",
    "\"session_id\":\"s\",",
    "\"cwd\":\"/w\"}",
    "{\"conversation_id\":\"c\",\"command\":\"ls\",\"hook_event_name\":\"beforeShellExecution\"}",
    "\"tool_response\":",
    "{\"toolName\":\"bash\",\"toolArgs\":\"{}\"}",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"x\":1",
    "null",
    "\"",
    "1",
    "true",
    "é",
];

fn messages(bytes: &[u8]) -> Result<(), String> {
    let message = Message::read(bytes);
    let text = String::from_utf8_lossy(bytes);
    let Some(object) = RawObject::read(&text) else { return Ok(()) };
    let raw = object.raw().map_err(|error| format!("cannot be written: {error}"))?;
    let same = serde_json::from_str::<Value>(raw.get()).ok() == serde_json::from_str(&text).ok();
    ensure(same, || format!("is written as {}", raw.get()))?;
    let _ = Definition::of(&object);
    if let Ok(Message::Request(request)) = message {
        ensure(request.id.is_string() || request.id.is_number(), || "has no id".to_owned())?;
    }
    Ok(())
}

fn hooks(bytes: &[u8]) -> Result<(), String> {
    let Ok(payload) = serde_json::from_slice::<Value>(bytes) else { return Ok(()) };
    for name in ["claude-code", "codex", "cursor", "copilot", "gemini", "goose", "generic"] {
        let dialect: Dialect = name.parse().map_err(|_| format!("there is no dialect {name}"))?;
        let Ok(hook) = parse(dialect, &payload) else { continue };
        for decision in [Decision::Allow, Decision::Deny { reason: "no".to_owned() }] {
            let _ = render(&hook, &decision);
        }
        if let HookEvent::PreTool(call) = hook.event {
            let _ = call.into_command(dialect);
        }
    }
    Ok(())
}
