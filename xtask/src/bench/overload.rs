//! Four times as many callers as there are places: what the taken ones still get, and how soon it is over.

use std::time::{Duration, Instant};

use super::Scale;
use super::report::{Section, aimed, count, time};
use super::wrk::{Measured, Run};
use crate::load::histogram::Histogram;
use crate::load::server::Server;

/// Places for turns in this measurement; callers ask at once, so four times as many are four times the load.
const PLACES: u64 = 32;
/// How much slower than before the taken ones may become.
const KEPT: f64 = 1.1;

pub(super) fn measure(scale: Scale) -> anyhow::Result<Section> {
    let server = Server::with(&[("MAX_IN_FLIGHT", &PLACES.to_string())])?;
    let run = Run { kind: "turn", agents: 100, connections: PLACES, seconds: scale.seconds };
    Run { seconds: 1, ..run }.on(server.addr)?;
    let (before, began) = (run.on(server.addr)?, server.rows()?);
    let taken_before = turns(&server)?;
    let over = Run { connections: PLACES * 4, ..run }.on(server.addr)?;
    let recovered = until_well(&server)?;
    let taken_over = turns(&server)?;
    let after = run.on(server.addr)?;
    let taken_after = turns(&server)?;
    let (answered, rows) = (server.counted("actions_total{kind=\"turn\"}")?, server.rows()?);
    // One row is the start's and one the first after the crowd; all others are turns. A client that
    // leaves as wrk does at the end of a run may have its last turn on record without an answer.
    let lost = answered + 2.0 - rows as f64;
    anyhow::ensure!(lost <= 0.0, "{lost} answered turns have no row");
    let refused = over.refused / (over.rate * scale.seconds as f64);
    let mut section = Section::new("overload");
    section.line(&format!(
        "`MAX_IN_FLIGHT={PLACES}`, turns, {} s each. Refused ones get 503 `overloaded` with `Retry-After` and \
         ask again at once, which no well-behaved client does. Each turn that the service counted as \
         done has its row ({} rows were added); after the crowd had gone, an act succeeded after {recovered:.1} ms. Percentiles are of \
         the turns that were taken, from the call of the engine to its durable answer.",
        scale.seconds,
        count((rows - began) as f64),
    ));
    let p99_before = taken_before.quantile(0.99);
    let row = |what: &str, measured: Measured, refused: f64, taken: Histogram| {
        let p99 = taken.quantile(0.99);
        vec![
            what.to_owned(),
            count(measured.rate * (1.0 - refused)),
            format!("{:.0}%", refused * 100.0),
            time(taken.quantile(0.5) * 1e6),
            aimed(&time(p99 * 1e6), p99 <= p99_before * KEPT),
            time(measured.p99),
        ]
    };
    section.table(
        &["callers", "turns a second", "refused", "p50", "p99", "p99 at the client, all answers"],
        &[
            row("as many as there are places", before, 0.0, taken_before.clone()),
            row("four times as many", over, refused, taken_over.clone().since(&taken_before)),
            row(
                "as many as there are places, right after",
                after,
                0.0,
                taken_after.since(&taken_over),
            ),
        ],
    );
    section.line(&format!(
        "\nRate right after, against before: {}.",
        aimed(&format!("{:.2}", after.rate / before.rate), after.rate > before.rate * 0.9)
    ));
    Ok(section)
}

fn turns(server: &Server) -> anyhow::Result<Histogram> {
    Histogram::with_label(&server.metrics()?, "act_seconds", "kind=\"turn\"")
}

/// Milliseconds until an act succeeds.
fn until_well(server: &Server) -> anyhow::Result<f64> {
    let begun = Instant::now();
    while server.act().is_err() {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "it never recovers");
    }
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
