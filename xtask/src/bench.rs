//! `cargo xtask bench`: measures every figure of `docs/performance.md` and `docs/scaling.md` on loopback, with all gates
//! and the durable journal on, and writes the pages.

mod chat;
mod cost;
mod engine;
mod growth;
mod http;
mod instances;
mod machine;
mod overload;
mod report;
mod resources;
mod wrk;

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};

use crate::cargo;

/// Options of `bench`.
#[derive(Args)]
pub(crate) struct Bench {
    /// Short runs and small journals, to check that the measurement works.
    #[arg(long)]
    quick: bool,
    /// Measures only these; repeatable.
    #[arg(long, value_name = "NAME")]
    only: Vec<Item>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Item {
    /// The service compared with a bare echo.
    Http,
    /// Processor time, commits and system calls of a request.
    Cost,
    /// `act` in process, without the disk.
    Engine,
    /// The latency that the service and LiteLLM's proxy add to a model call.
    Chat,
    /// Start, memory and size; a million rows; a thousand subscribers.
    Resources,
    /// Rate and latency with a large journal and many agents.
    Growth,
    /// Four times as many callers as places.
    Overload,
    /// One, two and four instances on PostgreSQL compared with SQLite.
    Instances,
}

impl Item {
    /// The page with the figures.
    fn page(self) -> &'static str {
        match self {
            Item::Instances => "docs/scaling.md",
            _ => "docs/performance.md",
        }
    }
}

/// The size of the measurements.
#[derive(Clone, Copy)]
struct Scale {
    /// Seconds for each run of `wrk`.
    seconds: u64,
    /// Runs per median.
    runs: usize,
    /// Rows of a large journal.
    rows: u64,
    /// Agents of a large journal.
    agents: u64,
    /// Calls in a series with a fixed number of calls.
    calls: usize,
}

const FULL: Scale = Scale { seconds: 5, runs: 3, rows: 1_000_000, agents: 100_000, calls: 50_000 };
const QUICK: Scale = Scale { seconds: 1, runs: 1, rows: 20_000, agents: 1_000, calls: 2_000 };

type Measure = fn(Scale) -> anyhow::Result<report::Section>;

const MEASURES: [(Item, Measure); 8] = [
    (Item::Http, http::measure),
    (Item::Cost, cost::measure),
    (Item::Engine, engine::measure),
    (Item::Chat, chat::measure),
    (Item::Resources, resources::measure),
    (Item::Growth, growth::measure),
    (Item::Overload, overload::measure),
    (Item::Instances, instances::measure),
];

/// Builds the binaries, measures them and writes the pages.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    let scale = if bench.quick { QUICK } else { FULL };
    let wanted = |item: Item| bench.only.is_empty() || bench.only.contains(&item);
    cargo(&["build", "--release", "--locked", "-p", "life-agent-server"])?;
    let items: Vec<_> = MEASURES.iter().filter(|(item, _)| wanted(*item)).collect();
    if items.iter().any(|(item, _)| *item != Item::Instances) {
        let echo = ["-p", "life-agent-server", "--example", "bare_echo"];
        cargo(&[&["build", "--release", "--locked"][..], &echo].concat())?;
    }
    let pages: BTreeSet<_> = items.iter().map(|(item, _)| item.page()).collect();
    let machine = machine::describe(bench.quick)?;
    for page in pages {
        machine.publish(page)?;
    }
    for (item, measure) in items {
        measure(scale)?.publish(item.page())?;
    }
    Ok(())
}
