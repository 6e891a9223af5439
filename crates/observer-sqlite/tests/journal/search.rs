//! The search index: it finds what the rows hold, and is built again when it is not this journal's.

use std::time::{Duration, Instant};

use life_agent_domain::governance::event::{EventKind, Outcome};
use life_agent_observer::{
    Criteria, Filter, Journal, Options, Readers, Retention, Span, WriteBatch,
};
use life_agent_observer_sqlite::{Sqlite, SqliteOptions};
use rusqlite::{Connection, OpenFlags};

use crate::support::{Folder, agent, entry};

const ROWS: u64 = 1_200;

fn index_of(folder: &Folder) -> std::path::PathBuf {
    folder.dir.path().join("agent.db-search")
}

async fn filled(journal: &Journal) {
    let kinds = [EventKind::Act, EventKind::Denied, EventKind::ToolRequested];
    for n in 0..ROWS {
        let data = format!(
            r#"{{"input":"word{} rare{n}","rule":"r{}","decision":"allow","session_id":"s{}","timing":{{"elapsed_us":{}}}}}"#,
            n % 7,
            n % 4,
            n % 50,
            n * 10
        );
        let name = [Some("a"), None, Some("b"), Some("c")][n as usize % 4];
        let mut entry = entry(kinds[n as usize % 3], name, &data);
        entry.principal = format!("p{}", n % 5);
        entry.request_id = format!("request-{}", n / 2);
        drop(journal.append(WriteBatch::of(entry)).unwrap());
        if n % 500 == 0 {
            journal.barrier().await.unwrap();
        }
    }
    journal.barrier().await.unwrap();
}

/// Fails a test whose index does not get there.
struct Patience(Instant);

impl Patience {
    fn new() -> Self {
        Self(Instant::now() + Duration::from_secs(120))
    }

    #[track_caller]
    fn wait(&self) {
        assert!(Instant::now() < self.0, "the index does not get there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the index holds the row.
fn indexed(folder: &Folder, upto: u64) -> Connection {
    let patience = Patience::new();
    loop {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let found = Connection::open_with_flags(index_of(folder), flags).and_then(|index| {
            let sql = "SELECT upto FROM progress";
            let found = index.query_row(sql, [], |row| row.get::<_, i64>(0))?;
            Ok((found, index))
        });
        match found {
            Ok((found, index)) if found.unsigned_abs() >= upto => return index,
            _ => patience.wait(),
        }
    }
}

fn filters() -> Vec<Filter> {
    let none = Criteria::default;
    let text = |text: &str| Some(text.to_owned());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let searches = [
        Criteria { principal: text("p3"), ..none() },
        Criteria { request_id: text("request-300"), ..none() },
        Criteria { session_id: text("s7"), ..none() },
        Criteria { outcome: Some(Outcome::Denied), rule: text("r2"), ..none() },
        Criteria { outcome: Some(Outcome::Failed), ..none() },
        Criteria { words: words(&["rare1134"]), ..none() },
        Criteria { words: words(&["word3", "c"]), min_elapsed_us: Some(7_345), ..none() },
        Criteria { words: words(&["absent"]), ..none() },
        Criteria { min_elapsed_us: Some(11_500), ..none() },
    ];
    let plain = |kind, name: Option<&str>| Filter::new(kind, name.map(agent)).unwrap();
    let mut filters = Vec::new();
    for criteria in searches {
        filters.push(plain(None, None).with(criteria.clone()));
        filters.push(plain(Some("tool.*"), None).with(criteria.clone()));
        filters.push(plain(None, Some("b")).with(criteria.clone()));
        let own = |agent: Option<&str>, principal: &str| agent == Some("a") || principal == "p1";
        filters.push(plain(Some("obs.*"), None).with(criteria).readable_by(own));
    }
    filters
}

/// The ids of every page of a view.
fn found(readers: &dyn Readers, span: Span, filter: &Filter) -> Vec<u64> {
    let (mut ids, mut span) = (Vec::new(), span);
    loop {
        let page = readers.view().unwrap().rows(span, 64, filter).unwrap();
        ids.extend(page.rows.iter().map(|row| row.id));
        match page.next {
            Some(next) if span.newest_first => span.before = next,
            Some(next) => span.after = next,
            None => return ids,
        }
    }
}

/// Every search finds the same with the index as without.
async fn agrees(folder: &Folder, journal: &Journal) {
    let file = folder.file();
    let spans = [
        Span::after(0),
        Span::before(u64::MAX),
        Span { after: 300, before: 900, newest_first: true },
    ];
    for filter in filters() {
        for span in spans {
            let expected = found(&file, span, &filter);
            assert_eq!(all_rows(journal, span, &filter).await, expected, "{filter:?} {span:?}");
        }
    }
}

/// The ids of all pages. A page may end before it is full: a search compares a limited number of rows.
async fn all_rows(journal: &Journal, mut rest: Span, filter: &Filter) -> Vec<u64> {
    let mut ids = Vec::new();
    loop {
        let page = journal.rows(rest, 64, filter.clone()).await.unwrap();
        ids.extend(page.rows.iter().map(|row| row.id));
        match page.next {
            Some(next) if rest.newest_first => rest.before = next,
            Some(next) => rest.after = next,
            None => return ids,
        }
    }
}

#[tokio::test]
async fn a_search_finds_the_same_with_and_without_the_index() {
    let folder = Folder::new();
    let journal = folder.open();
    filled(&journal).await;
    drop(indexed(&folder, ROWS));
    agrees(&folder, &journal).await;
    let all = journal.page(0, 10_000, Filter::default()).await.unwrap().rows;
    for (since, until) in [(0, 600), (499, 1_001), (1_199, 1_199), (900, 100)] {
        let criteria = Criteria {
            since: Some(all[since].ts.clone()),
            until: Some(all[until].ts.clone()),
            ..Criteria::default()
        };
        let wanted = |row: &&life_agent_domain::governance::event::Row| {
            row.ts >= all[since].ts && row.ts < all[until].ts
        };
        let expected: Vec<_> = all.iter().filter(wanted).map(|row| row.id).collect();
        let filter = Filter::default().with(criteria);
        assert_eq!(all_rows(&journal, Span::after(0), &filter).await, expected, "{since} {until}");
    }
}

#[tokio::test]
async fn a_missing_damaged_or_foreign_index_is_built_again() {
    let other = Folder::new();
    let journal = other.open();
    drop(journal.append(crate::support::plain(1)).unwrap());
    journal.barrier().await.unwrap();
    drop(indexed(&other, 1));
    journal.close().await.unwrap();

    let folder = Folder::new();
    let journal = folder.open();
    filled(&journal).await;
    drop(indexed(&folder, ROWS));
    journal.close().await.unwrap();
    let index = index_of(&folder);
    type Change<'a> = &'a dyn Fn();
    let changes: [Change<'_>; 3] = [
        &|| std::fs::remove_file(&index).unwrap(),
        &|| std::fs::write(&index, "no database").unwrap(),
        &|| assert!(std::fs::copy(index_of(&other), &index).unwrap() > 0),
    ];
    for change in changes {
        change();
        let journal = folder.open();
        // Complete before, during and after.
        agrees(&folder, &journal).await;
        drop(indexed(&folder, ROWS));
        agrees(&folder, &journal).await;
        journal.close().await.unwrap();
    }
}

#[tokio::test]
async fn the_file_of_another_program_is_left_as_it_is() {
    let folder = Folder::new();
    let theirs = Connection::open(index_of(&folder)).unwrap();
    theirs.execute_batch("PRAGMA application_id = 7; CREATE TABLE theirs (x)").unwrap();
    drop(theirs);
    let before = std::fs::read(index_of(&folder)).unwrap();
    let journal = folder.open();
    filled(&journal).await;
    agrees(&folder, &journal).await;
    journal.close().await.unwrap();
    assert_eq!(std::fs::read(index_of(&folder)).unwrap(), before);
}

#[tokio::test]
async fn without_the_option_there_is_no_index() {
    let folder = Folder::new();
    let options = SqliteOptions { search: false, ..SqliteOptions::default() };
    let journal = Journal::open(Sqlite::at(&folder.db).with(options), Options::default()).unwrap();
    filled(&journal).await;
    agrees(&folder, &journal).await;
    journal.close().await.unwrap();
    assert!(!index_of(&folder).exists());
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_user_of_the_service_reads_the_index() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let journal = folder.open();
    filled(&journal).await;
    drop(indexed(&folder, ROWS));
    for end in ["", "-wal"] {
        let path = format!("{}{end}", index_of(&folder).display());
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{end}");
    }
}

#[tokio::test]
async fn the_words_of_removed_rows_leave_the_index() {
    let folder = Folder::new();
    let journal = folder.open();
    filled(&journal).await;
    let index = indexed(&folder, ROWS);
    let count = |word: &str| {
        let sql = "SELECT count(*) FROM part_0 WHERE part_0 MATCH ?1";
        index.query_row(sql, [word], |row| row.get::<_, i64>(0))
    };
    assert_eq!(count("rare900"), Ok(1));
    journal.prune(Retention::Rows(200)).await.unwrap();
    // The table is replaced in one transaction.
    let patience = Patience::new();
    let first = || index.query_row("SELECT first FROM progress", [], |row| row.get::<_, i64>(0));
    while first() != Ok(1_001) {
        patience.wait();
    }
    assert_eq!(count("rare900"), Ok(0));
    assert_eq!(count("rare1199"), Ok(1));
    agrees(&folder, &journal).await;
}
