//! An agent's steps lead back from the last one, also in a journal that an older version wrote.

use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_observer::{
    AgentHistory, AgentStep, Filter, Journal, JournalError, Readers, Retention, SideWrite,
    WriteBatch,
};

use life_agent_observer_sqlite::SqliteFile;

use crate::support::{Folder, agent, entry, fill, snapshot, state_hash, step, write};

/// The snapshot's row and those of the steps since.
async fn past(
    journal: &Journal,
    name: &'static str,
) -> Result<(Option<u64>, Vec<u64>), JournalError> {
    let AgentHistory { snapshot, steps, .. } =
        journal.read_with(move |reader| reader.agent_history(name)).await?;
    let steps = steps.iter().map(|row| row.id).collect();
    Ok((snapshot.map(|snapshot| snapshot.event_id), steps))
}

/// Agents with a snapshot and steps after it, with nothing but a snapshot, and with nothing but steps.
async fn three_agents(journal: &Journal) {
    write(journal, WriteBatch { snapshot: Some(snapshot(1)), ..step("both", 1) }).await.unwrap();
    write(journal, WriteBatch { snapshot: Some(snapshot(1)), ..step("covered", 1) }).await.unwrap();
    for version in 2..=4 {
        write(journal, step("both", version)).await.unwrap();
        write(journal, step("bare", version - 1)).await.unwrap();
        fill(journal, 600).await;
    }
}

#[tokio::test]
async fn steps_of_one_commit_and_of_one_piece_of_work_follow_each_other() {
    let folder = Folder::new();
    let journal = folder.open();
    let mut queued = Vec::new();
    for version in 1..=6 {
        let turn = entry(EventKind::Turn, Some("a"), "{}");
        let denied = entry(EventKind::Denied, Some("a"), "{}");
        let act = entry(EventKind::Act, Some("a"), "{}");
        let version = 2 * version;
        let work = WriteBatch {
            entries: vec![turn, denied, act],
            step: Some(AgentStep {
                version,
                turns: version / 2,
                state_hash: state_hash(version),
                from: None,
            }),
            snapshot: (version == 6).then(|| snapshot(version)),
            ..WriteBatch::default()
        };
        queued.push(journal.append(work).unwrap());
    }
    for step in queued {
        step.await.unwrap();
    }
    assert_eq!(past(&journal, "a").await, Ok((Some(9), vec![10, 12, 13, 15, 16, 18])));
    assert_eq!(past(&journal, "nobody").await, Ok((None, vec![])));
}

#[tokio::test]
async fn what_an_agent_did_lately_comes_oldest_first() {
    let folder = Folder::new();
    let journal = folder.open();
    for n in 1..=9 {
        for name in ["a", "b"] {
            let turn = entry(EventKind::Turn, Some(name), "{}");
            write(&journal, step(name, 2 * n - 1)).await.unwrap();
            write(&journal, WriteBatch::of(entry(EventKind::Denied, Some(name), "{}")))
                .await
                .unwrap();
            write(&journal, WriteBatch { step: step(name, 2 * n).step, ..WriteBatch::of(turn) })
                .await
                .unwrap();
        }
    }
    let ids = |rows: Vec<Row>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    let lately =
        |name, limit| journal.read_with(move |reader| Ok(ids(reader.recent_events(name, limit)?)));
    assert_eq!(lately("a", 5).await.unwrap(), [44, 45, 49, 50, 51]);
    assert_eq!(lately("b", 1000).await.unwrap().len(), 27);
    assert!(lately("nobody", 5).await.unwrap().is_empty());
    let turns = |limit| journal.read_with(move |reader| Ok(ids(reader.recent_turns("a", limit)?)));
    assert_eq!(turns(3).await.unwrap(), [39, 45, 51]);
    assert_eq!(turns(1000).await.unwrap().len(), 9);
    assert!(turns(0).await.unwrap().is_empty());

    // Retention takes the older ones.
    for (name, version) in [("a", 18), ("b", 18)] {
        let extra = vec![SideWrite::Snapshot(agent(name), snapshot(version))];
        write(&journal, WriteBatch::side(extra)).await.unwrap();
    }
    journal.prune(Retention::Rows(6)).await.unwrap();
    assert_eq!(lately("a", 1000).await.unwrap(), [49, 50, 51]);
}

#[tokio::test]
async fn a_page_of_an_agent_ends_after_a_while_and_says_where_to_go_on() {
    let folder = Folder::new();
    let journal = folder.open();
    for version in 1..=3 {
        write(&journal, step("a", version)).await.unwrap();
    }
    journal.close().await.unwrap();
    // As if others had taken millions of steps between the last two.
    folder.sql().execute("UPDATE journal SET id = 5000000 WHERE id = 3", []).unwrap();
    let file = folder.file();
    let (mut next, mut pages) = (Some(0), vec![]);
    while let Some(after) = next {
        let filter = Filter::new(None, Some(agent("a"))).unwrap();
        let page = file.view().unwrap().page(after, 10, &filter).unwrap();
        pages.push(page.rows.iter().map(|row| row.id).collect::<Vec<_>>());
        next = page.next;
    }
    assert_eq!(pages, [vec![1, 2], vec![], vec![5_000_000]]);
}

#[tokio::test]
async fn a_journal_of_the_schema_before_goes_on_where_its_agents_stood() {
    let folder = Folder::new();
    let journal = folder.open();
    three_agents(&journal).await;
    let agents = ["both", "covered", "bare"];
    let mut before = vec![];
    for agent in agents {
        before.push(past(&journal, agent).await.unwrap());
    }
    assert_eq!(before[0], (Some(1), vec![3, 605, 1207]));
    assert_eq!(before[2], (None, vec![4, 606, 1208]));
    journal.close().await.unwrap();
    let older = "DROP INDEX events_agent;
        DROP INDEX events_denied;
        ALTER TABLE events DROP COLUMN prev_step;
        ALTER TABLE agents DROP COLUMN first_open;
        ALTER TABLE agents DROP COLUMN state_hash;
        ALTER TABLE jobs DROP COLUMN owner;
        ALTER TABLE jobs DROP COLUMN lease_until;
        CREATE INDEX events_agent ON events (agent_id, kind, id) WHERE agent_id IS NOT NULL;
        PRAGMA user_version = 3;";
    folder.downgrade_to_5().execute_batch(older).unwrap();
    let refused = SqliteFile::open(&folder.db).err().unwrap().to_string();
    assert!(refused.contains("start the service on it once"), "{refused}");

    let journal = folder.open();
    for (agent, before) in agents.into_iter().zip(&before) {
        assert_eq!(past(&journal, agent).await.as_ref(), Ok(before), "{agent}");
    }
    let upto = journal.prunable(Retention::Rows(1)).await.unwrap();
    let mut open = journal.uncovered_agents(upto, 10).await.unwrap();
    open.sort();
    assert_eq!(open, ["bare", "both"]);
    for (agent, version) in [("both", 5), ("covered", 2), ("bare", 4)] {
        let id = write(&journal, step(agent, version)).await.unwrap();
        assert_eq!(past(&journal, agent).await.unwrap().1.last(), Some(&id));
    }
    journal.close().await.unwrap();
    assert_eq!(folder.whole().rows, 1811);
}

#[tokio::test]
async fn steps_that_do_not_lead_back_are_not_gone_on_from() {
    for (put, row) in [
        ("UPDATE journal SET prev_step = NULL WHERE id = 605", 605),
        ("UPDATE journal SET prev_step = 605 WHERE id = 605", 605),
        ("UPDATE journal SET prev_step = 1207 WHERE id = 3", 3),
        ("UPDATE journal SET prev_step = 4 WHERE id = 605", 4),
        ("UPDATE journal SET prev_step = 100 WHERE id = 605", 100),
        ("DELETE FROM journal WHERE id = 605", 605),
    ] {
        let folder = Folder::new();
        let journal = folder.open();
        three_agents(&journal).await;
        folder.sql().execute_batch(put).unwrap();
        let error = past(&journal, "both").await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("row {row} is missing or is not one of them")),
            "{put}: {error}"
        );
        assert!(past(&journal, "bare").await.is_ok());
    }
}
