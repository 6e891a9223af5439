//! `life-agent stop`: stops or releases an agent or a principal of a running service.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::client::{message, request};
use super::terminal::print_json;
use super::{CommandResult, FOUND};

/// Options of `stop`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  life-agent stop --agent gpt-1 --reason 'it deletes files'\n  \
    life-agent stop --principal gpt          stop everything that this key does\n  \
    life-agent stop --agent gpt-1 --off      release it\n  \
    life-agent stop                          list what is stopped\n\n\
    The service is the one at LIFE_AGENT_URL (default http://127.0.0.1:8000), called with LIFE_AGENT_KEY.\n\
    Exit code: 0 success, 1 the service refused, 2 it could not be asked"
)]
pub struct Stop {
    /// The agent.
    #[arg(long, conflicts_with = "principal")]
    agent: Option<String>,
    /// The principal: the name of a key.
    #[arg(long)]
    principal: Option<String>,
    /// Release it.
    #[arg(long)]
    off: bool,
    /// The reason; denied callers read it.
    #[arg(long, default_value = "")]
    reason: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(options: &Stop) -> CommandResult {
    let mut body = json!({"on": !options.off, "reason": options.reason});
    let method = match (&options.agent, &options.principal) {
        (Some(agent), _) => {
            body["agent"] = agent.as_str().into();
            "POST"
        }
        (None, Some(principal)) => {
            body["principal"] = principal.as_str().into();
            "POST"
        }
        (None, None) if options.off => {
            return Err("name what to release with `--agent` or `--principal`".to_owned());
        }
        (None, None) => "GET",
    };
    let body = if method == "GET" { String::new() } else { body.to_string() };
    let answered = request(method, "/stops", body.as_bytes());
    match answered.map_err(|failure| failure.to_string())? {
        (200, answer) => {
            if options.json {
                print_json(&answer["stops"])?;
            } else {
                answer["stops"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .for_each(|stop| say!("{}", line(stop)));
            }
            Ok(ExitCode::SUCCESS)
        }
        (status, answer) => {
            eprintln!("life-agent: {}", super::visible(&message(status, &answer)));
            Ok(ExitCode::from(FOUND))
        }
    }
}

fn line(stop: &Value) -> String {
    let text = |name: &str| stop[name].as_str();
    let (what, name) = match text("agent") {
        Some(agent) => ("agent", agent),
        None => ("principal", text("principal").unwrap_or_default()),
    };
    let (since, by) = (text("since").unwrap_or_default(), text("by").unwrap_or_default());
    format!("{what:<10}{name:<24}{since:.19}  {by:<16}{}", text("reason").unwrap_or_default())
}
