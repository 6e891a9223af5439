//! Measures the release build under load, over HTTP, with everything on: gates, journal, durable commits.

pub(crate) mod histogram;
mod hostile;
pub(crate) mod server;
pub(crate) mod watch;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use clap::Subcommand;

use histogram::Histogram;
use server::{KEY, Server};

use crate::root;

/// The measurements.
#[derive(Subcommand)]
pub(crate) enum Load {
    /// Turns per second with one agent and with 1,000, and the time of commits; needs `wrk`.
    Steps {
        /// Seconds per run.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Concurrent connections.
        #[arg(long, default_value_t = 64)]
        connections: u64,
    },
    /// Readers of `/events` under a steady load of acts: received rows, memory and processor time.
    Watch {
        /// The number of readers.
        #[arg(long, default_value_t = 1_000)]
        readers: usize,
        /// Acts per second.
        #[arg(long, default_value_t = 500)]
        rate: u64,
        /// Duration in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Hostile requests of each kind under a normal load: latency of health checks and the kill switch, and memory.
    Hostile(hostile::Hostile),
}

/// Measures `target/release/life-agent`, which must be built.
pub(crate) fn run(load: &Load) -> anyhow::Result<()> {
    match load {
        Load::Hostile(options) => hostile::run(options),
        &Load::Steps { seconds, connections } => {
            for agents in [1, 1_000] {
                steps(agents, seconds, connections)?;
            }
            Ok(())
        }
        &Load::Watch { readers, rate, seconds } => watch::run(readers, rate, seconds),
    }
}

fn steps(agents: u64, seconds: u64, connections: u64) -> anyhow::Result<()> {
    let server = Server::start()?;
    let script: PathBuf = root().join("xtask/load/step.lua");
    let mut wrk = Command::new("wrk");
    wrk.args(["-t2", &format!("-c{connections}"), &format!("-d{seconds}s"), "--latency", "-s"]);
    wrk.arg(script).arg(format!("http://{}", server.addr));
    wrk.args(["--", KEY, &agents.to_string()]);
    let output = wrk.output().context("`wrk` does not start; install it (Debian: `wrk`)")?;
    anyhow::ensure!(output.status.success(), "wrk failed");
    println!("{agents} agents, {connections} connections, {seconds} s:");
    let text = String::from_utf8_lossy(&output.stdout);
    let wanted = ["Requests/sec", "50%", "99%", "Non-2xx", "Socket errors"];
    let shown = |line: &&str| wanted.iter().any(|wanted| line.trim().starts_with(wanted));
    text.lines().filter(shown).for_each(|line| println!("  {}", line.trim()));
    let metrics = server.metrics()?;
    let rows = Histogram::read(&metrics, "journal_batch_rows")?;
    let commits = Histogram::read(&metrics, "journal_commit_seconds")?;
    println!("  rows per commit: {:.1} (median {:.0})", rows.mean(), rows.quantile(0.5));
    let milliseconds = |q| commits.quantile(q) * 1000.0;
    println!("  commit: p50 {:.2} ms, p99 {:.2} ms", milliseconds(0.5), milliseconds(0.99));
    Ok(())
}

/// The default measurement of `Watch`: a thousand readers of `/events`.
pub(crate) fn subscribers() -> anyhow::Result<()> {
    watch::run(1_000, 500, 10)
}
