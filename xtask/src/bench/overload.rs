//! Four times as many callers as places: latency of the accepted turns, and recovery afterward.

use std::time::{Duration, Instant};

use super::Scale;
use super::report::{Section, aimed, count, time};
use super::wrk::{Measured, Run};
use crate::load::histogram::Histogram;
use crate::load::server::Server;

/// Places for turns in this measurement.
const PLACES: u64 = 32;
/// The accepted growth of the p99 of accepted turns.
const KEPT: f64 = 1.1;

/// A number of callers, and their behavior after a refusal.
struct Crowd {
    what: &'static str,
    callers: u64,
    /// Milliseconds before a refused caller tries again.
    pause: u64,
}

const CROWDS: [Crowd; 4] = [
    Crowd { what: "as many as places", callers: PLACES, pause: 0 },
    Crowd { what: "four times as many, retry after 100 ms", callers: PLACES * 4, pause: 100 },
    Crowd { what: "four times as many, immediate retry", callers: PLACES * 4, pause: 0 },
    Crowd { what: "as many as places, immediately afterward", callers: PLACES, pause: 0 },
];

/// The measurement of a crowd.
struct Served {
    measured: Measured,
    /// Seconds of the accepted turns.
    taken: Histogram,
    /// Milliseconds until an act succeeds after the crowd has left.
    well_after: f64,
}

pub(super) fn measure(scale: Scale) -> anyhow::Result<Section> {
    let server = Server::with(&[("MAX_IN_FLIGHT", &PLACES.to_string())])?;
    let run =
        Run { kind: "turn", agents: 100, connections: PLACES, seconds: scale.seconds, pause: 0 };
    Run { seconds: 1, ..run }.on(server.addr)?;
    let began = server.rows()?;
    let serve = |crowd: &Crowd| -> anyhow::Result<Served> {
        let before = turns(&server)?;
        let run = Run { connections: crowd.callers, pause: crowd.pause, ..run };
        let measured = run.on(server.addr)?;
        let well_after = until_well(&server)?;
        Ok(Served { measured, taken: turns(&server)?.since(&before), well_after })
    };
    let served = CROWDS.iter().map(serve).collect::<anyhow::Result<Vec<_>>>()?;
    let (answered, rows) =
        (server.counted("actions_total{kind=\"turn\",outcome=\"allowed\"}")?, server.rows()?);
    // One row is the start, one per crowd is the first act after it, and all others are turns. wrk disconnects at
    // the end of a run, so its last turns can be recorded without a response.
    let lost = answered + 1.0 + CROWDS.len() as f64 - rows as f64;
    anyhow::ensure!(lost <= 0.0, "{lost} confirmed turns have no row");
    let mut section = Section::new("overload");
    let slowest = served.iter().map(|served| served.well_after).fold(0.0, f64::max);
    section.line(&format!(
        "`MAX_IN_FLIGHT={PLACES}`, turns, {} s each. Every completed turn has its row ({} rows). After a crowd left, \
         an act succeeded within {slowest:.1} ms. The percentiles cover accepted turns, from the call of the engine \
         to the durable response.",
        scale.seconds,
        count((rows - began) as f64),
    ));
    let usual = served.first().map_or(0.0, |served| served.taken.quantile(0.99));
    let rows: Vec<_> = CROWDS
        .iter()
        .zip(&served)
        .map(|(crowd, served)| row(crowd, served, usual, scale))
        .collect();
    section.table(
        &["callers", "turns/s", "refused", "p50", "p99", "p99 at the client, all responses"],
        &rows,
    );
    if let (Some(before), Some(after)) = (served.first(), served.last()) {
        let kept = after.measured.rate / before.measured.rate;
        let shown = aimed(&format!("{kept:.2}"), kept > 0.9);
        section.line(&format!("\nRate afterward relative to before: {shown}."));
    }
    Ok(section)
}

fn row(crowd: &Crowd, served: &Served, usual_p99: f64, scale: Scale) -> Vec<String> {
    let Served { measured, taken, .. } = served;
    let refused = measured.refused / (measured.rate * scale.seconds as f64);
    let p99 = taken.quantile(0.99);
    vec![
        crowd.what.to_owned(),
        count(measured.rate * (1.0 - refused)),
        format!("{:.0}%", refused * 100.0),
        time(taken.quantile(0.5) * 1e6),
        aimed(&time(p99 * 1e6), p99 <= usual_p99 * KEPT),
        time(measured.p99),
    ]
}

fn turns(server: &Server) -> anyhow::Result<Histogram> {
    Histogram::with_label(&server.metrics()?, "act_seconds", "kind=\"turn\",outcome=\"allowed\"")
}

/// Milliseconds until an act succeeds.
fn until_well(server: &Server) -> anyhow::Result<f64> {
    let begun = Instant::now();
    while server.act().is_err() {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "the service does not recover");
    }
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
