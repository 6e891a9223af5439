//! Export, backup, and the removal of what need not be kept.

use jiff::Timestamp;
use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_observer::verify::{ChainFault, Verdict, verify_pruned};
use life_agent_observer::{
    Filter, Head, Journal, JournalError, PruneReport, Readers, Retention, SideWrite, WriteBatch,
    export,
};
use life_agent_observer_sqlite::SqliteOptions;

use crate::support::{Folder, agent, bytes, entry, fill, ids, plain, snapshot, step, whole, write};

#[tokio::test]
async fn an_export_is_a_line_of_json_for_every_row() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 2500).await;
    // As another process would, while this one serves.
    let file = folder.file();
    let mut out = vec![];
    assert_eq!(export(&file, 100, &mut out).unwrap(), 2400);
    let lines: Vec<serde_json::Value> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.iter().zip(101..).all(|(line, id)| line["id"] == id && line["hash"].is_string()));
    assert_eq!(lines.len(), 2400);

    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    assert!(matches!(export(&file, 0, &mut Full), Err(JournalError::Output(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_while_serving_is_a_whole_journal() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 5000).await;
    let writing = {
        let journal = journal.clone();
        tokio::spawn(async move {
            for n in 0..200 {
                write(&journal, plain(n)).await.unwrap();
            }
        })
    };
    let copy = Folder::new();
    let to = copy.db.clone();
    let file = folder.file();
    let head = tokio::task::spawn_blocking(move || file.backup(&to)).await.unwrap().unwrap();
    writing.await.unwrap();
    assert!(head.id >= 5000);
    let whole = copy.whole();
    assert_eq!(whole.head, head);
    // One file, and one that serves in its turn.
    assert_eq!(std::fs::read_dir(copy.dir.path()).unwrap().count(), 1);
    assert_eq!(write(&copy.open(), plain(1)).await, Ok(head.id + 1));
}

#[tokio::test]
async fn a_backup_never_overwrites_and_leaves_no_half_copy() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 10).await;
    let file = folder.file();
    let taken = folder.dir.path().join("taken");
    std::fs::write(&taken, "mine").unwrap();
    let error = file.backup(&taken).unwrap_err().to_string();
    assert!(error.contains("the file exists already"), "{error}");
    assert_eq!(bytes(&taken), b"mine");
    assert!(file.backup(&folder.dir.path().join("no/such/copy")).is_err());
}

#[tokio::test]
async fn pruning_removes_the_oldest_rows_and_the_rest_still_verifies() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 5000).await;
    let hash = row(&journal, 4900).await.hash;
    let pruned = journal.prune(Retention::Rows(100)).await.unwrap();
    let upto = Head { id: 4900, hash };
    assert_eq!(pruned, PruneReport { upto: Some(upto.clone()), removed: 4900, held_back: false });
    assert_eq!(ids(&journal, Filter::default(), 1000).await, (4901..=5001).collect::<Vec<_>>());
    let declared = row(&journal, 5001).await;
    assert_eq!(declared.kind, "journal.pruned");
    assert!(declared.data.get().contains(&upto.hash));

    let verify = |expect: Option<Head>| journal.verify(expect);
    let found = whole(verify(None).await.unwrap());
    assert_eq!((found.rows, found.pruned), (101, Some(upto.clone())));
    // A head kept elsewhere: one that is still there, the last one that went, and an older one.
    assert!(matches!(verify(Some(journal.head())).await, Ok(Verdict::Whole(_))));
    let Ok(Verdict::Broken(broken)) = verify(Some(upto.clone())).await else {
        panic!("the declaration is newer than the head, and was believed")
    };
    assert_eq!((broken.row, broken.fault), (4900, ChainFault::PrunedSince));
    let view = folder.file();
    let allowed = verify_pruned(&*view.view().unwrap(), Some(&upto), 4900, |_, _| ()).unwrap();
    assert!(matches!(allowed, Verdict::Whole(_)));
    let less = verify_pruned(&*view.view().unwrap(), Some(&upto), 4899, |_, _| ()).unwrap();
    assert!(matches!(less, Verdict::Broken(_)));
    let old = Head { id: 4000, ..upto };
    let Ok(Verdict::Broken(broken)) = verify(Some(old)).await else {
        panic!("compared to nothing")
    };
    assert_eq!(broken.fault, ChainFault::Pruned);

    // Once more, over the first declaration.
    fill(&journal, 10).await;
    journal.prune(Retention::Rows(5)).await.unwrap();
    let nothing = PruneReport { upto: None, removed: 0, held_back: false };
    assert_eq!(journal.prune(Retention::Rows(50)).await.unwrap(), nothing);
    journal.close().await.unwrap();
    assert_eq!(folder.whole().rows, 6);
    let journal = folder.open();
    assert_eq!(write(&journal, plain(1)).await, Ok(5013));
}

#[tokio::test]
async fn rows_that_went_without_a_declaration_or_beyond_it_are_missed() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 20).await;
    journal.prune(Retention::Rows(10)).await.unwrap();
    journal.close().await.unwrap();
    folder.sql().execute("DELETE FROM journal WHERE id <= 12", []).unwrap();
    let Verdict::Broken(broken) = folder.verify(None) else { panic!("taken for whole") };
    assert_eq!((broken.row, broken.fault), (11, ChainFault::Removed));
}

#[tokio::test]
async fn a_removal_that_was_cut_short_verifies_and_is_finished_by_the_next_one() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 100).await;
    let copy = folder.dir.path().join("copy.db");
    folder.file().backup(&copy).unwrap();
    journal.prune(Retention::Rows(10)).await.unwrap();
    journal.close().await.unwrap();
    // Back come the rows that a process killed half-way would have left.
    let sql = folder.sql();
    sql.execute("ATTACH ?1 AS old", [copy.to_str().unwrap()]).unwrap();
    let half = "INSERT INTO journal SELECT * FROM old.journal WHERE id BETWEEN 50 AND 90";
    assert_eq!(sql.execute(half, []).unwrap(), 41);
    drop(sql);
    assert_eq!(folder.whole().rows, 52);
    // One that does not fit what was declared is found all the same.
    let put = |data| folder.sql().execute("UPDATE journal SET data = ?1 WHERE id = 70", [data]);
    put("{}").unwrap();
    assert!(matches!(folder.verify(None), Verdict::Broken(broken) if broken.row == 70));
    put(r#"{"n":70}"#).unwrap();
    let journal = folder.open();
    journal.prune(Retention::Rows(50)).await.unwrap();
    assert_eq!(ids(&journal, Filter::default(), 1000).await, (91..=101).collect::<Vec<_>>());
}

#[tokio::test]
async fn rows_that_an_agents_state_is_built_on_stay_until_it_has_a_snapshot() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 10).await;
    write(&journal, WriteBatch { snapshot: Some(snapshot(1)), ..step("covered", 1) })
        .await
        .unwrap();
    write(&journal, step("bare", 1)).await.unwrap();
    fill(&journal, 10).await;

    let pruned = journal.prune(Retention::Rows(1)).await.unwrap();
    assert!(pruned.held_back && pruned.upto.unwrap().id == 11);
    let blocking = async || {
        let upto = journal.prunable(Retention::Rows(1)).await.unwrap();
        journal.uncovered_agents(upto, 10).await.unwrap()
    };
    assert_eq!(blocking().await, ["bare"]);

    let extra = vec![SideWrite::Snapshot(agent("bare"), snapshot(1))];
    write(&journal, WriteBatch::side(extra)).await.unwrap();
    assert!(blocking().await.is_empty());
    let pruned = journal.prune(Retention::Rows(1)).await.unwrap();
    assert!(!pruned.held_back && pruned.upto.unwrap().id == 22);
    let stored = journal.read_with(|reader| reader.snapshot("bare")).await.unwrap();
    assert_eq!(stored.unwrap().event_id, 12);
    drop(journal);
    drop(folder.open());
}

#[tokio::test]
async fn days_count_from_now() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 50).await;
    let prunable = |keep| journal.prunable(keep);
    assert_eq!(prunable(Retention::Days(1)).await, Ok(0));
    assert_eq!(prunable(Retention::Days(u32::MAX)).await, Ok(0));
    // Everything was recorded more than no days ago; the last row stays to carry the chain on.
    assert_eq!(prunable(Retention::Days(0)).await, Ok(49));
    let old = "UPDATE journal SET ts = '2020-01-01T00:00:00.000000Z' WHERE id <= 20";
    folder.sql().execute(old, []).unwrap();
    assert_eq!(prunable(Retention::Days(30)).await, Ok(20));
}

async fn row(journal: &Journal, id: u64) -> Row {
    let page = journal.read_with(move |reader| reader.page(id - 1, 1, &Filter::default())).await;
    page.unwrap().rows.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_short_without_a_pause_in_the_writing() {
    let folder = Folder::new();
    let journal = folder.open();
    let data = format!(r#"{{"text":"{}"}}"#, "x".repeat(100_000));
    let work = || WriteBatch::of(entry(EventKind::Denied, None, &data));
    let mut queued = std::collections::VecDeque::new();
    for _ in 0..1_500 {
        queued.push_back(journal.append(work()).unwrap());
        if queued.len() > 16 {
            queued.pop_front().unwrap().await.unwrap();
        }
    }
    journal.barrier().await.unwrap();
    // Twice as much has gone through it as it may ever hold.
    let log = std::fs::metadata(folder.db.with_extension("db-wal")).unwrap().len();
    assert!(log < 80 << 20, "{log} bytes");
    journal.close().await.unwrap();
    let files = std::fs::read_dir(folder.dir.path()).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with("-wal")), "{names:?}");
    assert_eq!(folder.whole().rows, 1_500);
}

#[tokio::test]
async fn a_reader_that_stays_keeps_the_log_and_one_that_goes_gives_it_back() {
    let folder = Folder::new();
    // The search index reads at times of its own.
    let journal = folder.open_limited(SqliteOptions { search: false, ..SqliteOptions::default() });
    write(&journal, plain(0)).await.unwrap();
    let sql = folder.sql();
    sql.execute_batch("BEGIN; SELECT count(*) FROM journal").unwrap();
    let data = format!(r#"{{"text":"{}"}}"#, "x".repeat(100_000));
    let work = || WriteBatch::of(entry(EventKind::Denied, None, &data));
    for _ in 0..200 {
        write(&journal, work()).await.unwrap();
    }
    let log = || std::fs::metadata(folder.db.with_extension("db-wal")).unwrap().len();
    assert!(log() > 200 * 100_000, "the reader sees what it saw");
    drop(sql);
    // Checkpoints run beside the writing. Once one has run, the log is written from its start again.
    let mut grows = true;
    for _ in 0..20 {
        let before = log();
        for _ in 0..100 {
            write(&journal, work()).await.unwrap();
        }
        grows = log() > before;
        if !grows {
            break;
        }
    }
    assert!(!grows, "{} bytes", log());
}

#[tokio::test]
async fn the_texts_of_removed_rows_are_overwritten() {
    let folder = Folder::new();
    let journal = folder.open();
    for _ in 0..300 {
        let data = format!(r#"{{"x":"{}"}}"#, "a marker that must go ".repeat(20));
        write(&journal, WriteBatch::of(entry(EventKind::Denied, None, &data))).await.unwrap();
    }
    fill(&journal, 10).await;
    journal.prune(Retention::Rows(5)).await.unwrap();
    journal.close().await.unwrap();
    let holds = |bytes: Vec<u8>| bytes.windows(12).any(|window| window == b"a marker tha");
    assert!(!holds(bytes(&folder.db)), "it is still in the file");
    let backup = folder.dir.path().join("backup.db");
    folder.file().backup(&backup).unwrap();
    assert!(!holds(bytes(&backup)));
}

#[tokio::test]
async fn times_that_jumped_neither_stop_retention_by_days_nor_empty_the_journal() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 8).await;
    journal.close().await.unwrap();
    // Old rows, rows of a clock that was far ahead, and present ones. Retention reads times only.
    let sql = folder.sql();
    sql.execute_batch(
        "UPDATE journal SET ts = '2020-01-01T00:00:00.000000Z' WHERE id <= 3;
         UPDATE journal SET ts = '2046-01-01T00:00:00.000000Z' WHERE id IN (4, 5);
         UPDATE journal SET ts = '2020-02-01T00:00:00.000000Z' WHERE id = 6;",
    )
    .unwrap();
    drop(sql);
    let upto = |folder: &Folder| {
        let file = folder.file();
        let view = file.view().unwrap();
        life_agent_observer::store::prunable(&*view, Retention::Days(30), Timestamp::now()).unwrap()
    };
    assert_eq!(upto(&folder), 6, "the row after the jump is old, so those before it are");
    // A clock that says 1970 for a while: rows before it are not old for that.
    folder
        .sql()
        .execute_batch(
            "UPDATE journal SET ts = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE id <= 6;
             UPDATE journal SET ts = '1970-01-01T00:00:00.000000Z' WHERE id = 7;",
        )
        .unwrap();
    assert_eq!(upto(&folder), 0);
    // A clock that is behind makes every row one of the future.
    folder.sql().execute_batch("UPDATE journal SET ts = '2999-01-01T00:00:00.000000Z'").unwrap();
    assert_eq!(upto(&folder), 0);
}
