//! `cargo xtask bench`: every figure of `docs/performance.md`, measured on loopback with all gates and the
//! durable journal on, and written there.

mod chat;
mod cost;
mod engine;
mod growth;
mod http;
mod machine;
mod overload;
mod report;
mod resources;
mod wrk;

use clap::{Args, ValueEnum};

use crate::cargo;

/// What is measured, and how long.
#[derive(Args)]
pub(crate) struct Bench {
    /// Short runs and small journals: to see that it works, not to note down.
    #[arg(long)]
    quick: bool,
    /// Only these; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<Item>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Item {
    /// The bare echo against the service.
    Http,
    /// Processor time, commits and system calls of a request.
    Cost,
    /// `act` in process, without the disk.
    Engine,
    /// What the service adds to a model's call, and what LiteLLM's proxy adds.
    Chat,
    /// Start, memory, size; the load tools that exist beside this one.
    Resources,
    /// Rate and latency as journal and agents grow.
    Growth,
    /// Four times as many callers as may wait.
    Overload,
}

/// How much is measured.
#[derive(Clone, Copy)]
struct Scale {
    /// Seconds for each run of `wrk`.
    seconds: u64,
    /// Runs of which the median counts.
    runs: usize,
    /// Rows of a large journal.
    rows: u64,
    /// Agents of a large journal.
    agents: u64,
    /// Calls in a series that is counted and not timed.
    calls: usize,
}

const FULL: Scale = Scale { seconds: 5, runs: 3, rows: 1_000_000, agents: 100_000, calls: 50_000 };
const QUICK: Scale = Scale { seconds: 1, runs: 1, rows: 20_000, agents: 1_000, calls: 2_000 };

/// Builds what is measured, measures it and writes the page.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    let scale = if bench.quick { QUICK } else { FULL };
    let wanted = |item: Item| bench.only.is_empty() || bench.only.contains(&item);
    cargo(&["build", "--release", "--locked", "-p", "life-agent-server"])?;
    cargo(&[
        "build",
        "--release",
        "--locked",
        "-p",
        "life-agent-server",
        "--example",
        "bare_echo",
    ])?;
    machine::describe(bench.quick)?.publish()?;
    for (item, measure) in [
        (Item::Http, http::measure as fn(Scale) -> anyhow::Result<report::Section>),
        (Item::Cost, cost::measure),
        (Item::Engine, engine::measure),
        (Item::Chat, chat::measure),
        (Item::Resources, resources::measure),
        (Item::Growth, growth::measure),
        (Item::Overload, overload::measure),
    ] {
        if wanted(item) {
            measure(scale)?.publish()?;
        }
    }
    Ok(())
}
