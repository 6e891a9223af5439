//! Start, memory and size, and what the older load tools print: a million rows, a thousand subscribers.

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
        anyhow::ensure!(server.is_ready(), "it is not ready after its start");
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
        &["", "measured", "wanted"],
        &[
            row(
                "from the start of the process to the answer of `/readyz`, an empty journal".into(),
                aimed(&format!("{start:.0} ms"), start < 100.0),
                "100 ms",
            ),
            row(
                "to the answer of the first act, which waits for the gates' patterns".into(),
                format!("{act:.0} ms"),
                "",
            ),
            row(
                "resident memory after that, at rest".into(),
                aimed(&megabytes(at_rest.0), at_rest.0 < 30 << 10),
                "30 MB",
            ),
            row("of it not the binary's own pages".into(), megabytes(at_rest.1), ""),
            row(
                format!("resident memory after {} acts of 1,000 agents", count(steps as f64)),
                aimed(&megabytes(after), after < 150 << 10),
                "150 MB",
            ),
            row("the most it was".into(), megabytes(most), ""),
            row("size of the binary".into(), megabytes(bytes >> 10), ""),
        ],
    );
    // These print what they find; `docs/journal.md` has it with what was wanted.
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
