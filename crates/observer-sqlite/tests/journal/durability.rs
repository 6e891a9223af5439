//! Confirmed rows are present and in order after any interruption.

use life_agent_domain::governance::event::EventKind;
use life_agent_observer::{Filter, JournalError, Options, Proposal, SideWrite, Usage, WriteBatch};
use serde_json::value::RawValue;

use crate::support::{Folder, agent, entry, fill, ids, plain, snapshot, state, step, write};

#[tokio::test]
async fn answered_rows_survive_a_stop_without_a_close_and_numbers_go_on() {
    let folder = Folder::new();
    let journal = folder.open();
    assert_eq!(journal.head().id, 0);
    let written = journal.append(step("a", 1)).unwrap().await.unwrap();
    assert_eq!((written.id, written.rows.len()), (1, 1));
    drop(journal);

    let journal = folder.open();
    assert_eq!(journal.head().hash, written.rows[0].hash);
    let next = journal.append(step("a", 2)).unwrap().await.unwrap();
    assert_eq!((next.id, &next.rows[0].prev_hash), (2, &written.rows[0].hash));
    drop(journal);
    assert_eq!(folder.whole().rows, 2);
}

#[tokio::test]
async fn dropping_the_journal_still_commits_what_is_queued() {
    let folder = Folder::new();
    let journal = folder.open();
    (1..=2000).for_each(|n| drop(journal.append(plain(n)).unwrap()));
    drop(journal);
    assert_eq!(folder.whole().rows, 2000);
}

#[tokio::test]
async fn a_closed_journal_is_one_file_and_takes_nothing_more() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 10).await;
    ids(&journal, Filter::default(), 5).await;
    let pending = journal.append(plain(11)).unwrap();
    journal.close().await.unwrap();
    assert_eq!(pending.await.unwrap().id, 11);
    journal.close().await.unwrap();
    assert!(matches!(journal.append(plain(12)), Err(JournalError::Closed)));
    assert_eq!(journal.barrier().await, Err(JournalError::Closed));
    assert!(journal.health().await.is_err());
    let log = folder.db.with_extension("db-wal");
    assert_eq!(std::fs::metadata(log).map_or(0, |log| log.len()), 0);
    assert_eq!(folder.whole().rows, 11);
}

#[tokio::test]
async fn the_order_of_calls_is_the_order_of_rows_and_work_is_kept_whole() {
    let folder = Folder::new();
    let journal = folder.open();
    let pending: Vec<_> = (1..=600)
        .map(|n| {
            let mut work = plain(n);
            work.entries.push(entry(EventKind::PlanCreated, None, "{}"));
            journal.append(work).unwrap()
        })
        .collect();
    for (n, pending) in pending.into_iter().enumerate() {
        let rows = pending.await.unwrap().rows;
        assert_eq!(rows[0].data.get(), format!(r#"{{"n":{}}}"#, n + 1));
        assert_eq!((rows[0].id, rows[1].id), (2 * n as u64 + 1, 2 * n as u64 + 2));
    }
    let times = journal.read_with(|reader| reader.page(0, 2000, &Filter::default())).await.unwrap();
    assert!(times.rows.is_sorted_by_key(|row| row.ts.clone()));
    assert!(times.rows.iter().all(|row| row.ts.len() == 27 && row.ts.ends_with('Z')));
}

#[tokio::test]
async fn a_clock_that_was_once_far_ahead_does_not_freeze_the_times_of_rows() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 1).await;
    journal.close().await.unwrap();
    // The row states it, with a valid hash.
    let future = "2999-01-01T00:00:00.000000Z";
    let text = format!("{}\n1\n{future}\ngate.denied\n\nkey\nr-1\n{{\"n\":1}}", "0".repeat(64));
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text));
    folder.sql().execute("UPDATE journal SET ts = ?1, hash = ?2", [future, &hash]).unwrap();
    let journal = folder.open();
    let row = &journal.append(plain(2)).unwrap().await.unwrap().rows[0];
    assert!(row.ts.as_str() < future, "{}", row.ts);
    journal.close().await.unwrap();
    assert_eq!(folder.whole().rows, 2);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_loses_nothing_that_it_took() {
    let folder = Folder::new();
    let journal = folder.open_with(Options { queue: 8, ..Options::default() });
    let blocker = folder.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut taken = vec![];
    let refusal = loop {
        match journal.append(plain(1)) {
            Ok(pending) => taken.push(pending),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, JournalError::Overloaded);
    blocker.execute_batch("ROLLBACK").unwrap();
    assert!(taken.len() >= 8);
    for pending in taken {
        pending.await.unwrap();
    }
}

#[tokio::test]
async fn what_could_spoil_a_group_or_a_stream_is_refused_at_the_door() {
    let folder = Folder::new();
    let journal = folder.open();
    let with = |change: fn(&mut WriteBatch)| {
        let mut work = step("a", 1);
        change(&mut work);
        work
    };
    let data = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let mut pretty = step("a", 1);
    pretty.entries[0].data = data("{\n}");
    let mut list = step("a", 1);
    list.entries[0].data = data("[]");
    let mut huge = step("a", 1);
    huge.entries[0].data = data(&format!(r#"{{"x":"{}"}}"#, "x".repeat(4 << 20)));
    let bad = [
        pretty,
        list,
        huge,
        with(|work| work.entries[0].principal.push('\n')),
        with(|work| work.entries[0].request_id.push('\u{0}')),
        with(|work| work.entries[0].agent = None),
        with(|work| work.entries[0].kind = EventKind::Denied),
        with(|work| work.entries.clear()),
        WriteBatch::side(vec![usage(1)]),
        WriteBatch { snapshot: Some(snapshot(1)), ..plain(1) },
    ];
    for work in bad {
        let shown = format!("{work:?}");
        assert!(matches!(journal.append(work), Err(JournalError::Invalid(_))), "{shown:.200}");
    }
    assert_eq!(journal.head().id, 0);
    assert_eq!(write(&journal, step("a", 1)).await, Ok(1));
}

fn usage(tokens: u64) -> SideWrite {
    let (prompt_tokens, completion_tokens) = (tokens, tokens);
    let model = "m".to_owned();
    SideWrite::Usage(Usage { model, prompt_tokens, completion_tokens, total_tokens: tokens })
}

#[tokio::test]
async fn what_belongs_to_a_row_is_kept_with_it() {
    let folder = Folder::new();
    let journal = folder.open();
    let setting = |value: &str| SideWrite::Setting { key: "k".to_owned(), value: value.to_owned() };
    let proposal = |status: &str| {
        SideWrite::Proposal(Proposal {
            id: "p1".to_owned(),
            status: status.to_owned(),
            intent: "fix".to_owned(),
            artifact: "plans/plan_p1.json".to_owned(),
            data: RawValue::from_string("{}".to_owned()).unwrap(),
        })
    };
    let first = WriteBatch {
        snapshot: Some(snapshot(1)),
        side_writes: vec![setting("1"), usage(u64::MAX), proposal("created")],
        ..step("a", 1)
    };
    write(&journal, first).await.unwrap();
    write(
        &journal,
        WriteBatch { side_writes: vec![setting("2"), proposal("approved")], ..step("a", 2) },
    )
    .await
    .unwrap();
    journal
        .read_with(|reader| {
            let stored = reader.snapshot("a")?.unwrap();
            assert_eq!((stored.event_id, stored.state), (1, state(1)));
            let record = reader.agent("a")?.unwrap();
            assert_eq!((record.state_version, record.turns, record.last_event), (2, 1, 2));
            assert_eq!(reader.agent("b")?, None);
            assert_eq!(reader.setting("k")?.as_deref(), Some("2"));
            assert_eq!(reader.setting("l")?, None);
            let kept = reader.proposal("p1")?.unwrap();
            assert_eq!((kept.event_id, kept.proposal.status.as_str()), (1, "approved"));
            Ok(())
        })
        .await
        .unwrap();
    let sql = folder.sql();
    let action = "SELECT group_concat(agent_id || ':' || action) FROM actions";
    let actions: String = sql.query_row(action, [], |row| row.get(0)).unwrap();
    assert_eq!(actions, "a:rest,a:rest");
    let used =
        "SELECT principal || request_id || agent_id || model || prompt_tokens FROM llm_usage";
    let used: String = sql.query_row(used, [], |row| row.get(0)).unwrap();
    assert_eq!(used, format!("keyr-1am{}", i64::MAX));
}

#[tokio::test]
async fn a_snapshot_of_an_idle_agent_is_kept_only_if_it_is_the_present_state() {
    let folder = Folder::new();
    let journal = folder.open();
    let idle = |version| WriteBatch {
        side_writes: vec![SideWrite::Snapshot(agent("a"), snapshot(version))],
        ..WriteBatch::default()
    };
    let stored =
        || journal.read_with(|reader| Ok(reader.snapshot("a")?.map(|stored| stored.event_id)));
    write(&journal, step("a", 1)).await.unwrap();
    write(&journal, step("a", 2)).await.unwrap();
    write(&journal, plain(3)).await.unwrap();
    assert_eq!(write(&journal, idle(1)).await, Ok(3));
    assert_eq!(stored().await, Ok(None));
    write(&journal, idle(2)).await.unwrap();
    assert_eq!(stored().await, Ok(Some(2)));
}

#[tokio::test]
async fn a_snapshot_that_does_not_fit_its_hash_is_not_gone_on_from() {
    let folder = Folder::new();
    let journal = folder.open();
    write(&journal, WriteBatch { snapshot: Some(snapshot(1)), ..step("a", 1) }).await.unwrap();
    folder.sql().execute("UPDATE snapshots SET state = replace(state, '80', '99')", []).unwrap();
    let stored = journal.read_with(|reader| reader.snapshot("a")).await;
    assert!(matches!(stored, Err(JournalError::Damaged(why)) if why.contains("`a`")));
}
