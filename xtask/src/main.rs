//! `cargo xtask`: the maintainers' tasks.

mod bench;
mod check;
mod clients;
mod dev;
mod edges;
mod fuzz;
mod gates;
mod generated;
mod guard;
mod load;
mod prose;
mod reference;
mod site;
mod snapshot;
mod storm;
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
    /// Write the reference of `docs/index.html` and build the site in `target/site`.
    Site {
        /// Do not change `docs/`; fail if the page is not current.
        #[arg(long)]
        check: bool,
    },
    /// Write the tables of commands, settings, policy keys, events, errors and metrics in `docs/`.
    #[command(alias = "cli")]
    Reference {
        /// Write nothing; fail if a table is not current.
        #[arg(long)]
        check: bool,
    },
    /// Write the JSON Schemas of the policy and of the agent profile into `policy/`.
    Schema {
        /// Write nothing; fail if a file is not current.
        #[arg(long)]
        check: bool,
    },
    /// Measure the gates on a folder of corpora; fails if a bound is missed.
    Gates {
        /// The folder with the JSON Lines files.
        #[arg(long, value_name = "DIR")]
        corpus: PathBuf,
        /// Write the missed rows to this file.
        #[arg(long, value_name = "FILE")]
        missed: Option<String>,
    },
    /// Measure the figures of `docs/performance.md` and write them there; needs `wrk`.
    Bench(bench::Bench),
    /// Run real clients and coding agents against the service; needs Python, Node.js and npm.
    Clients(clients::Clients),
    /// Feed generated inputs to parsers, gates and redaction.
    Fuzz(fuzz::Fuzz),
    /// Count the instructions of hot paths with callgrind and compare with the committed counts.
    Guard {
        /// Write the new counts.
        #[arg(long)]
        bless: bool,
    },
    /// Measure the release build under load.
    #[command(subcommand)]
    Load(load::Load),
    /// Kill three instances on one database at random and check what the service promises; needs PostgreSQL.
    Storm(storm::Storm),
    /// Check the dependencies between crates, and import cycles within them.
    Edges,
    /// Check the first lines and the length of source files.
    Tidy,
    /// Check the guides for phrases that the style guide avoids, for empty table headers, and for their length.
    Prose,
    /// Tag the commit `snapshot-<time>` and back up the journal under that name.
    Snapshot {
        /// The journal; if it does not exist, only the tag is created.
        #[arg(long, value_name = "FILE", env = "DB_PATH", default_value = "agent.db")]
        db: PathBuf,
    },
    /// Build the server and run it; with `--reload`, again after each change.
    Dev(dev::Dev),
    /// Run the cargo commands of `.ci/run`.
    Check,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Openapi { check } => generated::openapi(check),
        Task::Site { check } => site::write(check),
        Task::Reference { check } => reference::write(check),
        Task::Schema { check } => generated::schemas(check),
        Task::Gates { corpus, missed } => gates::measure(&corpus, missed.as_deref()),
        Task::Clients(clients) => clients::run(&clients),
        Task::Bench(bench) => bench::run(&bench),
        Task::Fuzz(fuzz) => fuzz::run(&fuzz),
        Task::Guard { bless } => guard::run(bless),
        Task::Load(load) => load::run(&load),
        Task::Storm(options) => storm::run(&options),
        Task::Edges => edges::check(),
        Task::Snapshot { db } => snapshot::take(&db),
        Task::Tidy => tidy::check(),
        Task::Prose => prose::check(),
        Task::Dev(options) => dev::run(&options),
        Task::Check => check::all(),
    }
}

/// The root of the workspace.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs cargo in the root of the workspace and returns its output.
fn cargo_output(arguments: &[&str]) -> anyhow::Result<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        std::process::Command::new(program).args(arguments).current_dir(root()).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`cargo {}` failed: {error}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs cargo in the root of the workspace.
fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status =
        std::process::Command::new(program).args(arguments).current_dir(root()).status()?;
    anyhow::ensure!(status.success(), "`cargo {}` failed", arguments.join(" "));
    Ok(())
}
