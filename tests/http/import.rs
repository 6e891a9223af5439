//! `life-agent import version7`: Version_7's rows in a new journal

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::support::{Refused, Setup};

/// The schema of Version_7.
const SCHEMA: &str = "
    CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, ts REAL NOT NULL, kind TEXT NOT NULL,
        data TEXT NOT NULL);
    CREATE TABLE actions (id INTEGER PRIMARY KEY AUTOINCREMENT, ts REAL NOT NULL, agent_id TEXT NOT NULL,
        action_type TEXT NOT NULL, latency_ms REAL NOT NULL, input_size INTEGER, output_size INTEGER,
        score REAL, meta TEXT);
    CREATE TABLE proposals (id INTEGER PRIMARY KEY AUTOINCREMENT, ts REAL NOT NULL,
        description TEXT NOT NULL, artifact_path TEXT NOT NULL, target_files TEXT, meta TEXT);
    CREATE TABLE llm_usage (id INTEGER PRIMARY KEY AUTOINCREMENT, ts REAL NOT NULL, model TEXT NOT NULL,
        prompt_tokens INTEGER, completion_tokens INTEGER, total_tokens INTEGER, latency_ms REAL, meta TEXT);
";
const TS: f64 = 1_758_286_186.25;
/// In the form of a provider's token.
const SECRET: &str = "ghp_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0";

/// A folder with a Version_7 database: 1,200 events and a few rows of each other table.
fn old() -> Setup {
    let setup = Setup::new();
    let db = Connection::open(setup.folder().join("old.db")).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL;").unwrap();
    db.execute_batch(SCHEMA).unwrap();
    let transaction = db.unchecked_transaction().unwrap();
    for id in 1..=1200 {
        let data = json!({"latency_ms": 0.5, "ok": true, "n": id, "note": format!("key {SECRET}")});
        let data = if id == 7 { "not json".to_owned() } else { data.to_string() };
        let sql = "INSERT INTO events (id, ts, kind, data) VALUES (?1, ?2, 'obs.act', ?3)";
        db.execute(sql, params![id, TS + f64::from(id), data]).unwrap();
    }
    db.execute(
        "INSERT INTO actions VALUES (3, ?1, 'default-agent', 'turn', 1.5, 10, 20, NULL, '{}')",
        [TS],
    )
    .unwrap();
    db.execute(
        "INSERT INTO actions VALUES (4, ?1, 'Jäger im Wald', 'act', 2.5, 1, 2, 0.5, NULL)",
        [TS],
    )
    .unwrap();
    let files = json!(["plans/a.md"]).to_string();
    db.execute(
        "INSERT INTO proposals VALUES (1, ?1, 'ok plan', 'plans/plan_1.json', ?2, '{}')",
        params![TS, files],
    )
    .unwrap();
    db.execute("INSERT INTO llm_usage VALUES (1, ?1, 'llama', 3, 4, 7, 99.5, '{}')", [TS]).unwrap();
    transaction.commit().unwrap();
    drop(db);
    setup
}

async fn run(setup: Setup, arguments: &[&str]) -> (Refused, Setup) {
    let setup = arguments.iter().fold(setup, |setup, argument| setup.flag(argument));
    let ended = setup.refused().await;
    (ended, arguments.iter().fold(setup, |setup, _| setup.without_flag()))
}

#[tokio::test]
async fn every_row_is_imported_once_into_a_valid_journal() {
    let before = |setup: &Setup| std::fs::read(setup.folder().join("old.db")).unwrap();
    let setup = old();
    let source = before(&setup);
    let import = ["import", "version7", "old.db", "--db", "new.db"];
    let (done, setup) = run(setup, &import).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("1204 rows"), "{done:?}");
    assert_eq!(before(&setup), source, "the source was changed");

    let (whole, setup) = run(setup, &["audit", "verify", "--db", "new.db"]).await;
    assert!(whole.stdout.starts_with("intact: 1205 rows"), "{whole:?}");

    let rows: Vec<(u64, String, Option<String>, Value)> = {
        let db = Connection::open(setup.folder().join("new.db")).unwrap();
        let mut all =
            db.prepare("SELECT id, kind, agent_id, data FROM events ORDER BY id").unwrap();
        let row = |row: &rusqlite::Row<'_>| {
            let data: String = row.get(3)?;
            let data = serde_json::from_str(&data).unwrap();
            Ok((row.get::<_, i64>(0)? as u64, row.get(1)?, row.get(2)?, data))
        };
        all.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let of = |kind: &str| rows.iter().filter(|row| row.1 == kind).collect::<Vec<_>>();
    let events = of("imported.event");
    assert_eq!(events.len(), 1200);
    for (row, n) in events.iter().zip(1_u64..) {
        assert_eq!(row.3["source"], json!({"id": n, "ts": TS + n as f64, "kind": "obs.act"}));
    }
    assert_eq!(events[0].3["data"]["latency_ms"], 0.5);
    assert_eq!(events[6].3["data"], "not json");
    let actions = of("imported.action");
    assert_eq!(actions.len(), 2);
    assert_eq!(actions[0].2.as_deref(), Some("default-agent"));
    assert_eq!((&actions[0].3["latency_ms"], &actions[0].3["score"]), (&json!(1.5), &Value::Null));
    // A name that is not a valid agent id stays in the data.
    assert_eq!(
        (actions[1].2.as_deref(), &actions[1].3["agent_id"]),
        (None, &json!("Jäger im Wald"))
    );
    let proposal = &of("imported.proposal")[0].3;
    assert_eq!(proposal["target_files"], json!(["plans/a.md"]));
    assert_eq!(of("imported.llm_usage")[0].3["total_tokens"], 7);
    let end = &rows.last().unwrap();
    assert_eq!(end.1, "imported.database");
    let counts = json!({"events": 1200, "actions": 2, "proposals": 1, "llm_usage": 1});
    assert_eq!(end.3["rows"], counts);
    assert!(!format!("{rows:?}").contains(SECRET), "a credential was imported");
    assert!(events[0].3["data"]["note"].as_str().unwrap().contains("[redacted:"));

    // Again, and after the source was compacted: no row is imported twice.
    Connection::open(setup.folder().join("old.db")).unwrap().execute_batch("VACUUM").unwrap();
    let (again, setup) = run(setup, &import).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stdout.contains("row 1205"), "{again:?}");
    let (whole, setup) = run(setup, &["audit", "verify", "--db", "new.db"]).await;
    assert!(whole.stdout.starts_with("intact: 1205 rows"), "{whole:?}");

    let app = setup.set("DB_PATH", "new.db").start().await;
    let page = app.get("/journal?kind=imported.*&limit=3").await.ok();
    assert_eq!(page["events"][0]["kind"], "imported.event");
    app.act("default-agent", "rest").await;
    assert_eq!(app.state("default-agent").await["version"], 1, "imported rows are no steps");
}

#[tokio::test]
async fn a_file_other_than_a_version7_database_is_refused() {
    let setup = old().file("text.db", "this is no database").file("taken.db", "");
    let other = Connection::open(setup.folder().join("other.db")).unwrap();
    other.execute_batch("CREATE TABLE events (id INTEGER)").unwrap();
    drop(other);
    let view = Connection::open(setup.folder().join("view.db")).unwrap();
    view.execute_batch(
        "CREATE VIEW events AS SELECT 1 AS id, 2.0 AS ts, 'k' AS kind, '{}' AS data",
    )
    .unwrap();
    drop(view);
    let mut setup = setup;
    for file in ["none.db", "text.db", "other.db", "view.db"] {
        let (refused, back) = run(setup, &["import", "version7", file, "--db", "new.db"]).await;
        setup = back;
        assert_eq!(refused.code, Some(2), "{file}: {refused:?}");
        assert!(refused.in_words().contains(file), "{refused:?}");
        assert!(!setup.folder().join("new.db").exists(), "{file}");
    }
    let (refused, setup) = run(setup, &["import", "version7", "old.db", "--db", "taken.db"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let left = std::fs::read_dir(setup.folder()).unwrap();
    let left = left
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".life"));
    assert_eq!(left.count(), 0);
}
