//! A disk that is full, and what is left when there is room again.

use std::path::Path;
use std::process::Command;

use life_agent_observer::verify::verify;
use life_agent_observer::{Filter, Journal, JournalError, Options, Readers, WriteBatch};
use life_agent_observer_sqlite::{PageLimit, Sqlite, SqliteFile, SqliteOptions};

use crate::support::{Folder, entry, ids, plain, step, whole, write};
use life_agent_domain::governance::event::EventKind;

/// A row too large to fit where there is still room.
fn large() -> WriteBatch {
    let data = format!(r#"{{"x":"{}"}}"#, "x".repeat(400_000));
    WriteBatch::of(entry(EventKind::Denied, None, &data))
}

#[tokio::test]
async fn when_the_disk_is_full_nothing_is_kept_and_with_room_it_goes_on_by_itself() {
    let folder = Folder::new();
    let limit = PageLimit::default();
    let options = SqliteOptions { page_limit: limit.clone(), ..SqliteOptions::default() };
    let journal = folder.open_limited(options);
    write(&journal, step("a", 1)).await.unwrap();
    let (head, epoch) = (journal.head(), journal.epoch());

    limit.set(1);
    let failed = write(&journal, large()).await;
    assert_eq!(failed, Err(JournalError::unavailable("the disk is full")));
    assert_eq!(journal.epoch(), epoch + 1);
    assert_eq!(journal.health().await, Err("the disk is full".to_owned()));
    assert_eq!(journal.epoch(), epoch + 1, "a probe loses nobody's rows");
    assert_eq!(journal.head(), head);
    // Reading goes on meanwhile.
    assert_eq!(ids(&journal, Filter::default(), 10).await, [1]);

    limit.set(0);
    assert_eq!(journal.health().await, Ok(()));
    assert_eq!(write(&journal, large()).await, Ok(2));
    assert_eq!(write(&journal, step("a", 2)).await, Ok(3));
    assert_eq!(journal.read_with(|reader| reader.setting("journal.probe")).await, Ok(None));
    drop(journal);
    assert_eq!(folder.whole().rows, 3);
}

#[tokio::test]
async fn work_that_builds_on_lost_rows_is_refused_and_other_work_is_not() {
    let folder = Folder::new();
    let limit = PageLimit::default();
    let journal = folder
        .open_limited(SqliteOptions { page_limit: limit.clone(), ..SqliteOptions::default() });
    write(&journal, plain(1)).await.unwrap();
    let epoch = Some(journal.epoch());

    // All of this is queued before the first commit can have failed: the writer waits for a lock.
    let blocker = folder.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    limit.set(1);
    let first = journal.append(WriteBatch { epoch, ..step("a", 1) }).unwrap();
    let lost = journal.append(large()).unwrap();
    let filler: Vec<_> = (0..600).map(|n| journal.append(plain(n)).unwrap()).collect();
    blocker.execute_batch("ROLLBACK").unwrap();
    assert!(lost.await.is_err());
    let kept = first.await.is_ok();
    limit.set(0);
    for pending in filler {
        let _ = pending.await;
    }

    let stale = write(&journal, WriteBatch { epoch, ..step("a", 2) }).await;
    assert!(matches!(stale, Err(JournalError::Unavailable(why)) if why.contains("try again")));
    // Without an epoch, or with today's, it is taken.
    write(&journal, plain(2)).await.unwrap();
    let version = 1 + u64::from(kept);
    let fresh = WriteBatch { epoch: Some(journal.epoch()), ..step("a", version) };
    write(&journal, fresh).await.unwrap();
    drop(journal);
    folder.whole();
}

#[tokio::test]
async fn a_group_fails_as_a_whole() {
    let folder = Folder::new();
    let limit = PageLimit::default();
    let journal = folder
        .open_limited(SqliteOptions { page_limit: limit.clone(), ..SqliteOptions::default() });
    write(&journal, plain(1)).await.unwrap();
    let blocker = folder.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The writer takes this one and waits; the others gather behind it.
    let first = journal.append(plain(2)).unwrap();
    limit.set(1);
    let mut work = step("a", 1);
    work.entries.extend(large().entries);
    let together = journal.append(work).unwrap();
    blocker.execute_batch("ROLLBACK").unwrap();
    let kept = first.await.is_ok();
    assert!(together.await.is_err());
    // Not even the small first half of the work is there.
    assert_eq!(journal.head().id, 1 + u64::from(kept));
    assert_eq!(journal.read_with(|reader| reader.agent("a")).await, Ok(None));
}

#[tokio::test]
async fn a_file_that_vanishes_is_not_replaced_by_an_empty_one() {
    let folder = Folder::new();
    let limit = PageLimit::default();
    let journal = folder
        .open_limited(SqliteOptions { page_limit: limit.clone(), ..SqliteOptions::default() });
    write(&journal, plain(1)).await.unwrap();
    std::fs::remove_file(&folder.db).unwrap();
    limit.set(1);
    write(&journal, large()).await.unwrap_err();
    limit.set(0);
    assert_lost(&journal, "removed").await;
    assert!(!folder.db.exists());
}

/// Nothing is written or read any longer, and the condition says why; within a second.
async fn assert_lost(journal: &Journal, words: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(1);
    while journal.health().await.is_ok() {
        assert!(std::time::Instant::now() < deadline, "not noticed within a second");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let why = journal.health().await.unwrap_err();
    assert!(why.contains(words), "{why}");
    let failed = write(journal, plain(9)).await;
    assert!(matches!(&failed, Err(JournalError::Unavailable(_))), "{failed:?}");
    assert!(journal.row(1).await.is_err(), "a reader must not serve from a lost file either");
}

#[tokio::test]
async fn a_file_that_is_moved_away_is_noticed_and_taken_again_once_it_is_back() {
    let folder = Folder::new();
    let journal = folder.open();
    write(&journal, plain(1)).await.unwrap();
    let away = folder.dir.path().join("away.db");
    std::fs::rename(&folder.db, &away).unwrap();
    assert_lost(&journal, "moved").await;
    std::fs::rename(&away, &folder.db).unwrap();
    assert_eq!(journal.health().await, Ok(()));
    assert_eq!(write(&journal, plain(2)).await, Ok(2));
    journal.close().await.unwrap();
    assert_eq!(folder.whole().rows, 2);
}

#[tokio::test]
async fn a_file_that_another_one_replaces_is_noticed() {
    let folder = Folder::new();
    let journal = folder.open();
    write(&journal, plain(1)).await.unwrap();
    let backup = folder.dir.path().join("backup.db");
    folder.file().backup(&backup).unwrap();
    std::fs::rename(&backup, &folder.db).unwrap();
    assert_lost(&journal, "replaced").await;
}

#[tokio::test]
async fn a_log_that_is_removed_is_noticed() {
    let folder = Folder::new();
    let journal = folder.open();
    write(&journal, plain(1)).await.unwrap();
    assert_eq!(journal.health().await, Ok(()));
    std::fs::remove_file(folder.dir.path().join("agent.db-wal")).unwrap();
    assert_lost(&journal, "log").await;
}

/// A mounted file system of so many bytes, gone when dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_disk_that_is_really_full_behaves_the_same() {
    let dir = tempfile::TempDir::new().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path(), "size=3m") else {
        eprintln!("SKIPPED: no small disk could be mounted here (it takes root)");
        return;
    };
    let db = disk.0.join("agent.db");
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let journal = Journal::open(Sqlite::at(&db), Options::default()).unwrap();
    let mut answered = vec![];
    let why = loop {
        match write(&journal, large()).await {
            Ok(id) => answered.push(id),
            Err(JournalError::Unavailable(why) | JournalError::Unknown(why)) => break why,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(["the disk is full", "the disk reports an error"].contains(&&*why), "{why}");
    assert_eq!(ids(&journal, Filter::default(), 1).await, answered);

    std::fs::remove_file(ballast).unwrap();
    let next = write(&journal, plain(1)).await.unwrap();
    assert_eq!(next, answered.len() as u64 + 1);
    assert_eq!(journal.health().await, Ok(()));
    let verdict = journal.verify(None).await.unwrap();
    assert_eq!(whole(verdict).rows, next);
    journal.close().await.unwrap();
}

#[tokio::test]
async fn on_a_read_only_medium_a_journal_can_be_audited_but_not_served() {
    let dir = tempfile::TempDir::new().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path(), "size=3m") else {
        eprintln!("SKIPPED: no small disk could be mounted here (it takes root)");
        return;
    };
    let db = disk.0.join("agent.db");
    let journal = Journal::open(Sqlite::at(&db), Options::default()).unwrap();
    write(&journal, plain(1)).await.unwrap();
    journal.close().await.unwrap();
    let remount = ["-o", "remount,ro"];
    assert!(Command::new("mount").args(remount).arg(disk.0).status().unwrap().success());

    let file = SqliteFile::open(&db).unwrap();
    assert_eq!(whole(verify(&*file.view().unwrap(), None, |_, _| ()).unwrap()).rows, 1);
    let refused = Journal::open(Sqlite::at(&db), Options::default()).err().unwrap().to_string();
    assert!(refused.contains("its folder cannot be written"), "{refused}");
}
