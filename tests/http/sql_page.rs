//! `docs/sql.md`: every query runs, and the page lists every column of every view with its type

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::support::TestApp;
use crate::support::snippets::{blocks, page};

/// A journal with a request of every kind that needs no model.
async fn lived_in() -> TestApp {
    let app = TestApp::start().await;
    app.act("hero", "rest").await;
    app.turn("hero", "look around").await;
    app.post("/turn", &json!({"agent_id": "hero", "input": "cat ../../../../etc/passwd"})).await;
    let plan = json!({"intent": "write it down", "context": "", "target_paths": ["plans/a.md"]});
    app.post("/plan", &plan).await.ok();
    let call = json!({"agent_id": "hero", "tool": "Read", "session_id": "s-1",
        "arguments": {"file_path": "README.md"}});
    app.post("/tool", &call).await.ok();
    app.post("/kill-switch", &json!({"on": true, "reason": "drill"})).await.ok();
    app.post("/kill-switch", &json!({"on": false, "reason": "over"})).await.ok();
    app
}

fn reader(app: &TestApp) -> Connection {
    let path = app.folder().join("agent.db");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// The columns that the page lists for each view, with their types.
fn listed(text: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut views = BTreeMap::new();
    for section in text.split("\n## `").skip(1) {
        let (view, rest) = section.split_once('`').unwrap();
        let columns = rest.lines().filter_map(|line| line.strip_prefix("| `"));
        let columns = columns.map(|line| {
            let (name, rest) = line.split_once("` | ").unwrap();
            (name.to_owned(), rest.split(' ').next().unwrap().to_owned())
        });
        views.insert(view.to_owned(), columns.collect());
    }
    views
}

#[tokio::test]
async fn the_page_lists_the_columns_and_types_of_every_view() {
    let app = lived_in().await;
    let db = reader(&app);
    let views = listed(&page("docs/sql.md"));
    let names: Vec<_> = views.keys().map(String::as_str).collect();
    assert_eq!(names, ["actions", "events", "llm_usage", "proposals"]);
    for (view, columns) in &views {
        let mut statement = db.prepare(&format!("SELECT * FROM {view}")).unwrap();
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let expected: Vec<_> = columns.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, expected, "{view}");
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for (at, (name, declared)) in columns.iter().enumerate() {
                let found = match row.get_ref(at).unwrap() {
                    ValueRef::Null => continue,
                    ValueRef::Integer(_) => "integer",
                    ValueRef::Real(_) => "real",
                    ValueRef::Text(_) => "text",
                    ValueRef::Blob(_) => "blob",
                };
                assert_eq!(found, declared, "{view}.{name}");
            }
        }
    }
}

#[tokio::test]
async fn every_query_of_the_page_runs() {
    let app = lived_in().await;
    let db = reader(&app);
    let mut queries = 0;
    let mut results = BTreeMap::new();
    for block in blocks(&page("docs/sql.md")).iter().filter(|block| block.language == "sql") {
        for query in block.text.split(';').map(str::trim).filter(|query| !query.is_empty()) {
            let mut statement = db.prepare(query).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            let mut found = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                let value = |at| match row.get_ref(at).unwrap() {
                    ValueRef::Null => "-".to_owned(),
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Real(number) => number.to_string(),
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    ValueRef::Blob(_) => "blob".to_owned(),
                };
                found.push((0..columns).map(value).collect::<Vec<_>>());
            }
            let title = query.lines().next().unwrap().trim_start_matches("-- ").to_owned();
            results.insert(title, found);
            queries += 1;
        }
    }
    assert_eq!(queries, 7, "the page changed; so must this test");
    assert_eq!(results["The slowest requests of the last hour"].len(), 5);
    let hero = &results["Requests and denials of each agent"][0];
    assert_eq!(hero[..3], ["hero", "4", "1"]);
    assert_eq!(results["The rules that deny most"][0][0], "risk");
    assert_eq!(
        results["Plans that wait for a review"][0][1..],
        ["write it down", r#"["plans/a.md"]"#]
    );
    assert_eq!(results["Who turned the kill switch"][0][2..], ["kill_switch.on", "drill"]);
}

#[tokio::test]
async fn comparisons_with_numbers_mean_what_they_say() {
    let app = lived_in().await;
    let db = reader(&app);
    let count = |condition: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM actions WHERE {condition}");
        db.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("ts > 1700000000 AND ts < 9999999999"), 5);
    for never in ["ts > 9999999999", "latency_ms > 600000", "input_size > 100000", "score > 1"] {
        assert_eq!(count(never), 0, "{never}");
    }
    assert_eq!(count("latency_ms > 0"), 5);
    let outcomes = "SELECT group_concat(outcome) FROM (SELECT outcome FROM actions ORDER BY id)";
    let outcomes: String = db.query_row(outcomes, [], |row| row.get(0)).unwrap();
    assert_eq!(outcomes, "allowed,allowed,denied,allowed,allowed");
    let sizes =
        "SELECT input_size || ',' || output_size FROM actions WHERE action_type = 'turn' AND ok";
    let sizes: String = db.query_row(sizes, [], |row| row.get(0)).unwrap();
    let response = "SELECT json_extract(data, '$.response') FROM actions WHERE kind = 'obs.turn'";
    let response: String = db.query_row(response, [], |row| row.get(0)).unwrap();
    assert_eq!(sizes, format!("{},{}", "look around".len(), response.len()));
    let session = "SELECT session_id || action FROM actions WHERE action_type = 'tool'";
    let session: String = db.query_row(session, [], |row| row.get(0)).unwrap();
    assert_eq!(session, "s-1Read");
}
