//! `life-agent wrap`: an MCP server on standard input and output, behind the service.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{KEY, Setup, TestApp};

/// A server in a few lines: lists two tools, and notes each call that reaches it.
const SERVER: &str = r#"
echo "key:$LIFE_AGENT_KEY" > environment.txt
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{}}}" ;;
    *'"tools/list"'*) echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"tools\":[{\"name\":\"read\",\"description\":\"Reads.\"},{\"name\":\"erase\",\"description\":\"Erases.\"}]}}" ;;
    *'"tools/call"'*) echo "$line" >> calls.txt
      echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}}" ;;
  esac
done
"#;

const POLICY: &str = "version: '1'\nallowed_dirs: [plans]\nrules:\n\
    - {id: no-erasing, match: {kinds: [tool], servers: [files], tools: [erase]}, effect: deny}\n";

/// Runs a wrapped server with these messages, and returns what the client receives.
async fn wrap(app: &TestApp, options: &[&str], messages: &[Value]) -> Vec<Value> {
    let lines: Vec<_> = messages.iter().map(Value::to_string).collect();
    wrap_lines(app, options, SERVER, &lines).await
}

/// The same for any server and any lines.
async fn wrap_lines(app: &TestApp, options: &[&str], server: &str, lines: &[String]) -> Vec<Value> {
    let mut command = app.command();
    command.args(["wrap", "--server", "files"]).args(options).args(["--", "sh", "-c", server]);
    command.env("LIFE_AGENT_URL", format!("http://{}", app.addr())).env("LIFE_AGENT_KEY", KEY);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let run = move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn message(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn reply(replies: &[Value], id: u64) -> Value {
    let found = replies.iter().find(|reply| reply["id"] == id);
    found.unwrap_or_else(|| panic!("{replies:?}"))["result"].clone()
}

#[tokio::test]
async fn calls_are_decided_by_the_service_before_they_reach_the_server() {
    let app = Setup::new().policy(POLICY).start().await;
    let list = message(1, "tools/list", json!({}));
    let hidden = wrap(&app, &[], std::slice::from_ref(&list)).await;
    assert_eq!(reply(&hidden, 1)["tools"], json!([]));
    wrap(&app, &["--pin"], &[]).await;
    assert_eq!(String::from_utf8(app.read("environment.txt")).unwrap(), "key:\n");

    // A call can only be compared with its pin once its definition is known.
    let early = message(2, "tools/call", json!({"name": "read", "arguments": {}}));
    let early = wrap(&app, &[], &[early]).await;
    assert_eq!(reply(&early, 2)["isError"], true, "{early:?}");
    assert!(!app.folder().join("calls.txt").exists());

    let script = [list, message(2, "tools/call", json!({"name": "erase", "arguments": {}}))];
    let replies = wrap_in_steps(&app, &script).await;
    let tools = reply(&replies, 1)["tools"].clone();
    assert_eq!(tools.as_array().unwrap().len(), 1, "{tools}");
    assert_eq!(tools[0]["name"], "read");
    assert_eq!(reply(&replies, 2)["isError"], true);
    assert!(reply(&replies, 2).to_string().contains("tool_denied"), "{replies:?}");
    assert!(!app.folder().join("calls.txt").exists());

    let script = [
        message(1, "tools/list", json!({})),
        message(3, "tools/call", json!({"name": "read", "arguments": {"path": "a"}})),
    ];
    let replies = wrap_in_steps(&app, &script).await;
    assert_eq!(reply(&replies, 3)["content"][0]["text"], "done", "{replies:?}");
    let rows = app.journal().await;
    let requested = rows.iter().rfind(|row| row.kind == "tool.requested").unwrap();
    let finished = rows.iter().rfind(|row| row.kind == "tool.finished").unwrap();
    assert_eq!(finished.json()["call"], requested.id);
    assert_eq!(requested.json()["server"], "files");
}

/// Sends each message once the reply to the one before it has arrived.
async fn wrap_in_steps(app: &TestApp, messages: &[Value]) -> Vec<Value> {
    use std::io::{BufRead, BufReader};
    let mut command = app.command();
    command.args(["wrap", "--server", "files", "--agent", "hero", "--", "sh", "-c", SERVER]);
    command.env("LIFE_AGENT_URL", format!("http://{}", app.addr())).env("LIFE_AGENT_KEY", KEY);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let messages = messages.to_vec();
    let run = move || {
        let mut child = command.spawn().unwrap();
        let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut output = BufReader::new(output);
        let mut replies = Vec::new();
        for message in messages {
            writeln!(input, "{message}").unwrap();
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            replies.push(serde_json::from_str(&line).unwrap());
        }
        drop(input);
        child.wait().unwrap();
        replies
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn no_call_reaches_the_server_in_a_form_that_was_not_judged() {
    let app = Setup::new().policy(POLICY).start().await;
    wrap(&app, &["--pin"], &[]).await;
    let list = message(1, "tools/list", json!({})).to_string();
    for hidden in [
        // The server could read the value that the service did not.
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"read","arguments":{"path":"/etc","path":"a"}}}"#,
        // A server could carry it out without a response.
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"erase","arguments":{}}}"#,
        // Two messages for a server to which a return ends a line.
        "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":\r{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\",\"params\":{\"name\":\"erase\"}}\r}",
    ] {
        let said = wrap_lines(&app, &[], SERVER, &[list.clone(), hidden.to_owned()]).await;
        assert!(said.iter().any(|line| line["error"]["code"] == -32600), "{hidden}: {said:?}");
        assert!(!app.folder().join("calls.txt").exists(), "{hidden}");
    }
}

#[tokio::test]
async fn no_tool_is_shown_that_the_pins_hide() {
    let app = Setup::new().policy(POLICY).start().await;
    let list = message(1, "tools/list", json!({})).to_string();
    let tools = r#"[{"name":"hidden","description":"Unpinned."}]"#;
    for response in [
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":{tools},"tools":[]}}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1.0,"result":{{"tools":{tools}}}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":"1","result":{{"tools":{tools}}}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{tools}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","result":{{"tools":{tools}}}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{}},"result":{{"tools":{tools}}}}}"#),
    ] {
        let server = format!("read -r line; printf '%s\n' '{response}'");
        let said = wrap_lines(&app, &[], &server, std::slice::from_ref(&list)).await;
        assert!(!json!(said).to_string().contains("hidden"), "{response}: {said:?}");
    }
}
