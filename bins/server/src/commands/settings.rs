//! `life-agent settings`: every setting with its default and meaning.

use std::process::ExitCode;

use clap::Args;

use super::CommandResult;
use crate::cli::help;

/// Options of `settings`.
#[derive(Debug, Args)]
#[command(after_help = format!(
    "Examples:\n  life-agent settings | grep RATE\n  life-agent config        their present values\n\n\
    Exit code: 0 printed\n\nSettings:\n{}",
    help::settings()
))]
pub struct ListSettings {}

/// Runs it.
pub fn run(_: &ListSettings) -> CommandResult {
    super::terminal::print_text(&help::settings());
    Ok(ExitCode::SUCCESS)
}
