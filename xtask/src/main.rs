//! `cargo xtask`: what maintainers run beside cargo itself.

mod bench;
mod check;
mod dev;
mod edges;
mod gates;
mod generated;
mod guard;
mod load;
mod site;
mod snapshot;
mod tidy;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Tasks of the life-agent workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write `docs/openapi.yaml` and `docs/openapi-actions.yaml` from the code.
    Openapi {
        /// Write nothing; fail if the file is not current.
        #[arg(long)]
        check: bool,
    },
    /// Write the pages of `docs/` from the guides and the code.
    Site {
        /// Write nothing; fail if a page is not current.
        #[arg(long)]
        check: bool,
    },
    /// Write the JSON Schemas of the policy and of the agent profile into `policy/`.
    Schema {
        /// Write nothing; fail if a file is not current.
        #[arg(long)]
        check: bool,
    },
    /// Measure the gates on a folder of corpora; fails when a bound is missed.
    Gates {
        /// The folder with the JSON Lines files.
        #[arg(long, value_name = "DIR")]
        corpus: PathBuf,
        /// Write the rows that were missed into this file.
        #[arg(long, value_name = "FILE")]
        missed: Option<String>,
    },
    /// Measure everything that `docs/performance.md` states, and write it there; needs `wrk`.
    Bench(bench::Bench),
    /// Count the instructions of hot paths with callgrind and compare with the committed counts.
    Guard {
        /// Write the counts as the new ones to compare with.
        #[arg(long)]
        bless: bool,
    },
    /// Measure the release build under load.
    #[command(subcommand)]
    Load(load::Load),
    /// Check the dependencies between crates, and import cycles within them.
    Edges,
    /// Check what every source file owes its reader.
    Tidy,
    /// Tag the commit `snapshot-<time>` and back the journal up beside it under that name.
    Snapshot {
        /// The journal; without one, only the tag is made.
        #[arg(long, value_name = "FILE", env = "DB_PATH", default_value = "agent.db")]
        db: PathBuf,
    },
    /// Build the server and run it; with `--reload`, again after each change.
    Dev(dev::Dev),
    /// Run what CI runs: every cargo command of `.ci/run`.
    Check,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Openapi { check } => generated::openapi(check),
        Task::Site { check } => site::write(check),
        Task::Schema { check } => generated::schemas(check),
        Task::Gates { corpus, missed } => gates::measure(&corpus, missed.as_deref()),
        Task::Bench(bench) => bench::run(&bench),
        Task::Guard { bless } => guard::run(bless),
        Task::Load(load) => load::run(&load),
        Task::Edges => edges::check(),
        Task::Snapshot { db } => snapshot::take(&db),
        Task::Tidy => tidy::check(),
        Task::Dev(options) => dev::run(&options),
        Task::Check => check::all(),
    }
}

/// The workspace's top folder.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs cargo in the workspace's top folder; what that printed.
fn said_by_cargo(arguments: &[&str]) -> anyhow::Result<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        std::process::Command::new(program).args(arguments).current_dir(root()).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`cargo {}` failed: {complaint}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs cargo in the workspace's top folder.
fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status =
        std::process::Command::new(program).args(arguments).current_dir(root()).status()?;
    anyhow::ensure!(status.success(), "`cargo {}` failed", arguments.join(" "));
    Ok(())
}
