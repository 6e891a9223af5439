//! `life-agent policy check FILE`: every fault of a policy, without a running service.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use life_agent_engine::{Config, OpenError};

use super::terminal::print_json;
use super::{CommandResult, FOUND};

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check a policy as a start would, and list every fault with its place.
    #[command(after_help = "Examples:\n  life-agent policy check policies/valid.yaml\n  \
        life-agent policy check policies/invalid.yaml --json\n\n\
        Exit code: 0 valid, 1 has faults, 2 could not be read")]
    Check(Check),
}

/// Options of `policy check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The policy.
    file: PathBuf,
    /// Print the faults as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(policy: &Policy, mut config: Config) -> CommandResult {
    let Policy::Check(options) = policy;
    if !options.file.is_file() {
        return Err(format!("there is no policy `{}`", options.file.display()));
    }
    config.policy_path.clone_from(&options.file);
    match life_agent_engine::check_policy(&config) {
        Ok(report) if options.json => print_json(&report).map(|()| ExitCode::SUCCESS),
        Ok(report) => {
            say!("valid: {} rules, hash {}", report.rule_count, report.policy_hash);
            Ok(ExitCode::SUCCESS)
        }
        Err(OpenError::Document { faults, .. }) if options.json => {
            print_json(&faults)?;
            Ok(ExitCode::from(FOUND))
        }
        Err(OpenError::Document { faults, .. }) => {
            faults.iter().for_each(|fault| say!("{fault}"));
            Ok(ExitCode::from(FOUND))
        }
        Err(error) => Err(error.to_string()),
    }
}
