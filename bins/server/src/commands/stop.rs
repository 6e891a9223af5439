//! `life-agent stop`: stops or releases an agent or a principal of a running service.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::CommandResult;
use super::service::{Trouble, call, service_help};
use super::terminal::print_json;

/// Options of `stop`.
#[derive(Debug, Args)]
#[command(after_help = service_help!(
    "Examples:\n  life-agent stop --agent gpt-1 --reason 'it deletes files'\n  \
    life-agent stop --principal gpt          stop everything that this key does\n  \
    life-agent stop --agent gpt-1 --off      release it\n  \
    life-agent stop                          list what is stopped"
))]
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
    stop(options).or_else(Trouble::end)
}

fn stop(options: &Stop) -> Result<ExitCode, Trouble> {
    let mut body = json!({"on": !options.off, "reason": options.reason});
    let answer = match (&options.agent, &options.principal) {
        (Some(agent), _) => {
            body["agent"] = agent.as_str().into();
            call("POST", "/stops", Some(&body))?
        }
        (None, Some(principal)) => {
            body["principal"] = principal.as_str().into();
            call("POST", "/stops", Some(&body))?
        }
        (None, None) if options.off => {
            let why = "name what to release with `--agent` or `--principal`";
            return Err(why.to_owned().into());
        }
        (None, None) => call("GET", "/stops", None)?,
    };
    if options.json {
        print_json(&answer["stops"])?;
    } else {
        answer["stops"].as_array().into_iter().flatten().for_each(|stop| say!("{}", line(stop)));
    }
    Ok(ExitCode::SUCCESS)
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
