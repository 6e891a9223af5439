//! A process that is killed during writes.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use life_agent_observer::{Journal, Options};
use life_agent_observer_sqlite::Sqlite;

use crate::support::{Folder, plain, write};

const DB: &str = "JOURNAL_TO_WRITE";

/// The process that the test below kills, not a test itself. Prints every confirmed row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_writes_until_it_is_killed() {
    let Ok(db) = std::env::var(DB) else { return };
    let journal = Journal::open(Sqlite::at(Path::new(&db)), Options::default()).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let journal = journal.clone();
        writers.spawn(async move {
            loop {
                println!("answered {}", write(&journal, plain(0)).await.unwrap());
            }
        });
    }
    writers.join_all().await;
}

#[test]
fn a_killed_process_has_lost_no_row_that_it_answered() {
    let folder = Folder::new();
    let mut answered = HashSet::new();
    for round in 1..=6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_that_writes_until_it_is_killed", "--nocapture"])
            .env(DB, &folder.db)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut seen: Vec<String> = lines.by_ref().take(97 * round).collect();
        child.kill().unwrap();
        // Lines in the pipe are confirmed too, except for an incomplete last line.
        seen.extend(lines);
        seen.pop();
        child.wait().unwrap();
        // The test harness prints further lines.
        for id in seen.iter().filter_map(|line| line.split("answered ").nth(1)) {
            assert!(answered.insert(id.parse::<u64>().unwrap()), "row {id} was answered twice");
        }
        drop(folder.open());
        let whole = folder.whole();
        assert_eq!(whole.rows, whole.head.id);
        assert!(answered.iter().all(|id| *id <= whole.head.id));
    }
    assert!(answered.len() > 1000);
}
