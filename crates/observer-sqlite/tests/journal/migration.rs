//! Migrated files have the data that preconditions need.

use life_agent_domain::governance::event::EventKind;
use life_agent_observer::{
    AgentStep, AgentVersion, Journal, JournalError, Rejection, StateHash, WriteBatch,
};

use crate::support::{Folder, agent, entry, fill, snapshot, state, state_hash, write};

/// A step whose row states the resulting state hash, as the engine writes it.
fn step(name: &str, version: u64, from: Option<StateHash>) -> WriteBatch {
    let hash = state(version).hash();
    let data = format!(r#"{{"action":"rest","state_version":{version},"state_hash":"{hash}"}}"#);
    WriteBatch {
        step: Some(AgentStep {
            version,
            turns: 0,
            state_hash: state_hash(version),
            from: from.map(|state_hash| AgentVersion { version: version - 1, state_hash }),
        }),
        ..WriteBatch::of(entry(EventKind::Act, Some(name), &data))
    }
}

async fn rejects(journal: &Journal, name: &str, version: u64) {
    let stale = write(journal, step(name, version, Some(state_hash(99)))).await;
    let changed = JournalError::Rejected(Rejection::AgentChanged(agent(name)));
    assert_eq!(stale, Err(changed), "{name}");
}

#[tokio::test]
async fn agents_of_schema_4_are_compared_by_the_state_that_their_rows_or_snapshots_state() {
    let folder = Folder::new();
    let journal = folder.open();
    for version in 1..=3 {
        write(&journal, step("row", version, None)).await.unwrap();
    }
    let covered = WriteBatch { snapshot: Some(snapshot(1)), ..step("snapshot", 1, None) };
    write(&journal, covered).await.unwrap();
    // Neither its row nor a snapshot states a hash.
    write(&journal, crate::support::step("neither", 1)).await.unwrap();
    fill(&journal, 3).await;
    journal.close().await.unwrap();
    let sql = folder.sql();
    let older = "ALTER TABLE agents DROP COLUMN state_hash;
        ALTER TABLE jobs DROP COLUMN owner;
        ALTER TABLE jobs DROP COLUMN lease_until;
        PRAGMA user_version = 4;";
    sql.execute_batch(older).unwrap();
    drop(sql);

    let journal = folder.open();
    rejects(&journal, "row", 4).await;
    write(&journal, step("row", 4, Some(state_hash(3)))).await.unwrap();
    rejects(&journal, "snapshot", 2).await;
    write(&journal, step("snapshot", 2, Some(state_hash(1)))).await.unwrap();
    // Without a known state, the version decides; from the next step on, the state decides.
    write(&journal, step("neither", 2, Some(state_hash(1)))).await.unwrap();
    rejects(&journal, "neither", 3).await;
    journal.close().await.unwrap();
    folder.whole();
}
