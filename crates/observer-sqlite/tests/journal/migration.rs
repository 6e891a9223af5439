//! Migrated files have the data that preconditions need.

use life_agent_domain::governance::event::EventKind;
use life_agent_observer::{
    AgentStep, AgentVersion, Journal, JournalError, Proposal, Rejection, SideWrite, StateHash,
    Usage, WriteBatch,
};
use serde_json::value::RawValue;

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
    let sql = folder.downgrade_to_5();
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

#[tokio::test]
async fn a_journal_of_schema_5_has_views_and_the_rows_of_its_model_calls() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 2).await;
    let called = |tokens| {
        let chat =
            r#"{"outcome":"answered","model":"m","timing":{"elapsed_us":9000,"model_us":7500}}"#;
        let used = Usage {
            model: "m".to_owned(),
            prompt_tokens: tokens,
            completion_tokens: 1,
            total_tokens: tokens + 1,
        };
        let side_writes = vec![SideWrite::Usage(used)];
        WriteBatch { side_writes, ..WriteBatch::of(entry(EventKind::Chat, None, chat)) }
    };
    for tokens in [3, 5] {
        write(&journal, called(tokens)).await.unwrap();
    }
    let asked = entry(
        EventKind::Plan,
        None,
        r#"{"intent":"i","context":"","target_paths":["plans/a.md"]}"#,
    );
    let plan = Proposal {
        id: "p1".to_owned(),
        status: "created".to_owned(),
        intent: "i".to_owned(),
        artifact: "plans/p1.json".to_owned(),
        data: RawValue::from_string("{}".to_owned()).unwrap(),
    };
    let side_writes = vec![SideWrite::Proposal(plan)];
    write(&journal, WriteBatch { side_writes, ..WriteBatch::of(asked) }).await.unwrap();
    journal.close().await.unwrap();
    drop(folder.downgrade_to_5());

    let journal = folder.open();
    write(&journal, called(7)).await.unwrap();
    let sql = folder.sql();
    let text = |query: &str| sql.query_row(query, [], |row| row.get::<_, String>(0)).unwrap();
    let used =
        "SELECT group_concat(event_id || ':' || prompt_tokens || ':' || latency_ms) FROM llm_usage";
    assert_eq!(text(used), "3:3:7.5,4:5:7.5,6:7:7.5");
    assert_eq!(text("SELECT description || target_files FROM proposals"), r#"i["plans/a.md"]"#);
    assert_eq!(text("SELECT group_concat(DISTINCT typeof(ts)) FROM events"), "real");
    let wrong = "SELECT count(*) || '' FROM actions WHERE ts > 9999999999 OR latency_ms > 9999999";
    assert_eq!(text(wrong), "0", "a number is smaller than a time or a latency");
    journal.close().await.unwrap();
    assert_eq!(folder.whole().rows, 6);
}
