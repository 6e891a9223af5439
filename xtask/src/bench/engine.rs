//! `act` in process; the example in `crates/engine` describes what is timed.

use serde::Deserialize;

use super::Scale;
use super::report::{Section, aimed, time};
use super::wrk::middle;
use crate::cargo_output;

#[derive(Deserialize)]
struct Figures {
    calls: u64,
    act_p50_us: f64,
    act_p99_us: f64,
    at_once: u64,
    busy_p50_us: f64,
    busy_p99_us: f64,
    durable_p50_us: f64,
    durable_p99_us: f64,
    journal_thread_us_per_row: f64,
}

pub(super) fn measure(scale: Scale) -> anyhow::Result<Section> {
    let calls = scale.calls.to_string();
    let run = || -> anyhow::Result<Figures> {
        let output = cargo_output(&[
            "run",
            "--quiet",
            "--release",
            "--locked",
            "-p",
            "life-agent-engine",
            "--example",
            "in_process",
            "--",
            &calls,
        ])?;
        Ok(serde_json::from_str(&output)?)
    };
    let runs = (0..scale.runs).map(|_| run()).collect::<anyhow::Result<Vec<_>>>()?;
    let of = |pick: fn(&Figures) -> f64| middle(runs.iter().map(pick).collect());
    let mut section = Section::new("engine");
    let calls = runs.first().map_or(0, |run| run.calls);
    let at_once = runs.first().map_or(0, |run| run.at_once);
    section.line(&format!("Medians of {} runs of {calls} acts each.", scale.runs));
    let (p50, p99) = (of(|run| run.act_p50_us), of(|run| run.act_p99_us));
    let (busy50, busy99) = (of(|run| run.busy_p50_us), of(|run| run.busy_p99_us));
    let row = |what: &str, p50: String, p99: String, wanted: &str| {
        vec![what.to_owned(), p50, p99, wanted.to_owned()]
    };
    section.table(
        &["", "p50", "p99", "target"],
        &[
            row(
                &format!("`act` without the journal thread and the disk, {at_once} in flight"),
                aimed(&time(busy50), busy50 <= 6.0),
                aimed(&time(busy99), busy99 <= 25.0),
                "6 µs, 25 µs",
            ),
            row(
                "the same, sequential",
                aimed(&time(p50), p50 <= 6.0),
                aimed(&time(p99), p99 <= 25.0),
                "6 µs, 25 µs",
            ),
            row(
                "sequential, until durable, one commit each",
                time(of(|run| run.durable_p50_us)),
                time(of(|run| run.durable_p99_us)),
                "",
            ),
            row(
                "mean processor time of the journal thread per row",
                time(of(|run| run.journal_thread_us_per_row)),
                String::new(),
                "",
            ),
        ],
    );
    Ok(section)
}
