//! `life-agent plan approve` and `plan reject`: a review at the running service.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::commands::CommandResult;
use crate::commands::service::{Trouble, call};
use crate::commands::terminal::print_json;

/// Options of a review.
#[derive(Debug, Args)]
pub struct Review {
    /// The plan.
    #[arg(value_parser = plan_id)]
    id: String,
    /// The reason, which the journal keeps.
    #[arg(long, default_value = "")]
    note: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// An ID as it can stand in a path.
fn plan_id(text: &str) -> Result<String, String> {
    let is_id = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| text.to_owned()).ok_or_else(|| "expected letters and digits".to_owned())
}

/// Runs it.
pub(super) fn run(options: &Review, decision: &str) -> CommandResult {
    review(options, decision).map(|()| ExitCode::SUCCESS).or_else(Trouble::end)
}

fn review(options: &Review, decision: &str) -> Result<(), Trouble> {
    let path = format!("/plans/{}/review", options.id);
    let body = json!({"decision": decision, "note": options.note});
    let view = call("POST", &path, Some(&body))?;
    if options.json {
        return Ok(print_json(&view)?);
    }
    say!("{} is {}", options.id, view["status"].as_str().unwrap_or("reviewed"));
    Ok(())
}
