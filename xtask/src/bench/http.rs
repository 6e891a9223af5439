//! The service compared with actix-web alone, with the same JSON and in alternating runs.

use super::Scale;
use super::report::{Section, aimed, count, time};
use super::wrk::{Measured, Run, all_granted, median, ratio};
use crate::load::histogram::Histogram;
use crate::load::server::Server;

/// Endpoints and their target share of the bare rate at 32 connections.
const AIMS: [(&str, f64); 4] = [("act", 0.5), ("turn", 0.5), ("check", 0.8), ("state", 0.8)];

pub(super) fn measure(scale: Scale) -> anyhow::Result<Section> {
    let mut section = Section::new("http");
    let mut rows = Vec::new();
    for (kind, aim) in AIMS {
        for connections in [1, 32, 256] {
            let run = Run { kind, agents: 1_000, connections, seconds: scale.seconds, pause: 0 };
            rows.push(row(run, scale.runs, aim)?);
        }
    }
    section.line(&format!(
        "1,000 agents, medians of {} alternating runs of {} s each, `RATE_LIMIT_RPS=0`. The ratio is the median \
         of the runs' ratios. The p99 of commits is from `journal_commit_seconds`.",
        scale.runs, scale.seconds
    ));
    let head = [
        "call",
        "connections",
        "bare, req/s",
        "service, req/s",
        "ratio",
        "bare p50, p99",
        "service p50, p99",
        "commit p99",
        "p99 / bare p99; target 3 × + commit",
    ];
    section.table(&head, &rows);
    Ok(section)
}

fn row(run: Run<'_>, runs: usize, aim: f64) -> anyhow::Result<Vec<String>> {
    let (bare, ours) = (Server::bare()?, Server::start()?);
    let warm_up = Run { seconds: 1, ..run };
    warm_up.on(bare.addr)?;
    warm_up.on(ours.addr)?;
    let (of_bare, of_ours) = run.alternating(bare.addr, ours.addr, runs)?;
    all_granted(run.kind, &of_ours)?;
    let ratio = ratio((&of_bare, &of_ours), |run| run.rate);
    let (bare, measured) = (median(&of_bare), median(&of_ours));
    let metrics = ours.metrics()?;
    // Only these two wait for a commit.
    let commit = if matches!(run.kind, "act" | "turn") {
        Histogram::read(&metrics, "journal_commit_seconds")?.quantile(0.99) * 1e6
    } else {
        0.0
    };
    let shown = format!("{ratio:.2}");
    let latency = |measured: Measured| format!("{}, {}", time(measured.p50), time(measured.p99));
    let within = measured.p99 <= 3.0 * bare.p99 + commit;
    Ok(vec![
        format!("`/{}`", run.kind),
        run.connections.to_string(),
        count(bare.rate),
        count(measured.rate),
        if run.connections == 32 { aimed(&shown, ratio >= aim) } else { shown },
        latency(bare),
        latency(measured),
        time(commit),
        aimed(&format!("{:.1} ×", measured.p99 / bare.p99), within),
    ])
}
