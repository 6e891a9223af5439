//! Feeds generated and mutated inputs to everything that reads what a caller, a model or a tool wrote:
//! `cargo xtask fuzz --minutes 60`.
//!
//! An input follows from the seed, the target and its number, so that a printed failure can be repeated. A child
//! process does the work: its end, whatever the cause, leaves the number of the input behind. Failing inputs are
//! written to `tests/fuzz/corpus`, which `cargo test` reads.

mod clock;
mod inputs;
mod parent;
mod random;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Options of a run.
#[derive(Parser, Clone)]
pub(crate) struct Options {
    /// Minutes for all targets together.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// The seed of all choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs only this target; repeatable.
    #[arg(long, value_name = "TARGET")]
    only: Vec<String>,
    /// Starts with this input of each target.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// The file in which a child keeps the number of its input.
    #[arg(long, hide = true)]
    child: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.child {
        Some(progress) => parent::work(&options, progress),
        None => parent::run(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}
