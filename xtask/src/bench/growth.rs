//! Rate and latency with a large journal and many agents, compared with a new journal.

use super::Scale;
use super::report::{Section, aimed, count, time};
use super::wrk::{Measured, Run, all_granted, median, ratio};
use crate::load::server::Server;

/// The accepted loss of rate and gain of latency.
const WITHIN: f64 = 0.10;

/// The measurement of one server.
struct Window {
    rows: u64,
    measured: Measured,
    kilobytes: u64,
}

/// The ratios of a server with many rows to a new server; medians over pairs of runs.
struct Change {
    rate: f64,
    p99: f64,
}

pub(super) fn measure(scale: Scale) -> anyhow::Result<Section> {
    let mut section = Section::new("growth");
    section.line(&format!(
        "Turns at 32 connections, {} alternating runs of {} s each on a server with a new journal and on a server \
         whose journal has {} rows. The change is the median over the pairs. With fewer places in memory \
         (`MAX_AGENTS_IN_MEMORY`) than agents, most turns load their agent from the journal.",
        pairs(scale),
        scale.seconds,
        count(scale.rows as f64)
    ));
    let mut rows = Vec::new();
    for (agents, room) in
        [(1_000, None), (scale.agents, None), (scale.agents, Some(scale.agents / 10))]
    {
        let (new, grown, change) = grow(agents, room, scale)?;
        rows.push(shown(agents, room, &new, None));
        rows.push(shown(agents, room, &grown, Some(&change)));
    }
    let head = ["agents", "in memory", "rows", "turns/s", "p99", "resident memory"];
    section.table(&head, &rows);
    Ok(section)
}

/// Twice the usual number, because the expected difference is smaller than the machine's noise.
fn pairs(scale: Scale) -> usize {
    2 * scale.runs
}

/// The measurements of both servers, and the change between them.
fn grow(agents: u64, room: Option<u64>, scale: Scale) -> anyhow::Result<(Window, Window, Change)> {
    let room = room.map(|agents| agents.to_string());
    let settings: Vec<_> =
        room.iter().map(|room| ("MAX_AGENTS_IN_MEMORY", room.as_str())).collect();
    let run = Run { kind: "turn", agents, connections: 32, seconds: scale.seconds, pause: 0 };
    let grown = Server::with(&settings)?;
    while grown.rows()? < scale.rows {
        Run { connections: 128, seconds: 10.min(scale.seconds * 2), ..run }.on(grown.addr)?;
    }
    let new = Server::with(&settings)?;
    // The first seconds allocate pages and fill caches.
    Run { seconds: 2, ..run }.on(new.addr)?;
    let (of_new, of_grown) = run.alternating(new.addr, grown.addr, pairs(scale))?;
    let both = (&of_new[..], &of_grown[..]);
    let change = Change { rate: ratio(both, |run| run.rate), p99: ratio(both, |run| run.p99) };
    Ok((window(&new, &of_new)?, window(&grown, &of_grown)?, change))
}

fn window(server: &Server, runs: &[Measured]) -> anyhow::Result<Window> {
    all_granted("turn", runs)?;
    Ok(Window { rows: server.rows()?, measured: median(runs), kilobytes: server.memory("VmRSS")? })
}

fn shown(agents: u64, room: Option<u64>, window: &Window, change: Option<&Change>) -> Vec<String> {
    let Measured { rate, p99, .. } = window.measured;
    let (mut rate, mut p99) = (count(rate), time(p99));
    if let Some(change) = change {
        let percent = |ratio: f64| format!("{:+.0}%", (ratio - 1.0) * 100.0);
        let kept = change.rate >= 1.0 - WITHIN;
        rate = aimed(&format!("{rate} ({})", percent(change.rate)), kept);
        let kept = change.p99 <= 1.0 + WITHIN;
        p99 = aimed(&format!("{p99} ({})", percent(change.p99)), kept);
    }
    vec![
        count(agents as f64),
        room.map_or_else(|| "all".to_owned(), |room| count(room as f64)),
        count(window.rows as f64),
        rate,
        p99,
        format!("{} MB", window.kilobytes >> 10),
    ]
}
