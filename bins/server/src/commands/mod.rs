//! The commands. Those that need no service read the journal, the policy or the settings.
//!
//! Exit codes that scripts can use: 0 for "all is well", 1 for "it ran, and found something", 2 for "it
//! could not run".

/// Prints a line for a person.
macro_rules! say {
    ($($text:tt)*) => { $crate::commands::print_line(&format!($($text)*)) };
}

pub mod approvals;
pub mod audit;
pub mod backup;
pub mod check;
mod client;
pub mod completions;
pub mod config;
pub mod demo;
pub mod healthcheck;
pub mod hook;
pub mod import;
pub mod init;
pub mod key;
pub mod kill;
pub mod mcp;
pub mod migrate;
pub mod plan;
pub mod policy;
mod private_file;
pub mod replay;
mod rows;
mod search;
mod service;
pub mod settings;
pub mod stop;
pub mod tail;
mod terminal;
pub mod turn;
pub mod wrap;

use std::process::ExitCode;

use clap::Subcommand;
use life_agent_engine::Config;

use crate::place::Place;
use terminal::{print_line, visible};

/// It ran, and found something.
pub const FOUND: u8 = 1;
/// It could not run.
pub const FAILED: u8 = 2;

/// Why a command could not run, in words for its caller.
pub type CommandResult = Result<ExitCode, String>;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Write a policy, keys and settings to serve with.
    Init(init::Init),
    /// Serve a scratch journal full of realistic traffic, to look around.
    Demo(demo::Demo),
    /// Print the effective settings, secrets masked.
    Config(config::PrintConfig),
    /// List every setting with its default and meaning.
    Settings(settings::ListSettings),
    /// Find what would stop a start: settings, keys, policy, journal, folders, port.
    Check(check::Check),
    /// Check whether the running service is ready; for containers.
    Healthcheck(healthcheck::Healthcheck),
    /// Put the service between a coding agent and its tools.
    Hook(hook::Hook),
    /// List, show and decide the requests that wait for a person.
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// Stop or release an agent or a principal of the running service.
    Stop(stop::Stop),
    /// Deny every request that acts, or let requests act again.
    #[command(subcommand)]
    Kill(kill::Kill),
    /// Send a text to an agent of the running service.
    Turn(turn::Turn),
    /// Print the newest rows of the running service, and follow it.
    Tail(tail::Tail),
    /// Print a completion script for a shell.
    Completions(completions::Completions),
    /// Create, list and revoke the keys of KEYS_FILE.
    #[command(subcommand)]
    Key(key::Key),
    /// What needs an engine's configuration.
    #[command(flatten)]
    Work(Work),
}

/// The commands that work on the journal, the policy or the plans.
#[derive(Debug, Subcommand)]
pub enum Work {
    /// Verify the journal, find rows, show its head, export all rows.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Run the recorded requests through the present policy and rules, or through another policy.
    Replay(replay::Replay),
    /// Import the record of another program into a new journal.
    #[command(subcommand)]
    Import(import::Import),
    /// Copy the journal while it is being written.
    Backup(backup::Backup),
    /// Move the journal between a file and a PostgreSQL database.
    Migrate(migrate::Migrate),
    /// Check, convert and activate policies.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// List and pin the tools of the MCP servers behind the gateway.
    #[command(subcommand)]
    Mcp(mcp::Mcp),
    /// Start an MCP server and let the service decide about its tool calls.
    Wrap(wrap::Wrap),
    /// List, show, review, check and branch change plans.
    #[command(subcommand)]
    Plan(plan::Plan),
}

/// Runs a command.
pub fn run(work: &Work, config: Config, db: &Place) -> CommandResult {
    match work {
        Work::Audit(audit) => audit::run(audit, db),
        Work::Replay(options) => replay::run(options, config, db),
        Work::Backup(options) => backup::run(options, db),
        Work::Migrate(options) => migrate::run(options),
        Work::Import(import) => import::run(import, db),
        Work::Policy(policy) => policy::run(policy, config),
        Work::Mcp(command) => mcp::run(command, &config),
        Work::Wrap(options) => wrap::run(options, &config),
        Work::Plan(plan) => plan::run(plan, &config, db),
    }
}

/// Ends a command: what could not run is said on standard error.
pub fn end(result: CommandResult) -> ExitCode {
    result.unwrap_or_else(|why| {
        eprintln!("life-agent: {}", visible(&why));
        ExitCode::from(FAILED)
    })
}
