//! Measures a large journal: `cargo run --release -p life-agent-observer-sqlite --example million [ROWS]`
//!
//! Builds the journal in a temporary folder: a tenth of the rows belongs to one busy agent, the rest to 1,000
//! others; one row in 50 is a denial. Prints the duration of each operation, the worst of several attempts.

use std::time::{Duration, Instant};

use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::event::{Entry, EventKind};
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{
    AgentStep, Filter, Journal, JournalError, Options, Retention, Snapshot, StateHash, WriteBatch,
};
use life_agent_observer_sqlite::{Sqlite, SqliteFile};
use serde_json::value::RawValue;

type Failed = Box<dyn std::error::Error>;

const SNAPSHOT_EVERY: u64 = 200;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |rows| rows.parse())?;
    let folder = tempfile::tempdir()?;
    let db = folder.path().join("agent.db");

    let started = Instant::now();
    let journal = Journal::open(Sqlite::at(&db), Options::default())?;
    build(&journal, rows).await?;
    let took = started.elapsed();
    println!("built {rows} rows in {took:.1?}, {:.0} a second", rows as f64 / took.as_secs_f64());
    journal.close().await?;
    println!("the file has {} MB", std::fs::metadata(&db)?.len() >> 20);

    let started = Instant::now();
    let journal = Journal::open(Sqlite::at(&db), Options::default())?;
    println!("opened in {:.1?}", started.elapsed());

    for (name, kind, agent) in [
        ("any row", None, None),
        ("obs.*", Some("obs.*"), None),
        ("gate.denied", Some("gate.denied"), None),
        ("the busy agent", None, Some("busy")),
        ("the busy agent's denials", Some("gate.denied"), Some("busy")),
        ("a quiet agent", None, Some("quiet-7")),
    ] {
        let filter = Filter::new(kind, agent.map(AgentId::new).transpose()?)?;
        let worst = pages(&journal, rows, filter).await?;
        println!("a page of 100, {name}: at most {worst:.2?}");
    }
    let started = Instant::now();
    let steps = journal.agent_history("busy").await?.steps.len();
    println!(
        "loaded the busy agent from its snapshot and {steps} rows in {:.2?}",
        started.elapsed()
    );

    let started = Instant::now();
    journal.verify(None).await?;
    println!("verified in {:.2?}", started.elapsed());

    let copy = folder.path().join("copy.db");
    let started = Instant::now();
    SqliteFile::open(&db)?.backup(&copy)?;
    println!("backed up in {:.2?}", started.elapsed());

    let started = Instant::now();
    let pruned = journal.prune(Retention::Rows(rows / 2)).await?;
    println!("pruned {} rows in {:.1?}", pruned.removed, started.elapsed());
    journal.close().await?;
    Ok(())
}

async fn build(journal: &Journal, rows: u64) -> Result<(), Failed> {
    let mut versions = std::collections::HashMap::new();
    let mut last = None;
    for n in 0..rows {
        let name = if n % 10 == 0 { "busy".to_owned() } else { format!("quiet-{}", n % 1000) };
        let version: &mut u64 = versions.entry(name.clone()).or_default();
        let work = if name != "busy" && n % 49 == 0 {
            WriteBatch::of(entry(EventKind::Denied, &name, n)?)
        } else {
            *version += 1;
            let state = AgentState { version: *version, ..AgentState::initial(42) };
            let hash = state.hash();
            let due = version.is_multiple_of(SNAPSHOT_EVERY) || *version == 1;
            WriteBatch {
                step: Some(AgentStep {
                    version: *version,
                    turns: *version,
                    state_hash: StateHash::from_hex(&hash),
                    from: None,
                }),
                snapshot: due.then(|| Snapshot::of(&state, &hash)),
                ..WriteBatch::of(entry(EventKind::Turn, &name, n)?)
            }
        };
        last = Some(journal.append(work)?);
        if n % 4096 == 0 {
            journal.barrier().await?;
        }
    }
    if let Some(last) = last {
        last.await?;
    }
    Ok(())
}

fn entry(kind: EventKind, agent: &str, n: u64) -> Result<Entry, Failed> {
    let data = format!(
        r#"{{"input":"look at the gate {n}","turn":{{"number":{n},"intent":"explore","action":"explore","roll":11,"bonus":1,"difficulty":8,"outcome":"success","deltas":{{"energy":-5}}}},"response":"Processed: explored.","state_version":{n},"state_hash":"{}","score":0.0}}"#,
        "5ee3e4f99b9e9237c9c6fe71ef584aa04d71d3718c20210d78f7dbe9cae116d4"
    );
    Ok(Entry {
        kind,
        agent: Some(AgentId::new(agent)?),
        principal: "key".to_owned(),
        request_id: format!("00000000-0000-0000-0000-{n:012}"),
        data: RawValue::from_string(data)?,
    })
}

async fn pages(journal: &Journal, rows: u64, filter: Filter) -> Result<Duration, JournalError> {
    let mut worst = Duration::ZERO;
    for place in 0..20 {
        let (after, filter) = (rows / 20 * place, filter.clone());
        let started = Instant::now();
        journal.page(after, 100, filter).await?;
        worst = worst.max(started.elapsed());
    }
    Ok(worst)
}
