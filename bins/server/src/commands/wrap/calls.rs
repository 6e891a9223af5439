//! The calls of a wrapped server: decided by the service before they reach it, and finished after it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use life_agent_engine::domain::governance::json_text;
use life_agent_mcp::definition::Definition;
use life_agent_mcp::era::HANDSHAKE;
use life_agent_mcp::error::RpcError;
use life_agent_mcp::lock::{Lock, Pinned};
use life_agent_mcp::message::{Message, Request};
use life_agent_mcp::object::RawObject;
use serde_json::{Value, json};

use crate::commands::client;
use crate::commands::{CommandResult, FOUND, mcp};

/// What happens to a message of the client.
pub(super) enum Step {
    /// It goes to the server.
    Pass(String),
    /// The client gets this instead.
    Reply(String),
}

/// A request that the server has not answered.
enum Pending {
    /// A call with its row.
    Call { row: u64, started: Instant },
    /// A list of tools.
    List,
    /// Any other request.
    Other,
}

/// The calls of one server.
pub(super) struct Calls {
    server: String,
    agent: String,
    lock: Lock,
    /// Requests by their id.
    pending: Mutex<HashMap<String, Pending>>,
    /// The definitions that the server listed, by name.
    listed: Mutex<HashMap<String, Definition>>,
}

impl Calls {
    pub(super) fn new(server: &str, agent: &str, lock: Lock) -> Self {
        let (server, agent) = (server.to_owned(), agent.to_owned());
        Self { server, agent, lock, pending: Mutex::default(), listed: Mutex::default() }
    }

    /// Decides about a message of the client.
    pub(super) fn decide(&self, line: &str) -> Step {
        let request = match Message::read(line.as_bytes()) {
            Ok(Message::Request(request)) => request,
            Ok(Message::Notification(_) | Message::Response) => return Step::Pass(line.to_owned()),
            Err(error) => return Step::Reply(error.response(None).to_string()),
        };
        // The server reads the line, and the service what this process read in it.
        if let Err(fault) = json_text::check(line) {
            let error = RpcError::invalid_request(fault.to_string());
            return Step::Reply(error.response(Some(&request.id)).to_string());
        }
        match request.method.as_str() {
            "tools/call" => self.call(line, &request),
            "tools/list" => {
                self.expect(&request.id, Pending::List);
                Step::Pass(line.to_owned())
            }
            _ => {
                self.expect(&request.id, Pending::Other);
                Step::Pass(line.to_owned())
            }
        }
    }

    fn call(&self, line: &str, request: &Request) -> Step {
        let Some(name) = &request.params.name else {
            let error = RpcError::invalid_params("`params.name` is missing");
            return Step::Reply(error.response(Some(&request.id)).to_string());
        };
        let refuse = |code: &str, message: &str| {
            Step::Reply(refused(&request.id, &json!({"error": {"code": code, "message": message}})))
        };
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        match listed.map(|definition| self.lock.compare(&self.server, &definition)) {
            Some(Pinned::Same) => {}
            Some(Pinned::Changed(_)) => {
                return refuse("tool_changed", "the definition of the tool is not the pinned one");
            }
            Some(Pinned::New) => {
                return refuse(
                    "tool_changed",
                    "the tool is not pinned; see `life-agent wrap --pin`",
                );
            }
            None => return refuse("tool_changed", "the server has not listed this tool"),
        }
        let arguments = request.params.arguments.as_ref().map_or("{}", |arguments| arguments.get());
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let body = json!({"agent_id": self.agent, "tool": name, "server": self.server, "arguments": arguments});
        match client::request("POST", "/tool", body.to_string().as_bytes()) {
            Ok((200, answer)) if answer["decision"] == "allow" => {
                let Some(row) = answer["event_id"].as_u64() else {
                    return refuse("no_decision", "the service's response names no row");
                };
                self.expect(&request.id, Pending::Call { row, started: Instant::now() });
                Step::Pass(line.to_owned())
            }
            Ok((_, answer)) if answer["error"].is_object() => {
                Step::Reply(refused(&request.id, &answer))
            }
            Ok((status, _)) => {
                refuse("no_decision", &format!("the service responded with status {status}"))
            }
            Err(failure) => refuse("no_decision", &failure.to_string()),
        }
    }

    /// Records what a message of the server finishes, and returns what the client gets: nothing for a line that is no
    /// message, and for a response that no request waits for.
    pub(super) fn finish(&self, line: String) -> Option<String> {
        let mut message = RawObject::read(&line)?;
        let is_plain = json_text::has_unique_keys(&line);
        if message.get("method").is_some() {
            // With a result, some clients would take it for a response.
            let is_response = ["result", "error"].iter().any(|name| message.get(name).is_some());
            return (is_plain && !is_response).then_some(line);
        }
        let id: Value = message.value("id").unwrap_or_default();
        let pending =
            self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&id.to_string());
        if pending.is_none() && id.is_null() && is_plain && message.get("result").is_none() {
            // The server could not read a message.
            return Some(line);
        }
        if !is_plain {
            // Readers could find different results in it.
            let error = "the server's response names a field twice";
            let error = RpcError::internal(error).response(Some(&id)).to_string();
            message = RawObject::read(&error)?;
        }
        let line = if is_plain { line } else { message.raw().ok()?.get().to_owned() };
        Some(match pending? {
            Pending::Other => line,
            Pending::List => {
                self.keep_allowed(&mut message);
                message.raw().map_or(line, |message| message.get().to_owned())
            }
            Pending::Call { row, started } => {
                let result = message.object("result");
                let is_error =
                    result.as_ref().is_none_or(|result| result.value("isError").unwrap_or(false));
                let reported: Value =
                    message.value("result").or_else(|| message.value("error")).unwrap_or_default();
                let body = json!({
                    "is_error": is_error, "result": reported,
                    "duration_ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                });
                match client::request(
                    "POST",
                    &format!("/tool/{row}/result"),
                    body.to_string().as_bytes(),
                ) {
                    Ok((200, _)) => line,
                    _ => refused(
                        &id,
                        &json!({"error": {
                            "code": "journal_unavailable",
                            "message": format!("the call was made, but its result could not be recorded; see row {row}"),
                        }}),
                    ),
                }
            }
        })
    }

    /// Remembers the listed tools, and keeps those that pins and policy allow.
    fn keep_allowed(&self, message: &mut RawObject) {
        if message.get("result").is_none() {
            return;
        }
        let mut result = message.object("result").unwrap_or_default();
        let tools: Vec<RawObject> = result.value("tools").unwrap_or_default();
        let mut kept = Vec::new();
        for tool in tools {
            let Some(definition) = Definition::of(&tool) else { continue };
            let name = definition.name().to_owned();
            let is_pinned = self.lock.compare(&self.server, &definition) == Pinned::Same;
            self.listed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(name.clone(), definition);
            if is_pinned && self.permits(&name) {
                kept.push(tool);
            }
        }
        if let Ok(kept) = serde_json::value::to_raw_value(&kept) {
            result.set("tools", kept);
        }
        if let Ok(result) = result.raw() {
            message.set("result", result);
        }
    }

    /// Whether the policy allows some call of a tool.
    fn permits(&self, tool: &str) -> bool {
        let body = json!({"kind": "tool", "agent_id": self.agent, "tool": tool, "server": self.server, "arguments": {}});
        match client::request("POST", "/check", body.to_string().as_bytes()) {
            Ok((200, answer)) => answer["code"] != "tool_denied",
            _ => false,
        }
    }

    fn expect(&self, id: &Value, pending: Pending) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_string(), pending);
    }
}

/// A result that says why a call was refused.
fn refused(id: &Value, body: &Value) -> String {
    let content = json!([{"type": "text", "text": body.to_string()}]);
    let result = json!({"content": content, "isError": true, "resultType": "complete"});
    json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()
}

/// Pins the tools that a server lists.
pub(super) fn pin(child: &mut Child, server: &str, mut lock: Lock, path: &Path) -> CommandResult {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the server has no standard input or output".to_owned());
    };
    let mut output = BufReader::new(output);
    let mut ask = |id: u64, method: &str, params: &Value| -> Result<RawObject, String> {
        let broken = |error: std::io::Error| format!("the server ended: {error}");
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        writeln!(input, "{request}").and_then(|()| input.flush()).map_err(broken)?;
        loop {
            let mut line = String::new();
            if output.read_line(&mut line).map_err(broken)? == 0 {
                return Err(format!("the server ended before it responded to `{method}`"));
            }
            let message =
                RawObject::read(&line).filter(|message| message.value::<u64>("id") == Some(id));
            if let Some(message) = message {
                if method == "initialize" {
                    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
                    writeln!(input, "{note}").and_then(|()| input.flush()).map_err(broken)?;
                }
                return message
                    .object("result")
                    .ok_or_else(|| format!("the server refused `{method}`"));
            }
        }
    };
    let client = json!({"name": "life-agent", "version": env!("CARGO_PKG_VERSION")});
    ask(
        0,
        "initialize",
        &json!({"protocolVersion": HANDSHAKE[0], "capabilities": {}, "clientInfo": client}),
    )?;
    let (mut definitions, mut cursor): (Vec<Definition>, Option<String>) = (Vec::new(), None);
    for page in 1..=50 {
        let params = cursor.as_ref().map_or_else(|| json!({}), |cursor| json!({"cursor": cursor}));
        let result = ask(page, "tools/list", &params)?;
        let tools: Vec<RawObject> = result.value("tools").unwrap_or_default();
        definitions.extend(tools.iter().filter_map(Definition::of));
        cursor = result.value("nextCursor");
        if cursor.is_none() {
            break;
        }
    }
    let suspicious = mcp::pin_all(&mut lock, server, &definitions);
    mcp::write(path, &lock.text())?;
    Ok(if suspicious { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}
