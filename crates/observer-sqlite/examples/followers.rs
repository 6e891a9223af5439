//! Measures live followers: `cargo run --release -p life-agent-observer-sqlite --example followers`
//!
//! 1,000 followers and 500 rows per second for ten seconds. Checks that each follower received every row once and
//! in order, and prints the processor time and the memory per follower.

use std::time::Duration;

use life_agent_domain::governance::event::{Entry, EventKind};
use life_agent_observer::{Filter, Journal, Options, WriteBatch};
use life_agent_observer_sqlite::Sqlite;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const FOLLOWERS: usize = 1_000;
const ROWS: u64 = 5_000;

type Failed = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let journal = Journal::open(Sqlite::at(folder.path().join("agent.db")), Options::default())?;
    let before = status("VmRSS")?;
    let mut watching = JoinSet::new();
    for _ in 0..FOLLOWERS {
        let mut follower = journal.follow(None, Filter::default());
        watching.spawn(async move {
            let (mut next, mut batches, mut bytes) = (1, 0, 0);
            while next <= ROWS {
                for row in follower.next_batch(100).await.ok()? {
                    if row.id != next {
                        return None;
                    }
                    next += 1;
                    bytes += row.line().len();
                }
                batches += 1;
            }
            Some((batches, bytes))
        });
    }
    // Ten rows fifty times a second.
    let mut tick = interval(Duration::from_millis(20));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for n in 0..ROWS {
        if n % 10 == 0 {
            tick.tick().await;
        }
        drop(journal.append(row(n)?)?);
    }
    let (mut whole, mut batches) = (0, 0);
    while let Some(done) = watching.join_next().await {
        if let Some((taken, _)) = done? {
            whole += 1;
            batches += taken;
        }
    }
    println!(
        "{whole} of {FOLLOWERS} followers got all {ROWS} rows, in {} batches each",
        batches / whole.max(1)
    );
    println!("processor time: {:.2} s of 10", processor_seconds()?);
    println!("memory: {} KB for all of it", status("VmHWM")?.saturating_sub(before));
    journal.close().await?;
    Ok(())
}

fn row(n: u64) -> Result<WriteBatch, Failed> {
    let data = format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(400));
    Ok(WriteBatch::of(Entry {
        kind: EventKind::Turn,
        agent: None,
        principal: "key".to_owned(),
        request_id: "r".to_owned(),
        data: RawValue::from_string(data)?,
    }))
}

/// A line of `/proc/self/status`, in KB.
fn status(name: &str) -> Result<u64, Failed> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with(name)).ok_or("no such line")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

/// User and system time of this process, from `/proc/self/stat`, whose ticks are hundredths.
fn processor_seconds() -> Result<f64, Failed> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = text.rsplit(") ").next().ok_or("no fields")?.split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    Ok((ticks(11).ok_or("no user time")? + ticks(12).ok_or("no system time")?) / 100.0)
}
