//! `life-agent approvals`: lists, shows and decides the approvals of a running service.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{message, request};
use super::terminal::print_json;
use super::{CommandResult, FOUND};

/// What to do with approvals.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "The service is the one at LIFE_AGENT_URL (default http://127.0.0.1:8000), \
    called with LIFE_AGENT_KEY.\n\n\
    Exit code: 0 success, 1 the service refused, 2 it could not be asked"
)]
pub enum Approvals {
    /// List approvals, newest first.
    #[command(after_help = "Examples:\n  life-agent approvals list\n  \
        life-agent approvals list --status used --json")]
    List(List),
    /// Show one approval with the request that waits for it.
    #[command(after_help = "Example:\n  life-agent approvals show 12")]
    Show(Show),
    /// Let the request pass once.
    #[command(after_help = "Example:\n  life-agent approvals approve 12 --note 'release 1.4'")]
    Approve(Decide),
    /// Refuse the request.
    #[command(after_help = "Example:\n  life-agent approvals deny 12 --note 'not on a Friday'")]
    Deny(Decide),
}

/// Options of `approvals list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only approvals of this status: pending, approved, denied, used, expired or all.
    #[arg(long, default_value = "pending",
          value_parser = ["pending", "approved", "denied", "used", "expired", "all"])]
    status: String,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `approvals show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The approval.
    id: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of a decision.
#[derive(Debug, Args)]
pub struct Decide {
    /// The approval.
    id: u64,
    /// The reason, which the journal keeps.
    #[arg(long, default_value = "")]
    note: String,
}

/// Runs it.
pub fn run(approvals: &Approvals) -> CommandResult {
    match approvals {
        Approvals::List(options) => list(options),
        Approvals::Show(options) => show(options),
        Approvals::Approve(options) => decide(options, "approve"),
        Approvals::Deny(options) => decide(options, "deny"),
    }
}

/// The JSON of a success; the service's refusal in words otherwise.
fn call(method: &str, path: &str, body: &Value) -> Result<Result<Value, String>, String> {
    let body = if method == "GET" { String::new() } else { body.to_string() };
    match request(method, path, body.as_bytes()).map_err(|failure| failure.to_string())? {
        (200, value) => Ok(Ok(value)),
        (status, value) => Ok(Err(message(status, &value))),
    }
}

fn refused(why: &str) -> CommandResult {
    eprintln!("life-agent: {}", super::visible(why));
    Ok(ExitCode::from(FOUND))
}

fn list(options: &List) -> CommandResult {
    let status = if options.status == "all" { "" } else { &options.status };
    let path = format!("/approvals?status={status}&limit={}", options.limit);
    let answer = match call("GET", &path, &Value::Null)? {
        Ok(answer) => answer,
        Err(why) => return refused(&why),
    };
    if options.json {
        print_json(&answer["approvals"])?;
        return Ok(ExitCode::SUCCESS);
    }
    for approval in answer["approvals"].as_array().into_iter().flatten() {
        say!("{}", line(approval));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(approval: &Value) -> String {
    let text = |name: &str| approval[name].as_str().unwrap_or("-");
    format!(
        "{:>8}  {:<8}  {:<4}  {:.19}  {:<16}  {:<16}  {}",
        approval["approval_id"],
        text("status"),
        text("kind"),
        text("expires_at"),
        text("principal"),
        text("agent_id"),
        text("summary").replace(['\n', '\t'], " ")
    )
}

fn show(options: &Show) -> CommandResult {
    let view = match call("GET", &format!("/approvals/{}", options.id), &Value::Null)? {
        Ok(view) => view,
        Err(why) => return refused(&why),
    };
    if options.json {
        print_json(&view)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!("{}", line(&view));
    say!("asked by {}: {}", view["gate"], view["message"].as_str().unwrap_or_default());
    for command in view["command"].as_array().into_iter().flatten() {
        say!("effect of {}: {}", command["pointer"], command["effect"]);
    }
    say!("request: {}", view["request_text"].as_str().unwrap_or_default());
    if !view["rest"].is_null() {
        say!("with: {}", view["rest"]);
    }
    if let Some(decided) = view["decided"].as_object() {
        let text = |name: &str| decided.get(name).and_then(Value::as_str).unwrap_or_default();
        say!("{} by {} at {}: {}", text("decision"), text("principal"), text("at"), text("note"));
    }
    Ok(ExitCode::SUCCESS)
}

fn decide(options: &Decide, decision: &str) -> CommandResult {
    let path = format!("/approvals/{}/decision", options.id);
    let body = json!({"decision": decision, "note": options.note});
    match call("POST", &path, &body)? {
        Ok(view) => {
            say!("{} is {}", options.id, view["status"].as_str().unwrap_or("decided"));
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => refused(&why),
    }
}
