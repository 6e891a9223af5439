//! The commands beside serving. Each reads the journal or the policy and changes neither.
//!
//! Exit codes that scripts can use: 0 for "all is well", 1 for "it ran, and found something", 2 for "it
//! could not run".

pub mod audit;
pub mod backup;
pub mod policy;
pub mod replay;

use std::io::IsTerminal;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

/// It ran, and found something.
pub const FOUND: u8 = 1;
/// It could not run.
pub const FAILED: u8 = 2;

/// Why a command could not run, in words for whoever called it.
pub type CommandResult = Result<ExitCode, String>;

/// Ends a command: what could not run is said on standard error.
pub fn end(result: CommandResult) -> ExitCode {
    result.unwrap_or_else(|why| {
        eprintln!("life-agent: {why}");
        ExitCode::from(FAILED)
    })
}

/// A bar on standard error; nothing where nobody watches.
fn progress_bar(total: u64, what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    let template = format!("{{bar:32}} {{human_pos}}/{{human_len}} {what} {{eta}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// Prints a value as one JSON document.
fn print_json(value: &impl serde::Serialize) -> Result<(), String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}
