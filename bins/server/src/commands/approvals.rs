//! `life-agent approvals`: lists, shows and decides the approvals of a running service.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::CommandResult;
use super::service::{Trouble, call, service_help};
use super::terminal::print_json;

/// What to do with approvals.
#[derive(Debug, Subcommand)]
#[command(after_help = service_help!("Example:\n  life-agent approvals list"))]
pub enum Approvals {
    /// List approvals, newest first.
    #[command(after_help = service_help!("Examples:\n  life-agent approvals list\n  \
        life-agent approvals list --status used --json"))]
    List(List),
    /// Show one approval with the request that waits for it.
    #[command(after_help = service_help!("Example:\n  life-agent approvals show 12"))]
    Show(Show),
    /// Let the request pass once.
    #[command(after_help = service_help!("Example:\n  life-agent approvals approve 12 --note 'release 1.4'"))]
    Approve(Decide),
    /// Refuse the request.
    #[command(after_help = service_help!("Example:\n  life-agent approvals deny 12 --note 'not on a Friday'"))]
    Deny(Decide),
}

/// Options of `approvals list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only approvals of this status: pending, approved, denied, used, expired or all.
    #[arg(long, default_value = "pending",
          value_parser = ["pending", "approved", "denied", "used", "expired", "all"])]
    status: String,
    /// Largest number of approvals.
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
    let done = match approvals {
        Approvals::List(options) => list(options),
        Approvals::Show(options) => show(options),
        Approvals::Approve(options) => decide(options, "approve"),
        Approvals::Deny(options) => decide(options, "deny"),
    };
    done.map(|()| ExitCode::SUCCESS).or_else(Trouble::end)
}

fn list(options: &List) -> Result<(), Trouble> {
    let status = if options.status == "all" { "" } else { &options.status };
    let path = format!("/approvals?status={status}&limit={}", options.limit);
    let answer = call("GET", &path, None)?;
    if options.json {
        print_json(&answer["approvals"])?;
        return Ok(());
    }
    for approval in answer["approvals"].as_array().into_iter().flatten() {
        say!("{}", line(approval));
    }
    Ok(())
}

fn line(approval: &Value) -> String {
    let text = |name: &str| approval[name].as_str().unwrap_or("-");
    let id = approval["approval_id"].to_string();
    format!(
        "{id:>8}  {:<8}  {:<4}  {:.19}  {:<16}  {:<16}  {}",
        text("status"),
        text("kind"),
        text("expires_at"),
        text("principal"),
        text("agent_id"),
        text("summary").replace(['\n', '\t'], " ")
    )
}

fn show(options: &Show) -> Result<(), Trouble> {
    let view = call("GET", &format!("/approvals/{}", options.id), None)?;
    if options.json {
        print_json(&view)?;
        return Ok(());
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
    Ok(())
}

fn decide(options: &Decide, decision: &str) -> Result<(), Trouble> {
    let path = format!("/approvals/{}/decision", options.id);
    let body = json!({"decision": decision, "note": options.note});
    let view = call("POST", &path, Some(&body))?;
    say!("{} is {}", options.id, view["status"].as_str().unwrap_or("decided"));
    Ok(())
}
