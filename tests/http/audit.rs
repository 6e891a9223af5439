//! `life-agent audit` and `backup` next to a running server, `GET /journal/head`, and starts on files that are
//! not a journal.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Setup, TestApp};

/// The output and exit code of a command next to the server.
pub(crate) fn run(app: &TestApp, arguments: &[&str]) -> (Option<i32>, String) {
    let output = app.command().args(arguments).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), out + &err)
}

/// The command with `--json`.
#[track_caller]
pub(crate) fn run_json(app: &TestApp, code: i32, arguments: &[&str]) -> Value {
    let (ended, said) = run(app, &[arguments, &["--json"]].concat());
    assert_eq!(ended, Some(code), "{arguments:?}: {said}");
    serde_json::from_str(&said).unwrap()
}

#[tokio::test]
async fn the_head_is_the_last_row_and_needs_a_key() {
    let app = TestApp::start().await;
    app.act("a", "rest").await;
    let head = app.get("/journal/head").await.ok();
    let rows = app.journal().await;
    let last = rows.last().unwrap();
    assert_eq!(head, json!({"id": last.id, "hash": last.hash}));
    let (code, said) = run(&app, &["audit", "head"]);
    assert_eq!((code, said.trim()), (Some(0), format!("{}:{}", last.id, last.hash).as_str()));
    Answer::of(app.bare(Method::GET, "/journal/head")).await.error(401, "missing_api_key");
}

#[tokio::test]
async fn the_running_service_verifies_its_own_chain() {
    let app = TestApp::start().await;
    app.act("a", "mark-to-change").await;
    app.act("a", "rest").await;
    let head = app.get("/journal/head").await.ok();
    let verified = app.post_nothing("/audit/verify").await.ok();
    assert_eq!((&verified["intact"], &verified["head"]), (&json!(true), &head));
    assert_eq!(verified["rows"], head["id"]);
    Answer::of(app.bare(Method::POST, "/audit/verify")).await.error(401, "missing_api_key");
    // A start would refuse the file, so the change is made meanwhile.
    let database = rusqlite::Connection::open(app.folder().join("agent.db")).unwrap();
    let changed =
        "UPDATE journal SET data = replace(data, 'mark-to-change', 'mark-as-changed') WHERE id = 2";
    assert_eq!(database.execute(changed, []).unwrap(), 1);
    drop(database);
    let verified = app.post_nothing("/audit/verify").await.ok();
    assert_eq!((&verified["intact"], &verified["broken_row"]), (&json!(false), &json!(2)));
    assert!(verified["fault"].as_str().unwrap().contains("row 2 was changed"), "{verified}");
}

#[tokio::test]
async fn a_stored_head_detects_a_truncated_journal() {
    let app = TestApp::start().await;
    app.act("a", "rest").await;
    assert_eq!(run(&app, &["backup", "early.db"]).0, Some(0));
    app.act("a", "something.to.hide").await;
    let head = app.get("/journal/head").await.ok();
    let head = format!("{}:{}", head["id"], head["hash"].as_str().unwrap());
    app.act("a", "rest").await;
    let expecting = ["audit", "verify", "--expect-head", &head];
    assert_eq!(run_json(&app, 0, &expecting)["verdict"], "whole", "later rows do no harm");
    let cut_off = [&expecting[..], &["--db", "early.db"]].concat();
    assert_eq!(run_json(&app, 1, &cut_off)["verdict"], "broken");
}

#[tokio::test]
async fn an_online_backup_verifies_and_a_changed_byte_is_found() {
    let app = TestApp::start().await;
    let acts = async {
        for n in 0..60 {
            app.act("a", &format!("mark-{n:02}")).await;
        }
    };
    let mut command = app.command();
    command.args(["backup", "copy.db"]);
    let backup = tokio::task::spawn_blocking(move || command.output().unwrap());
    let ((), output) = tokio::join!(acts, backup);
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(run_json(&app, 0, &["audit", "verify", "--db", "copy.db"])["verdict"], "whole");
    assert_eq!(run(&app, &["backup", "later.db"]).0, Some(0));
    let rows = app.journal().await;
    let row = rows.iter().find(|row| row.data.get().contains("mark-17")).unwrap();
    let bytes = changed(&app.read("later.db"), b"mark-17", b"mark-18");
    std::fs::write(app.folder().join("later.db"), bytes).unwrap();
    let verdict = run_json(&app, 1, &["audit", "verify", "--db", "later.db"]);
    assert_eq!((&verdict["verdict"], &verdict["row"]), (&json!("broken"), &json!(row.id)));
    assert_eq!(run_json(&app, 0, &["audit", "verify"])["verdict"], "whole", "the original is");
}

/// The bytes with every occurrence of a text replaced, because pages may contain old data.
fn changed(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut bytes, mut found) = (bytes.to_vec(), 0);
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0, "it is not there");
    bytes
}

/// The bytes of a journal after a clean stop.
async fn stopped_journal() -> Vec<u8> {
    let mut app = TestApp::start().await;
    for _ in 0..20 {
        app.act("a", "rest").await;
    }
    app.act("a", "findable-mark").await;
    assert!(app.stop().await.success());
    app.read("agent.db")
}

#[tokio::test]
async fn a_start_on_an_unusable_file_fails_with_a_sentence_and_overwrites_nothing() {
    let journal = stopped_journal().await;
    let patched = |at: usize, with: &[u8]| {
        let mut bytes = journal.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    for (what, bytes, words) in [
        ("text", b"Dear diary, today nothing happened.".to_vec(), "not an SQLite database"),
        // The application id and the user version in the header of an SQLite file.
        ("of another program", patched(68, b"GPKG"), "another program"),
        ("of a newer version", patched(60, &999_u32.to_be_bytes()), "newer"),
        ("overwritten pages", patched(4096 * 2, &[0xAA; 4096]), "damaged"),
        ("cut in half", journal[..journal.len() / 2].to_vec(), "damaged"),
        ("a changed row", changed(&journal, b"findable-mark", b"findable-hark"), "audit verify"),
    ] {
        let setup = Setup::new().file("agent.db", &bytes);
        let refused = setup.refused().await;
        let said = refused.in_words();
        assert_eq!(said.trim_end().lines().count(), 1, "{what}: {said}");
        assert!(said.contains("agent.db") && said.contains(words), "{what}: {said}");
        let left = std::fs::read(setup.folder().join("agent.db")).unwrap();
        assert!(left == bytes, "{what}: the file is not as it was");
        let log = std::fs::metadata(setup.folder().join("agent.db-wal"));
        assert!(log.map_or(0, |log| log.len()) == 0, "{what}: something is waiting to be written");
    }
}
