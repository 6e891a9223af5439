//! The record of growing conversations: each text is stored once, rows name it, readers get it back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use life_agent_groq::testing::{Answer, StandIn};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::audit::{run, run_json};
use crate::support::{TestApp, assert_chained, model_setup, with_model};

const CHAT: &str = "/v1/chat/completions";

/// Text that no other number gives, as a file or an explanation could read.
fn text(seed: usize, bytes: usize) -> String {
    let (mut text, mut state) = (String::new(), seed as u64 * 2_654_435_761 + 1);
    while text.len() < bytes {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let words = ["value", "count", "order", "price", "report", "customer", "window", "margin"];
        let word = words[(state >> 33) as usize % words.len()];
        text.push_str(&format!(
            "let {word}_{} = {};\n",
            (state >> 40) % 1000,
            (state >> 20) % 9973
        ));
    }
    text.truncate(bytes);
    text
}

/// What a client adds to a conversation between two calls, and the provider's next response.
struct Step {
    added: Vec<Value>,
    answer: Answer,
    /// Bytes of the texts among both.
    bytes: usize,
}

type Steps = fn(usize) -> Step;

/// A question of 3 KB, answered in 1 KB, without tools.
fn plain(n: usize) -> Step {
    let (asked, told) = (text(n, 3000), text(n + 1000, 1000));
    let mut added = vec![json!({"role": "user", "content": asked})];
    if n > 0 {
        added.insert(0, json!({"role": "assistant", "content": text(n + 999, 1000)}));
    }
    Step { added, answer: Answer::text(&told), bytes: 4000 }
}

/// A model that reads and writes files: calls with 1 KB of arguments, results of 3 KB.
fn agent(n: usize) -> Step {
    let arguments = |n| json!({"path": format!("src/{n}.rs"), "content": text(n + 2000, 1000)});
    let answer = Answer::tool_call("write_file", &arguments(n).to_string());
    if n == 0 {
        let added = vec![json!({"role": "user", "content": text(n, 3000)})];
        return Step { added, answer, bytes: 4000 };
    }
    let call = json!({"id": format!("call_{n}"), "type": "function",
        "function": {"name": "write_file", "arguments": arguments(n - 1).to_string()}});
    let added = vec![
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        json!({"role": "tool", "tool_call_id": format!("call_{n}"), "content": text(n, 3000)}),
    ];
    Step { added, answer, bytes: 4000 }
}

/// The same in Anthropic's API.
fn messages(n: usize) -> Step {
    let input = |n| json!({"path": format!("src/{n}.rs"), "content": text(n + 2000, 1000)});
    let tool_use = |n| json!({"type": "tool_use", "id": format!("toolu_{n}"), "name": "write_file", "input": input(n)});
    let answer = Answer::json(
        200,
        &json!({"id": format!("msg_{n}"), "type": "message", "role": "assistant", "model": "m",
            "content": [tool_use(n)], "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 7, "output_tokens": 9}}),
    );
    if n == 0 {
        let added = vec![json!({"role": "user", "content": text(n, 3000)})];
        return Step { added, answer, bytes: 4000 };
    }
    let result = json!({"type": "tool_result", "tool_use_id": format!("toolu_{}", n - 1),
        "content": [{"type": "text", "text": text(n, 3000)}]});
    let added = vec![
        json!({"role": "assistant", "content": [tool_use(n - 1)]}),
        json!({"role": "user", "content": [result]}),
    ];
    Step { added, answer, bytes: 4000 }
}

/// The size of a copy of the journal.
fn size(app: &TestApp, copy: &str) -> u64 {
    assert_eq!(run(app, &["backup", copy]).0, Some(0));
    std::fs::metadata(app.folder().join(copy)).unwrap().len()
}

/// Runs a session and returns the server, the last request and the number of bytes that the journal grew by for
/// each byte of new content.
async fn session(path: &str, calls: usize, stream: bool, step: Steps) -> (TestApp, Value, f64) {
    let tools: Vec<Value> = (0..10)
        .map(|n| json!({"type": "function", "function": {"name": format!("tool_{n}"), "description": text(n + 5000, 700)}}))
        .collect();
    let mut body =
        json!({"model": "m", "max_tokens": 100, "stream": stream, "messages": [], "tools": tools});
    let provider = StandIn::start((0..calls).map(|n| step(n).answer).collect()).await.unwrap();
    let app = model_setup(&provider).start().await;
    let before = size(&app, "before.db");
    let mut new = 0;
    for n in 0..calls {
        let step = step(n);
        new += step.bytes;
        body["messages"].as_array_mut().unwrap().extend(step.added);
        assert_eq!(app.post(path, &body).await.status, 200, "call {n}");
    }
    let grown = size(&app, "after.db") - before;
    let new = new + tools.iter().map(|tool| tool.to_string().len()).sum::<usize>();
    (app, body, grown as f64 / new as f64)
}

#[tokio::test]
async fn a_growing_conversation_costs_only_what_is_new() {
    // The gates of a debug build take a second for a long conversation, so only one has the full length.
    let sessions: [(&str, usize, bool, Steps); 4] = [
        (CHAT, 20, false, plain),
        (CHAT, 60, true, agent),
        (CHAT, 20, false, agent),
        ("/v1/messages", 20, false, messages),
    ];
    for (path, calls, stream, step) in sessions {
        let (app, body, cost) = session(path, calls, stream, step).await;
        println!(
            "{path}, stream {stream}: {cost:.2} bytes in the journal for a byte of new content"
        );
        assert!(cost <= 1.5, "{path}, stream {stream}: {cost:.2}");
        assert_eq!(run_json(&app, 0, &["audit", "verify"])["verdict"], "whole");
        let row = app.journal_of("&kind=llm.chat").await.pop().unwrap();
        assert!(row.data.get().len() < 2500, "{}", row.data);
        assert_eq!(row.json()["messages"], json!([]));
        let whole = app.journal_of("&kind=llm.chat&expand=texts").await.pop().unwrap().json();
        assert_eq!(whole["sent_messages"], body["messages"], "{path}");
        assert_eq!(whole["parameters"]["tools"], body["tools"], "{path}");
        let judged = whole["messages"].as_array().unwrap();
        assert_eq!(judged.len(), body["messages"].as_array().unwrap().len() + 1, "{path}");
        let last = body["messages"].as_array().unwrap().len() - 1;
        assert!(judged[last]["content"].as_str().unwrap().contains(&text(calls - 1, 3000)));
    }
}

/// A server with a short conversation of long texts.
async fn short_session() -> TestApp {
    let steps: Vec<Step> = (0..3).map(agent).collect();
    let provider =
        StandIn::start(steps.iter().map(|step| step.answer.clone()).collect()).await.unwrap();
    let app = model_setup(&provider).start().await;
    let mut messages = Vec::new();
    for step in steps {
        messages.extend(step.added);
        app.post(CHAT, &json!({"model": "m", "messages": messages})).await.ok();
    }
    app
}

#[tokio::test]
async fn an_export_holds_every_text_once_and_a_stranger_can_check_it() {
    let app = short_session().await;
    let (code, lines) = run(&app, &["audit", "export"]);
    assert_eq!(code, Some(0));
    let (mut rows, mut known) = (Vec::new(), BTreeMap::new());
    for line in lines.lines() {
        let mut row: Value = serde_json::from_str(line).unwrap();
        let texts = row.as_object_mut().unwrap().remove("texts").unwrap_or_default();
        for (id, text) in texts.as_object().into_iter().flatten() {
            let text = text.as_str().unwrap().to_owned();
            assert!(known.insert(id.clone(), text).is_none(), "{id} is exported twice");
        }
        rows.push(row);
    }
    let named: String = known.values().cloned().chain(rows.iter().map(Value::to_string)).collect();
    for (id, text) in &known {
        let id_of = |word| hex::encode(Sha256::digest(format!("{word}\n{text}")));
        assert!([id_of("text"), id_of("item")].contains(id), "{id} is not the digest of its text");
        assert!(named.contains(id.as_str()), "nothing names {id}");
    }
    assert!(known.values().any(|body| *body == text(2, 3000)));
    // The rows are those of the API, which hash as they are.
    let shown = app.journal().await;
    assert_chained(&shown);
    assert_eq!(shown.len(), rows.len());
    let last = rows.iter().rfind(|row| row["kind"] == "llm.chat").unwrap();
    for reference in last["data"]["references"].as_array().unwrap() {
        let id = reference.get("text").or_else(|| reference.get("list")).unwrap();
        assert!(known.contains_key(id.as_str().unwrap()), "{reference}");
    }
}

#[tokio::test]
async fn a_changed_a_missing_and_an_unnamed_text_are_found() {
    let app = short_session().await;
    assert_eq!(run(&app, &["backup", "copy.db"]).0, Some(0));
    let changes = [
        ("UPDATE text_bodies SET body = 'another text' WHERE id = 1", "does not match its digest"),
        ("DELETE FROM texts WHERE uses = 1", "is missing"),
        ("DELETE FROM text_bodies WHERE id = 1", "does not match its digest"),
        ("INSERT INTO texts SELECT zeroblob(32), 1, 1", "does not match its digest"),
        ("UPDATE journal SET data = data WHERE id = 1", ""),
    ];
    for (change, fault) in changes {
        std::fs::copy(app.folder().join("copy.db"), app.folder().join("changed.db")).unwrap();
        let database = Connection::open(app.folder().join("changed.db")).unwrap();
        database.execute_batch(change).unwrap();
        drop(database);
        let code = i32::from(!fault.is_empty());
        let told = run_json(&app, code, &["audit", "verify", "--db", "changed.db"]);
        assert!(told.to_string().contains(fault), "{change}: {told}");
    }
}

#[tokio::test]
async fn texts_leave_with_the_last_row_that_names_them() {
    let mut app = short_session().await;
    let count = |app: &TestApp| {
        let database = Connection::open(app.folder().join("agent.db")).unwrap();
        let count = |sql| database.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
        (count("SELECT count(*) FROM texts"), count("SELECT count(*) FROM text_bodies"))
    };
    let all = count(&app);
    assert!(all.0 > 6 && all.0 == all.1, "{all:?}");
    app.set_for_next_start("JOURNAL_KEEP_ROWS", "3");
    app.restart().await;
    // The last call's row, stop and start remain; it names every text of the conversation but the first answers.
    let begun = Instant::now();
    while app.journal_of("&kind=llm.chat").await.len() > 1 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no row is removed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let whole = app.journal_of("&kind=llm.chat&expand=texts").await;
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[0].json()["sent_messages"].as_array().unwrap().len(), 5);
    for _ in 0..4 {
        app.act("a", "rest").await;
    }
    app.restart().await;
    let begun = Instant::now();
    while count(&app) != (0, 0) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", count(&app));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(run_json(&app, 0, &["audit", "verify"])["verdict"], "whole");
}

#[tokio::test]
async fn a_denied_conversation_is_replayed_and_streamed_with_its_texts() {
    let (_provider, app) = with_model(vec![]).await;
    let denied = format!("{}\nplease run rm -rf / --no-preserve-root", text(1, 3000));
    let messages = json!([{"role": "user", "content": denied}]);
    app.post(CHAT, &json!({"model": "m", "messages": messages})).await.error(422, "prompt_risky");
    let row = app.journal_of("&kind=gate.denied").await.remove(0);
    assert_eq!(row.json()["request"]["messages"], json!([]));
    let mut events = app.events("?after=0&kind=gate.denied&expand=texts").await;
    let data = events.next().await.json()["data"].take();
    assert_eq!(data["request"]["messages"][0]["content"], denied);
    assert_eq!(data.get("references"), None);
    let report = app.post_nothing("/policy/backtest").await.ok();
    assert_eq!(
        (&report["divergence_count"], &report["decisions"]),
        (&json!(0), &json!(1)),
        "{report}"
    );
    assert_eq!(run_json(&app, 0, &["replay"])["divergence_count"], 0);
    app.get("/journal?expand=everything").await.error(422, "validation_error");
}

#[tokio::test]
async fn a_search_finds_the_words_of_shared_texts() {
    let (_provider, app) = with_model(vec![Answer::text("Noted.")]).await;
    let long = format!("{} The lighthouse keeper is called Ottokar.", text(1, 3000));
    for said in [long.as_str(), "short and shared by none"] {
        let messages = json!([{"role": "user", "content": said}]);
        app.post(CHAT, &json!({"model": "m", "messages": messages})).await.ok();
    }
    let rows = app.journal_of("&kind=llm.chat").await;
    assert!(!rows[0].data.get().contains("Ottokar"), "{:?}", rows[0]);
    for (query, found) in [
        ("q=ottokar", vec![rows[0].id]),
        ("q=shared", vec![rows[1].id]),
        ("q=ottokar+none", vec![]),
    ] {
        let page = app.get(&format!("/journal?kind=llm.chat&{query}")).await.ok();
        let ids: Vec<u64> = page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_u64().unwrap())
            .collect();
        assert_eq!(ids, found, "{query}");
    }
    let row = app.get(&format!("/journal/{}?expand=texts", rows[0].id)).await.ok();
    assert_eq!(row["data"]["messages"][0]["content"], long.as_str(), "{row}");
}
