//! A journal in an embedding program: records a step, reads it, and verifies the chain.
//!
//! `cargo run -p life-agent-observer-sqlite --example journal`

use life_agent_domain::governance::event::{Entry, EventKind};
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::verify::Verdict;
use life_agent_observer::{Filter, Journal, Options, WriteBatch};
use life_agent_observer_sqlite::Sqlite;
use serde_json::json;
use serde_json::value::to_raw_value;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let journal =
        Journal::open(Sqlite::at(std::env::temp_dir().join("example.db")), Options::default())?;
    let mut follower = journal.follow(None, Filter::new(Some("obs.*"), None)?);

    let entry = Entry {
        kind: EventKind::Act,
        agent: Some(AgentId::new("scout")?),
        principal: "example".to_owned(),
        request_id: String::new(),
        data: to_raw_value(&json!({ "action": "explore" }))?,
    };
    // Queued by the first call, durable when the second returns.
    let written = journal.append(WriteBatch::of(entry))?.await?;
    println!("row {} is on the disk", written.id);
    for row in follower.next_batch(10).await? {
        println!("followed: {}", row.line());
    }

    match journal.verify(None).await? {
        Verdict::Whole(whole) => println!("{} rows, head {}", whole.rows, whole.head.hash),
        Verdict::Broken(broken) => println!("{broken}"),
    }
    journal.close().await?;
    Ok(())
}
