//! Decisions come from the chain: what somebody writes into the tables beside the rows decides nothing.

use std::process::Command;

use life_agent_groq::testing::Answer as Reply;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::audit::run_json;
use crate::support::{KEY, Setup, TestApp, chat, with_model};

/// Changes the database of a stopped service, as whoever can write the file could.
fn write_into(app: &TestApp, sql: &str) {
    let database = Connection::open(app.folder().join("agent.db")).unwrap();
    database.execute_batch(sql).unwrap();
}

async fn switch(app: &TestApp, on: bool) {
    app.post("/kill-switch", &json!({"on": on, "reason": "incident"})).await.ok();
}

/// The table is named with its fault, although every row is whole.
fn verify_names(app: &TestApp, record: &str) {
    let verdict = run_json(app, 1, &["audit", "verify"]);
    assert_eq!(verdict["verdict"], "broken", "{verdict}");
    let tables = verdict["tables"].as_array().unwrap();
    let named = tables.iter().any(|fault| fault["record"].as_str().unwrap().contains(record));
    assert!(named, "{verdict}");
}

#[tokio::test]
async fn a_kill_switch_that_was_turned_off_in_the_table_stays_on() {
    let mut app = TestApp::start().await;
    switch(&app, true).await;
    app.stop().await;
    write_into(
        &app,
        "UPDATE settings SET value = json_set(value, '$.on', json('false')) WHERE key = 'kill_switch'",
    );
    verify_names(&app, "kill switch");
    app.start_again().await;
    let status = app.get("/kill-switch").await.ok();
    assert_eq!(status["on"], true, "{status}");
    assert!(status["reason"].as_str().unwrap().contains("differs from row"), "{status}");
    app.post("/act", &json!({"agent_id": "a", "action": "rest"})).await.error(503, "kill_switch");
    // An operator who has looked turns it off for good.
    switch(&app, false).await;
    app.restart().await;
    app.act("a", "rest").await;
    assert_eq!(run_json(&app, 0, &["audit", "verify"])["verdict"], "whole");
}

#[tokio::test]
async fn stops_that_were_removed_from_the_table_stop_everything() {
    let mut app = TestApp::start().await;
    let stop = json!({"agent": "a", "on": true, "reason": "it loops"});
    app.post("/stops", &stop).await.ok();
    app.restart().await;
    app.act("b", "rest").await;
    app.post("/act", &json!({"agent_id": "a", "action": "rest"})).await.error(503, "stopped");
    app.stop().await;
    write_into(
        &app,
        "UPDATE settings SET value = '{\"agents\":{},\"principals\":{}}' WHERE key = 'stops'",
    );
    app.start_again().await;
    for agent in ["a", "b"] {
        let act = json!({"agent_id": agent, "action": "rest"});
        let error = app.post("/act", &act).await.error(503, "kill_switch");
        assert!(error["message"].as_str().unwrap().contains("do not match"), "{error}");
    }
    // An operator who has looked sets the stops again.
    app.post("/stops", &stop).await.ok();
    app.act("b", "rest").await;
}

#[tokio::test]
async fn a_restored_backup_starts_with_the_kill_switch_on() {
    let mut app = TestApp::start().await;
    app.act("a", "rest").await;
    assert!(app.command().args(["backup", "early.db"]).output().unwrap().status.success());
    switch(&app, true).await;
    app.stop().await;
    let (folder, backup) = (app.folder(), app.folder().join("early.db"));
    std::fs::copy(backup, folder.join("agent.db")).unwrap();
    app.start_again().await;
    let status = app.get("/kill-switch").await.ok();
    assert_eq!(status["on"], true, "{status}");
    assert!(status["reason"].as_str().unwrap().contains("restored or truncated"), "{status}");
    assert_eq!(app.journal_of("&kind=kill_switch.on").await.len(), 1, "and that is on the record");
    app.restart().await;
    assert_eq!(app.get("/kill-switch").await.ok()["on"], true);
    switch(&app, false).await;
    app.restart().await;
    app.act("a", "rest").await;
}

fn git(app: &TestApp, arguments: &[&str]) {
    let who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
    let git = Command::new("git").args(who).args(arguments).current_dir(app.folder()).output();
    assert!(git.unwrap().status.success(), "{arguments:?}");
}

async fn planned() -> (TestApp, String) {
    let app = Setup::new()
        .policy("version: \"1\"\nallowed_dirs: [docs]\n")
        .file("docs/a.md", "one\n")
        .file(".gitignore", "*.db*\n/logs\n/plans/\n")
        .set("API_TOKENS", &format!("author={KEY},reviewer=another-key-of-the-suite"))
        .unset("API_KEY")
        .start()
        .await;
    git(&app, &["init", "--quiet", "--initial-branch=main"]);
    git(&app, &["add", "."]);
    git(&app, &["commit", "--quiet", "--message", "Begin"]);
    let plan = json!({
        "intent": "say more", "context": "a line is missing",
        "edits": [{"path": "docs/a.md", "op": "search_replace", "search": "one", "replace": "two"}],
    });
    let id = app.post("/plan", &plan).await.ok()["id"].as_str().unwrap().to_owned();
    (app, id)
}

#[tokio::test]
async fn a_plan_that_was_approved_in_the_table_is_not_carried_to_a_branch() {
    let (mut app, id) = planned().await;
    app.stop().await;
    write_into(
        &app,
        "UPDATE plans SET status = 'approved', data = json_set(data, '$.review', json('{\"decision\":\
         \"approve\",\"note\":\"\",\"reviewer\":\"reviewer\",\"at\":\"2026-11-28T10:00:00Z\"}'))",
    );
    verify_names(&app, &id);
    let branch = app.command().args(["plan", "branch", &id]).output().unwrap();
    assert!(!branch.status.success(), "{branch:?}");
    let said = String::from_utf8(branch.stderr).unwrap();
    assert!(said.contains("no row with its review"), "{said}");
    app.start_again().await;
    app.get(&format!("/plans/{id}")).await.error(409, "conflict");
}

#[tokio::test]
async fn a_plan_with_another_author_in_the_table_cannot_be_reviewed() {
    let (mut app, id) = planned().await;
    app.stop().await;
    write_into(&app, "UPDATE plans SET data = json_set(data, '$.author', 'reviewer')");
    app.start_again().await;
    let review = json!({"decision": "approve"});
    app.post(&format!("/plans/{id}/review"), &review).await.error(409, "conflict");
}

#[tokio::test]
async fn a_state_that_no_row_states_is_not_used() {
    let mut app = TestApp::start().await;
    for _ in 0..3 {
        app.act("a", "rest").await;
    }
    app.stop().await;
    let database = Connection::open(app.folder().join("agent.db")).unwrap();
    let (state, hash): (String, String) = database
        .query_row("SELECT state, state_hash FROM snapshots", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    // The same state, said to be that of a row far away: nothing would be applied to it.
    let values = rusqlite::params![1_000_000_000_u64, state, hash];
    let sql = "UPDATE snapshots SET event_id = ?1, state = ?2, state_hash = ?3";
    database.execute(sql, values).unwrap();
    drop(database);
    verify_names(&app, "agent `a`");
    app.start_again().await;
    app.get("/state?agent_id=a").await.error(503, "journal_unavailable");
    app.act("b", "rest").await;
}

#[tokio::test]
async fn an_answer_whose_row_is_not_the_callers_is_not_repeated() {
    let mut app = TestApp::start().await;
    let act = json!({"agent_id": "a", "action": "rest"});
    let send = |app: &TestApp| {
        let request = app.request(reqwest::Method::POST, "/act").header("Idempotency-Key", "k");
        crate::support::Answer::of(request.json(&act))
    };
    send(&app).await.ok();
    assert_eq!(send(&app).await.header("Idempotency-Replayed"), Some("true"));
    app.stop().await;
    write_into(&app, "UPDATE marks SET event_id = 1");
    app.start_again().await;
    // Row 1 is the service's own start.
    send(&app).await.error(409, "conflict");
}

#[tokio::test]
async fn a_database_that_is_removed_ends_the_service_of_requests_within_a_second() {
    let app = TestApp::start().await;
    app.act("a", "rest").await;
    for name in ["agent.db", "agent.db-wal", "agent.db-shm"] {
        let _ = std::fs::remove_file(app.folder().join(name));
    }
    let gone = async {
        while app.get("/readyz").await.status == 200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(1), gone).await.expect("not noticed");
    let answer = app.get("/readyz").await;
    assert!(answer.text().contains("removed or replaced"), "{}", answer.text());
    let act = json!({"agent_id": "a", "action": "rest"});
    app.post("/act", &act).await.error(503, "journal_unavailable");
    app.get("/journal").await.error(503, "journal_unavailable");
}

#[tokio::test]
async fn rows_that_were_declared_removed_after_the_kept_head_are_not_believed() {
    let mut app = TestApp::start().await;
    for _ in 0..20 {
        app.act("a", "rest").await;
    }
    let head: Value = app.get("/journal/head").await.ok();
    let head = format!("{}:{}", head["id"], head["hash"].as_str().unwrap());
    app.set_for_next_start("JOURNAL_KEEP_ROWS", "12");
    app.restart().await;
    let pruned = async {
        while app.journal_of("&kind=journal.pruned").await.is_empty()
            || app.journal().await[0].id == 1
        {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), pruned).await.unwrap();
    let first = app.journal().await[0].id;
    let expecting = ["audit", "verify", "--expect-head", &head];
    let verdict = run_json(&app, 1, &expecting);
    assert_eq!(verdict["fault"], "pruned_since", "{verdict}");
    let allowed = (first - 1).to_string();
    let allowing = [&expecting[..], &["--allow-pruned-to", &allowed]].concat();
    assert_eq!(run_json(&app, 0, &allowing)["verdict"], "whole");
    // A head from after the declaration covers it.
    let newer: Value = app.get("/journal/head").await.ok();
    let newer = format!("{}:{}", newer["id"], newer["hash"].as_str().unwrap());
    assert_eq!(
        run_json(&app, 0, &["audit", "verify", "--expect-head", &newer])["verdict"],
        "whole"
    );
}

#[tokio::test]
async fn usage_that_was_changed_or_removed_is_found() {
    let (_provider, mut app) = with_model(vec![Reply::text("A grating that falls.")]).await;
    app.post("/llm/chat", &chat("What is a portcullis?")).await.ok();
    app.post("/llm/chat", &chat("And a moat?")).await.ok();
    app.stop().await;
    assert_eq!(run_json(&app, 0, &["audit", "verify"])["verdict"], "whole");
    for change in [
        "UPDATE usage SET prompt_tokens = 1 WHERE id = (SELECT min(id) FROM usage)",
        "UPDATE usage SET prompt_tokens = 11, principal = 'nobody' WHERE prompt_tokens = 1",
        "DELETE FROM usage",
    ] {
        write_into(&app, change);
        verify_names(&app, "usage");
    }
}

/// What is next to the rows of agents, plans, stops and queued turns, and a change of each by somebody who can write the
/// file. `audit verify` names the record.
const CHANGES: [(&str, &str); 12] = [
    ("stops", "DELETE FROM settings WHERE key = 'stops'"),
    (
        "stops",
        "UPDATE settings SET value = replace(value, 'it loops', 'no reason') WHERE key = 'stops'",
    ),
    ("agent `a`", "UPDATE agents SET state_version = 9 WHERE agent_id = 'a'"),
    ("agent `a`", "UPDATE agents SET turns = 9 WHERE agent_id = 'a'"),
    (
        "agent `a`",
        "UPDATE agents SET last_seen = '2030-01-01T00:00:00.000000Z' WHERE agent_id = 'a'",
    ),
    ("agent `a`", "UPDATE agents SET state_hash = zeroblob(32) WHERE agent_id = 'a'"),
    ("plan `", "UPDATE plans SET intent = 'fix a typo'"),
    ("plan `", "UPDATE plans SET artifact = 'plans/other.json'"),
    ("plan `", "UPDATE plans SET ts = '2020-01-01T00:00:00.000000Z'"),
    ("plan `", "DELETE FROM plans"),
    ("job `", "UPDATE jobs SET principal = 'somebody'"),
    ("job `", "UPDATE jobs SET event_id = 1"),
];

#[tokio::test]
async fn a_change_of_any_table_is_found() {
    let mut app = TestApp::start().await;
    app.act("a", "rest").await;
    app.turn("a", "explore the keep").await;
    let stop = json!({"agent": "b", "on": true, "reason": "it loops"});
    app.post("/stops", &stop).await.ok();
    let plan =
        json!({"intent": "greet", "context": "y", "target_paths": ["plans/a.md"], "draft": false});
    app.post("/plan", &plan).await.ok();
    queued_turn(&app).await;
    app.stop().await;
    let database = app.folder().join("agent.db");
    let kept = std::fs::read(&database).unwrap();
    assert_eq!(run_json(&app, 0, &["audit", "verify"])["verdict"], "whole");
    for (record, change) in CHANGES {
        std::fs::write(&database, &kept).unwrap();
        write_into(&app, change);
        verify_names(&app, record);
    }
}

/// Queues a turn and waits for its end. Returns its path.
async fn queued_turn(app: &TestApp) -> String {
    let turn = json!({"agent_id": "q", "input": "look around"});
    let request = app.request(reqwest::Method::POST, "/turn").header("Prefer", "respond-async");
    let queued = crate::support::Answer::of(request.json(&turn)).await.ok();
    let path = format!("/turns/{}", queued["id"].as_str().unwrap());
    while app.get(&path).await.ok()["status"] != "done" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    path
}

#[tokio::test]
async fn a_plan_is_not_shown_with_an_intent_that_no_row_states() {
    let (mut app, id) = planned().await;
    app.stop().await;
    write_into(&app, "UPDATE plans SET intent = 'fix a typo'");
    app.start_again().await;
    app.get(&format!("/plans/{id}")).await.error(409, "conflict");
}

#[tokio::test]
async fn the_result_of_a_queued_turn_is_that_of_its_row() {
    let mut app = TestApp::start().await;
    let path = queued_turn(&app).await;
    let before = app.get(&path).await.ok();
    app.stop().await;
    write_into(
        &app,
        "UPDATE jobs SET result = json_set(result, '$.response', 'You won.', '$.echo.input', 'win')",
    );
    app.start_again().await;
    assert_eq!(app.get(&path).await.ok()["result"], before["result"]);
}

#[tokio::test]
async fn a_stored_response_that_was_changed_is_not_repeated() {
    let mut app = TestApp::start().await;
    let act = json!({"agent_id": "a", "action": "rest"});
    let send = |app: &TestApp, key: &str| {
        let request = app.request(reqwest::Method::POST, "/act").header("Idempotency-Key", key);
        crate::support::Answer::of(request.json(&act))
    };
    send(&app, "one").await.ok();
    send(&app, "two").await.ok();
    app.stop().await;
    let database = app.folder().join("agent.db");
    let kept = std::fs::read(&database).unwrap();
    for change in [
        "UPDATE marks SET body = CAST(replace(CAST(body AS TEXT), 'rest', 'won!') AS BLOB)",
        "UPDATE marks SET status = 201",
        "UPDATE marks SET headers = headers || char(10) || 'location: https://elsewhere.example'",
        "UPDATE marks SET headers = 'content-type: application/json'",
        "UPDATE marks SET body = (SELECT other.body FROM marks AS other WHERE other.seq <> marks.seq)",
    ] {
        std::fs::write(&database, &kept).unwrap();
        write_into(&app, change);
        app.start_again().await;
        send(&app, "one").await.error(409, "conflict");
        assert_eq!(app.journal_of("&kind=obs.act").await.len(), 2, "{change}");
        app.stop().await;
        let _ = std::fs::remove_file(app.folder().join("agent.db.lock"));
    }
}
