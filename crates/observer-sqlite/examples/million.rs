//! Measures a large journal: `cargo run --release -p life-agent-observer-sqlite --example million [ROWS]`
//!
//! Builds the journal in a temporary folder: a tenth of the rows belongs to one busy agent, the rest to 1,000
//! others; one row in 50 is a denial. Prints the duration of each operation, the worst of several attempts.

use std::time::{Duration, Instant};

use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::event::{Entry, EventKind, Outcome};
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{
    AgentStep, Criteria, Filter, Journal, JournalError, Options, Retention, Snapshot, Span,
    StateHash, WriteBatch,
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
    indexed(&db, rows)?;
    searches(&journal, rows).await?;

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

/// Waits until the search index holds every row.
fn indexed(db: &std::path::Path, rows: u64) -> Result<(), Failed> {
    let started = Instant::now();
    let path = format!("{}-search", db.display());
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let upto = rusqlite::Connection::open(&path)
            .and_then(|index| index.query_row("SELECT upto FROM progress", [], |row| row.get(0)));
        if upto.is_ok_and(|upto: u64| upto >= rows) {
            break;
        }
    }
    let megabytes = std::fs::metadata(&path)?.len() >> 20;
    println!("indexed after {:.1?} more, {megabytes} MB", started.elapsed());
    Ok(())
}

/// Searches in both directions: the first page, and the slowest of all pages up to 200.
async fn searches(journal: &Journal, rows: u64) -> Result<(), Failed> {
    let none = Criteria::default;
    let text = |text: &str| Some(text.to_owned());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let middle = journal.row(rows / 2).await?.map(|row| row.ts);
    let later = journal.row(rows / 2 + 5_000).await?.map(|row| row.ts);
    let quiet = |name: &str| Filter::new(None, AgentId::new(name).ok()).unwrap_or_default();
    let all = Filter::default;
    let request = format!("00000000-0000-0000-0000-{:012}", rows / 3);
    for (name, filter) in [
        ("every row", all()),
        ("principal", all().with(Criteria { principal: text("key"), ..none() })),
        ("request_id", all().with(Criteria { request_id: Some(request), ..none() })),
        ("outcome=denied", all().with(Criteria { outcome: Some(Outcome::Denied), ..none() })),
        ("a frequent word", all().with(Criteria { words: words(&["gate"]), ..none() })),
        ("a rare word", all().with(Criteria { words: words(&["777777"]), ..none() })),
        ("an absent word", all().with(Criteria { words: words(&["dragon"]), ..none() })),
        ("rule", all().with(Criteria { rule: text("no-deploy"), ..none() })),
        ("min_elapsed_us=5000", all().with(Criteria { min_elapsed_us: Some(5_000), ..none() })),
        ("since and until", all().with(Criteria { since: middle.clone(), until: later, ..none() })),
        ("since", all().with(Criteria { since: middle, ..none() })),
        (
            "a quiet agent, denied, two words",
            quiet("quiet-7").with(Criteria {
                outcome: Some(Outcome::Denied),
                words: words(&["look", "gate"]),
                ..none()
            }),
        ),
        (
            "two frequent conditions that exclude each other",
            quiet("busy").with(Criteria { outcome: Some(Outcome::Denied), ..none() }),
        ),
        ("rows of one agent only", all().readable_by(|agent, _| agent == Some("quiet-7"))),
    ] {
        for mut span in [Span::after(0), Span::before(u64::MAX)] {
            let (mut first, mut worst, mut pages, mut found) = (None, Duration::ZERO, 0, 0);
            loop {
                let started = Instant::now();
                let page = journal.rows(span, 100, filter.clone()).await?;
                let took = started.elapsed();
                first = first.or(Some(took));
                worst = worst.max(took);
                (pages, found) = (pages + 1, found + page.rows.len());
                match page.next.filter(|_| pages < 200) {
                    Some(next) if span.newest_first => span.before = next,
                    Some(next) => span.after = next,
                    None => break,
                }
            }
            let order = if span.newest_first { "desc" } else { "asc" };
            println!(
                "{name}, {order}: first page {:.2?}, slowest of {pages} pages {worst:.2?}, {found} rows",
                first.unwrap_or_default()
            );
        }
    }
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
        r#"{{"input":"look at the gate {n}","turn":{{"number":{n},"intent":"explore","action":"explore","roll":11,"bonus":1,"difficulty":8,"outcome":"success","deltas":{{"energy":-5}}}},"response":"Processed: explored.","state_version":{n},"state_hash":"{}","score":0.0,"rule":"{}","timing":{{"gates_us":90,"elapsed_us":{}}}}}"#,
        "5ee3e4f99b9e9237c9c6fe71ef584aa04d71d3718c20210d78f7dbe9cae116d4",
        if kind == EventKind::Denied { "no-deploy" } else { "none" },
        // Most requests are fast, a few slow.
        150 + n * 7919 % 400 + if n.is_multiple_of(997) { 8_000 } else { 0 },
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
