//! `life-agent kill`: reads and turns the kill switch of a running service.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::CommandResult;
use super::service::{Trouble, call, service_help};
use super::terminal::print_json;

/// What to do with the kill switch.
#[derive(Debug, Subcommand)]
#[command(after_help = service_help!(
    "Examples:\n  life-agent kill on --reason 'an agent runs wild'\n  life-agent kill status"
))]
pub enum Kill {
    /// Deny every request that acts, now and after a restart.
    #[command(after_help = service_help!("Example:\n  life-agent kill on --reason 'an agent runs wild'"))]
    On(Turn),
    /// Let requests act again.
    #[command(after_help = service_help!("Example:\n  life-agent kill off --reason 'it was a drill'"))]
    Off(Turn),
    /// Show whether the switch is on, since when, by whom and why.
    #[command(after_help = service_help!("Examples:\n  life-agent kill status\n  life-agent kill status --json"))]
    Status(Show),
}

/// Options of `kill on` and `kill off`.
#[derive(Debug, Args)]
pub struct Turn {
    /// The reason; the journal keeps it, and denied callers read it.
    #[arg(long, default_value = "")]
    reason: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `kill status`.
#[derive(Debug, Args)]
pub struct Show {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(kill: &Kill) -> CommandResult {
    let done = match kill {
        Kill::On(options) => turn(options, true),
        Kill::Off(options) => turn(options, false),
        Kill::Status(options) => {
            call("GET", "/kill-switch", None).and_then(|now| print(&now, options.json))
        }
    };
    done.map(|()| ExitCode::SUCCESS).or_else(Trouble::end)
}

fn turn(options: &Turn, on: bool) -> Result<(), Trouble> {
    let body = json!({"on": on, "reason": options.reason});
    print(&call("POST", "/kill-switch", Some(&body))?, options.json)
}

fn print(now: &Value, as_json: bool) -> Result<(), Trouble> {
    if as_json {
        return Ok(print_json(now)?);
    }
    let text = |name: &str| now[name].as_str().unwrap_or_default();
    if now["on"] != true {
        say!("the kill switch is off");
        return Ok(());
    }
    let (since, by, reason) = (text("since"), text("by"), text("reason"));
    let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
    let reason = if reason.is_empty() { "no reason given" } else { reason };
    say!("the kill switch is on since {since:.19}{by}: {reason}");
    if now["forced"] == true {
        say!("KILL_SWITCH=on keeps it on until the service starts without that setting");
    }
    Ok(())
}
