//! Rate and latency at the start and after the journal and the number of agents have grown.

use super::Scale;
use super::report::{Section, aimed, count, time};
use super::wrk::{Measured, Run, median};
use crate::load::server::Server;

/// What may be lost on the way.
const WITHIN: f64 = 0.10;

struct Window {
    rows: u64,
    measured: Measured,
    kilobytes: u64,
}

pub(super) fn measure(scale: Scale) -> anyhow::Result<Section> {
    let mut section = Section::new("growth");
    section.line(&format!(
        "Turns at 32 connections: three runs of {} s at the start and three once the journal has {} rows, \
         on one server each. With more agents than `MAX_AGENTS_IN_MEMORY` (10,000) most are read from the \
         journal again for each turn.",
        scale.seconds,
        count(scale.rows as f64)
    ));
    let mut rows = Vec::new();
    for agents in [1_000, scale.agents] {
        let (first, last) = grow(agents, scale)?;
        rows.push(shown(agents, &first, None));
        rows.push(shown(agents, &last, Some(&first)));
    }
    section.table(&["agents", "rows", "turns a second", "p99", "resident memory"], &rows);
    Ok(section)
}

fn grow(agents: u64, scale: Scale) -> anyhow::Result<(Window, Window)> {
    let server = Server::start()?;
    let run = Run { kind: "turn", agents, connections: 32, seconds: scale.seconds, pause: 0 };
    // The first seconds make pages and fill caches that every later one has.
    Run { seconds: 2, ..run }.on(server.addr)?;
    let first = window(&server, run)?;
    while server.rows()? < scale.rows {
        Run { connections: 128, seconds: 10.min(scale.seconds * 2), ..run }.on(server.addr)?;
    }
    Ok((first, window(&server, run)?))
}

fn window(server: &Server, run: Run<'_>) -> anyhow::Result<Window> {
    let runs = (0..3).map(|_| run.on(server.addr)).collect::<anyhow::Result<Vec<_>>>()?;
    let failed: f64 = runs.iter().map(|run| run.refused + run.lost).sum();
    anyhow::ensure!(failed == 0.0, "{failed} turns failed");
    Ok(Window { rows: server.rows()?, measured: median(&runs), kilobytes: server.memory("VmRSS")? })
}

fn shown(agents: u64, window: &Window, start: Option<&Window>) -> Vec<String> {
    let Measured { rate, p99, .. } = window.measured;
    let (mut rate_shown, mut p99_shown) = (count(rate), time(p99));
    if let Some(Window { measured: start, .. }) = start {
        let change = |now: f64, then: f64| format!("{:+.0}%", (now / then - 1.0) * 100.0);
        let kept = rate >= start.rate * (1.0 - WITHIN);
        rate_shown = aimed(&format!("{rate_shown} ({})", change(rate, start.rate)), kept);
        let kept = p99 <= start.p99 * (1.0 + WITHIN);
        p99_shown = aimed(&format!("{p99_shown} ({})", change(p99, start.p99)), kept);
    }
    vec![
        count(agents as f64),
        count(window.rows as f64),
        rate_shown,
        p99_shown,
        format!("{} MB", window.kilobytes >> 10),
    ]
}
