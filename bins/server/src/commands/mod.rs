//! The commands beside serving. Each reads the journal or the policy and changes neither.
//!
//! Exit codes that scripts can use: 0 for "all is well", 1 for "it ran, and found something", 2 for "it
//! could not run".

/// Prints a line. Whoever has closed the pipe has seen what they wanted.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout().lock(), $($text)*);
    }};
}

pub mod audit;
pub mod backup;
pub mod plan;
pub mod policy;
pub mod replay;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use life_agent_engine::Config;

/// It ran, and found something.
pub const FOUND: u8 = 1;
/// It could not run.
pub const FAILED: u8 = 2;

/// Why a command could not run, in words for whoever called it.
pub type CommandResult = Result<ExitCode, String>;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Verify the journal, show its head, export its rows.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Play the recorded requests through the policy and rules of today, or through another policy.
    Replay(replay::Replay),
    /// Copy the journal while it is being written.
    Backup(backup::Backup),
    /// Check a policy.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// List, show, check and branch change plans.
    #[command(subcommand)]
    Plan(plan::Plan),
}

/// Runs a command.
pub fn run(task: &Task, config: Config) -> CommandResult {
    match task {
        Task::Audit(audit) => audit::run(audit, &config.db_path),
        Task::Replay(options) => replay::run(options, config),
        Task::Backup(options) => backup::run(options, &config.db_path),
        Task::Policy(policy) => policy::run(policy, config),
        Task::Plan(plan) => plan::run(plan, &config),
    }
}

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
    say!("{text}");
    Ok(())
}
