//! Files that cannot serve as a journal are rejected with a sentence and left unchanged.

use life_agent_observer::{Journal, Options};
use life_agent_observer_sqlite::{Sqlite, SqliteFile};
use rusqlite::Connection;

use crate::support::{Folder, bytes, fill};

async fn filled(rows: u64) -> Folder {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, rows).await;
    journal.close().await.unwrap();
    folder
}

/// The service and the audit reject the file with these words, and the file does not change.
#[track_caller]
fn refused(folder: &Folder, words: &str) {
    let before = bytes(&folder.db);
    let refusal = folder.refusal();
    assert!(refusal.contains(words), "{refusal}");
    assert!(refusal.contains("agent.db") && refusal.contains("another"), "{refusal}");
    assert_eq!(bytes(&folder.db), before);
}

#[test]
fn what_is_no_database_is_refused() {
    let folder = Folder::new();
    for content in ["x".to_owned(), "hello ".repeat(2000), "\0".repeat(8192)] {
        std::fs::write(&folder.db, content).unwrap();
        refused(&folder, "not an SQLite database");
        assert!(SqliteFile::open(&folder.db).is_err());
    }
}

#[test]
fn the_database_of_another_program_is_refused() {
    let folder = Folder::new();
    let sql = folder.sql();
    sql.execute_batch("CREATE TABLE events (id INTEGER PRIMARY KEY, data TEXT)").unwrap();
    drop(sql);
    refused(&folder, "belongs to another program (tables: events)");
    folder.sql().execute_batch("PRAGMA journal_mode = WAL").unwrap();
    refused(&folder, "belongs to another program");

    let folder = Folder::new();
    folder.sql().execute_batch("PRAGMA application_id = 7; PRAGMA user_version = 1;").unwrap();
    refused(&folder, "belongs to another program (tables: none)");
}

#[tokio::test]
async fn the_journal_of_a_newer_version_is_refused() {
    let folder = filled(3).await;
    folder.sql().execute_batch("PRAGMA user_version = 99").unwrap();
    refused(&folder, "newer version (schema 99");
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let folder = filled(2000).await;
    let good = bytes(&folder.db);
    std::fs::write(&folder.db, &good[..good.len() / 2]).unwrap();
    refused(&folder, "damaged");
    // A page in the middle with foreign content.
    let mut bad = good.clone();
    let middle = bad.len() / 2 / 4096 * 4096;
    bad[middle..middle + 4096].fill(0x5A);
    std::fs::write(&folder.db, &bad).unwrap();
    refused(&folder, "damaged");
    std::fs::write(&folder.db, &good).unwrap();
    drop(folder.open());
}

#[tokio::test]
async fn a_journal_whose_last_rows_were_changed_or_cut_off_is_refused() {
    let folder = filled(300).await;
    folder.sql().execute("UPDATE journal SET data = '{}' WHERE id = 299", []).unwrap();
    refused(&folder, "row 299 was changed");

    let folder = Folder::new();
    let journal = folder.open();
    journal.append(crate::support::step("a", 1)).unwrap().await.unwrap();
    journal.close().await.unwrap();
    folder.sql().execute("DELETE FROM journal", []).unwrap();
    refused(&folder, "row 1 was removed");
}

#[test]
fn a_second_process_is_refused_until_the_first_has_ended() {
    let folder = Folder::new();
    let journal = folder.open();
    assert!(folder.refusal().contains("another process has it open"));
    // Also under another name of the same file.
    let link = folder.dir.path().join("link.db");
    std::os::unix::fs::symlink(&folder.db, &link).unwrap();
    assert!(Journal::open(Sqlite::at(&link), Options::default()).is_err());
    drop(journal);
    drop(Journal::open(Sqlite::at(&link), Options::default()).unwrap());
}

#[test]
fn places_where_no_file_can_be_are_named() {
    let folder = Folder::new();
    let open = |path: std::path::PathBuf| {
        Journal::open(Sqlite::at(path), Options::default()).err().unwrap().to_string()
    };
    assert!(open(folder.dir.path().to_owned()).contains("it is a folder"));
    assert!(open(folder.dir.path().join("no/such/agent.db")).contains("folder does not exist"));
    assert!(open("".into()).contains("no name"));
    assert!(SqliteFile::open(&folder.db).err().unwrap().to_string().contains("does not exist"));
}

#[test]
fn an_empty_database_becomes_a_journal() {
    let folder = Folder::new();
    std::fs::write(&folder.db, "").unwrap();
    drop(folder.open());
    std::fs::remove_file(&folder.db).unwrap();
    Connection::open(&folder.db).unwrap().execute_batch("VACUUM").unwrap();
    drop(folder.open());
    assert_eq!(folder.whole().rows, 0);
}

#[tokio::test]
async fn a_file_with_a_second_name_is_refused() {
    let folder = filled(3).await;
    let other = folder.dir.path().join("other.db");
    std::fs::hard_link(&folder.db, &other).unwrap();
    refused(&folder, "more than one name");
    std::fs::remove_file(&other).unwrap();
    assert_eq!(folder.whole().rows, 3);
    drop(folder.open());
}

#[tokio::test]
async fn a_file_that_is_open_under_another_path_is_refused() {
    let folder = filled(3).await;
    let journal = folder.open();
    // As a file that is mounted under another name: the lock file is another one, the database is the same.
    std::fs::remove_file(folder.dir.path().join("agent.db.lock")).unwrap();
    let refusal = folder.refusal();
    assert!(refusal.contains("the same file open under another name"), "{refusal}");
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_backup_beside_the_log_of_another_database_is_refused() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 5).await;
    let backup = folder.dir.path().join("backup.db");
    folder.file().backup(&backup).unwrap();
    fill(&journal, 5).await;
    // What a killed service leaves: the database and its log.
    let log = bytes(&folder.dir.path().join("agent.db-wal"));
    journal.close().await.unwrap();
    std::fs::copy(&backup, &folder.db).unwrap();
    std::fs::write(folder.dir.path().join("agent.db-wal"), log).unwrap();
    refused(&folder, "the log of another database lies next to it");
}

#[tokio::test]
async fn a_planted_trigger_is_refused() {
    let folder = filled(3).await;
    let trigger =
        "CREATE TRIGGER t AFTER INSERT ON journal BEGIN DELETE FROM journal WHERE id < new.id; END";
    folder.sql().execute_batch(trigger).unwrap();
    refused(&folder, "a trigger that this service did not create (`t`)");
}

#[tokio::test]
async fn a_journal_that_was_put_back_says_so_when_it_is_opened() {
    let folder = Folder::new();
    let journal = folder.open();
    fill(&journal, 5).await;
    let backup = folder.dir.path().join("backup.db");
    folder.file().backup(&backup).unwrap();
    fill(&journal, 5).await;
    let head = journal.head();
    journal.close().await.unwrap();
    let again = folder.open();
    assert_eq!(again.set_back(), None);
    again.close().await.unwrap();
    std::fs::copy(&backup, &folder.db).unwrap();
    let restored = folder.open();
    assert_eq!(restored.set_back(), Some(&head));
    fill(&restored, 1).await;
    restored.close().await.unwrap();
    // It is said once; who opens it must keep it.
    assert_eq!(folder.open().set_back(), None);
}
