//! `life-agent wrap`: an MCP server on standard input and output, started in the user's session, whose tool calls
//! the service decides about. The service itself starts no process.

mod calls;

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use life_agent_engine::Config;
use life_agent_mcp::lock::Lock;

use super::CommandResult;
use calls::{Calls, Step};

/// Longest message, in bytes.
const MAX_LINE: u64 = 32 * 1024 * 1024;

/// Options of `wrap`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  life-agent wrap --server files -- npx -y @modelcontextprotocol/server-filesystem .\n  \
    life-agent wrap --server files --pin -- npx -y @modelcontextprotocol/server-filesystem .\n\n\
    A client starts this command in place of the server's own. The command reads LIFE_AGENT_URL (default\n\
    http://127.0.0.1:8000) and LIFE_AGENT_KEY, which the server does not see. Tools are hidden until they are\n\
    pinned with --pin.\n\n\
    Exit code: that of the server, 2 if it could not be started"
)]
pub struct Wrap {
    /// The name of the server in policies and rows.
    #[arg(long, value_name = "NAME")]
    server: String,
    /// The agent that calls.
    #[arg(long, value_name = "ID", default_value = "mcp")]
    agent: String,
    /// The pinned definitions; `mcp.lock` next to the policy without it.
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Pin the definitions of the server's tools as they are now, and end.
    #[arg(long)]
    pin: bool,
    /// The server's command.
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs it.
pub fn run(options: &Wrap, config: &Config) -> CommandResult {
    let path = options.lock.clone();
    let path = path.unwrap_or_else(|| config.policy_path.with_file_name("mcp.lock"));
    let lock = super::mcp::read_lock(&path)?;
    let mut child = start(&options.command)?;
    if options.pin {
        let pinned = calls::pin(&mut child, &options.server, lock, &path);
        // The server has nothing more to do.
        let _ = child.kill();
        let _ = child.wait();
        return pinned;
    }
    serve(options, lock, child)
}

/// Starts the server without the key of the service.
fn start(command: &[String]) -> Result<Child, String> {
    let (program, arguments) = command.split_first().ok_or("the command is missing")?;
    Command::new(program)
        .args(arguments)
        .env_remove("LIFE_AGENT_KEY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start `{program}`: {error}"))
}

/// Passes messages in both directions until the server ends.
fn serve(options: &Wrap, lock: Lock, mut child: Child) -> CommandResult {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (Some(mut to_server), Some(from_server)) = (stdin, stdout) else {
        return Err("the server has no standard input or output".to_owned());
    };
    let calls = Arc::new(Calls::new(&options.server, &options.agent, lock));
    let output = Arc::new(Mutex::new(std::io::stdout()));
    let (own, client) = (Arc::clone(&calls), Arc::clone(&output));
    std::thread::spawn(move || {
        let mut input = BufReader::new(std::io::stdin());
        while let Some(line) = line(&mut input) {
            match own.decide(&line) {
                Step::Pass(line) => {
                    if write(&mut to_server, &line).is_err() {
                        return;
                    }
                }
                Step::Reply(reply) => {
                    let mut client = client.lock().unwrap_or_else(PoisonError::into_inner);
                    if write(&mut *client, &reply).is_err() {
                        return;
                    }
                }
            }
        }
        // The end of the client's input is the end of the server's.
    });
    let mut from_server = BufReader::new(from_server);
    while let Some(line) = line(&mut from_server) {
        let Some(line) = calls.finish(line) else { continue };
        let mut client = output.lock().unwrap_or_else(PoisonError::into_inner);
        if write(&mut *client, &line).is_err() {
            break;
        }
    }
    let status =
        child.wait().map_err(|error| format!("the server cannot be waited for: {error}"))?;
    Ok(ExitCode::from(status.code().and_then(|code| code.try_into().ok()).unwrap_or(1)))
}

/// The next line; `None` at the end or for a message that is too long.
fn line(input: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let read = input.take(MAX_LINE).read_line(&mut line).ok()?;
    (read > 0 && (line.ends_with('\n') || (read as u64) < MAX_LINE)).then_some(line)
}

/// Writes a message. Whatever the reader takes for the end of a line, it finds one message: in JSON, returns are white
/// space, and the other three characters occur in texts only.
fn write(output: &mut impl Write, line: &str) -> std::io::Result<()> {
    let line = line.trim_end();
    let line = match line.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
        true => Cow::Owned(one_line(line)),
        false => Cow::Borrowed(line),
    };
    output.write_all(line.as_bytes())?;
    output.write_all(b"\n")?;
    output.flush()
}

fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for letter in message.chars() {
        match letter {
            '\n' | '\r' => line.push(' '),
            '\u{85}' => line.push_str("\\u0085"),
            '\u{2028}' => line.push_str("\\u2028"),
            '\u{2029}' => line.push_str("\\u2029"),
            other => line.push(other),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_for_every_reader() {
        let message = "{\"a\":\r{\"b\":\"x\u{2028}y\u{85}\"}}\r\n";
        let mut written = Vec::new();
        write(&mut written, message).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert_eq!(written, "{\"a\": {\"b\":\"x\\u2028y\\u0085\"}}\n");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&written), value(message));
    }
}
