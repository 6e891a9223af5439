//! `life-agent turn`: sends a text to an agent of a running service.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::CommandResult;
use super::service::{Trouble, call_within, service_help};
use super::terminal::print_json;

/// More than the policy's `llm.turn_seconds` may be.
const TIMEOUT: Duration = Duration::from_secs(180);
/// More than an input may have, so that the service reports that it is too long.
const MAX_INPUT: u64 = 64 * 1024;

/// Options of `turn`.
#[derive(Debug, Args)]
#[command(after_help = service_help!(
    "Examples:\n  life-agent turn hero 'explore the gate of the fortress'\n  \
    git log -1 --format=%B | life-agent turn scribe - --json"
))]
pub struct Turn {
    /// The agent.
    agent: String,
    /// The text; `-` reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    text: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(options: &Turn) -> CommandResult {
    turn(options).map(|()| ExitCode::SUCCESS).or_else(Trouble::end)
}

fn turn(options: &Turn) -> Result<(), Trouble> {
    let mut input = options.text.clone();
    if input == "-" {
        input.clear();
        let read = std::io::stdin().take(MAX_INPUT).read_to_string(&mut input);
        read.map_err(|error| format!("cannot read standard input: {error}"))?;
        input.truncate(input.trim_end().len());
    }
    let body = json!({"agent_id": options.agent, "input": input});
    let answer = call_within("POST", "/turn", Some(&body), TIMEOUT)?;
    if options.json {
        return Ok(print_json(&answer)?);
    }
    say!("{}", answer["response"].as_str().unwrap_or_default());
    let (row, version) = (&answer["event_id"], &answer["state_version"]);
    let by = if answer["source"] == "llm" { "a model" } else { "the rules" };
    say!("row {row}, state version {version}, narrated by {by}");
    for rule in answer["would_deny"].as_array().into_iter().flatten() {
        say!("observed: {} would deny this", rule.as_str().unwrap_or_default());
    }
    Ok(())
}
