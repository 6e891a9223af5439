//! Start, memory and size, and the load tools for a million rows and a thousand subscribers.

use std::time::Instant;

use super::Scale;
use super::report::{Section, aimed, count};
use super::wrk::{Run, middle};
use crate::load::server::Server;
use crate::{cargo, root};

pub(super) fn measure(scale: Scale) -> anyhow::Result<Section> {
    let (mut starts, mut acts) = (Vec::new(), Vec::new());
    let mut at_rest = (0, 0);
    for _ in 0..scale.runs.max(5) {
        let begun = Instant::now();
        let server = Server::start()?;
        anyhow::ensure!(server.is_ready(), "the server is not ready after its start");
        starts.push(begun.elapsed().as_secs_f64() * 1e3);
        server.act()?;
        acts.push(begun.elapsed().as_secs_f64() * 1e3);
        at_rest = (server.memory("VmRSS")?, server.memory("RssAnon")?);
    }
    let server = Server::start()?;
    let run =
        Run { kind: "act", agents: 1_000, connections: 128, seconds: scale.seconds, pause: 0 };
    while server.rows()? < scale.rows {
        run.on(server.addr)?;
    }
    let steps = server.rows()?;
    let (after, most) = (server.memory("VmRSS")?, server.memory("VmHWM")?);
    let bytes = std::fs::metadata(root().join("target/release/life-agent"))?.len();
    let (start, act) = (middle(starts), middle(acts));
    let megabytes = |kilobytes: u64| format!("{:.1} MB", kilobytes as f64 / 1024.0);
    let row = |what: String, value: String, wanted: &str| vec![what, value, wanted.to_owned()];
    let mut section = Section::new("resources");
    section.table(
        &["", "measured", "target"],
        &[
            row(
                "start of the process to the response of `/readyz`, empty journal".into(),
                aimed(&format!("{start:.0} ms"), start < 100.0),
                "100 ms",
            ),
            row(
                "start to the response of the first act, which waits for the patterns".into(),
                format!("{act:.0} ms"),
                "",
            ),
            row(
                "resident memory after that, idle".into(),
                aimed(&megabytes(at_rest.0), at_rest.0 < 30 << 10),
                "30 MB",
            ),
            row("of which anonymous".into(), megabytes(at_rest.1), ""),
            row(
                format!("resident memory after {} acts of 1,000 agents", count(steps as f64)),
                aimed(&megabytes(after), after < 150 << 10),
                "150 MB",
            ),
            row("peak resident memory".into(), megabytes(most), ""),
            row("size of the binary".into(), megabytes(bytes >> 10), ""),
        ],
    );
    // These print their results, which `docs/performance.md` contains.
    let rows = scale.rows.to_string();
    cargo(&[
        "run",
        "--quiet",
        "--release",
        "--locked",
        "-p",
        "life-agent-observer-sqlite",
        "--example",
        "million",
        "--",
        &rows,
    ])?;
    crate::load::subscribers()?;
    Ok(section)
}
