//! `Idempotency-Key`: a repeated call gets the same response and acts once

use std::time::Duration;

use life_agent_groq::testing::Answer as Reply;
use rand::RngExt;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    Answer, KEY, RawConnection, Setup, TestApp, assert_chained, chat, credentials, with_model,
    with_model_failing,
};

fn keyed(app: &TestApp, path: &str, key: &str, body: &Value) -> RequestBuilder {
    app.request(Method::POST, path).header("Idempotency-Key", key).json(body)
}

async fn once(app: &TestApp, path: &str, key: &str, body: &Value) -> Answer {
    Answer::of(keyed(app, path, key, body)).await
}

fn act(agent: &str) -> Value {
    json!({"agent_id": agent, "action": "rest"})
}

#[track_caller]
fn assert_same(first: &Answer, again: &Answer) {
    assert_eq!(first.header("Idempotency-Replayed"), None, "{first:?}");
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"), "{again:?}");
    assert_eq!((first.status, &first.body), (again.status, &again.body), "{first:?} {again:?}");
    for name in ["Content-Type", "Location", "Preference-Applied"] {
        assert_eq!(first.header(name), again.header(name), "{name}");
    }
}

#[tokio::test]
async fn every_call_that_acts_has_one_effect_per_key() {
    let (provider, app) = with_model(vec![Reply::text("A courtyard.")]).await;
    let plan = json!({"intent": "greet", "context": "", "edits":
        [{"path": "plans/a.txt", "op": "create", "content": "Hello\n"}]});
    let made = app.post("/plan", &plan).await.ok();
    let review = format!("/plans/{}/review", made["id"].as_str().unwrap());
    let calls = [
        ("/act", act("a"), act("b")),
        ("/turn", json!({"agent_id": "a", "input": "x"}), json!({"agent_id": "a", "input": "y"})),
        ("/plan", plan, json!({"intent": "greet", "context": "", "target_paths": ["plans/a.txt"]})),
        (&review, json!({"decision": "reject"}), json!({"decision": "approve"})),
        ("/llm/chat", chat("What is behind the gate?"), chat("And behind that?")),
        ("/v1/chat/completions", chat("What is there?"), chat("And there?")),
        ("/policy/reload", json!({}), json!({"path": "policy/policy.yaml"})),
        ("/kill-switch", json!({"on": false, "reason": "r"}), json!({"on": true, "reason": "r"})),
    ];
    // The same key on every path: a key belongs to one path.
    for (path, body, other) in &calls {
        let first = once(&app, path, "key-1", body).await;
        assert_eq!(first.status, 200, "{first:?}");
        let (rows, asked) = (app.last_id().await, provider.seen().len());
        assert_same(&first, &once(&app, path, "key-1", body).await);
        // Quoted, as in the draft, it is the same key.
        assert_same(&first, &once(&app, path, "\"key-1\"", body).await);
        once(&app, path, "key-1", other).await.error(422, "idempotency_mismatch");
        assert_eq!((app.last_id().await, provider.seen().len()), (rows, asked), "{path}");
    }
    let again = once(&app, "/act", "key-2", &act("a")).await;
    assert_eq!(again.header("Idempotency-Replayed"), None);
    assert_eq!(again.ok()["state_version"], 3, "another key is another act");
}

#[tokio::test]
async fn another_spelling_of_a_path_is_the_same_call() {
    let app = TestApp::start().await;
    let first = once(&app, "/act", "k", &act("a")).await;
    let again = once(&app, "/%61ct", "k", &act("a")).await;
    assert_same(&first, &again);
    assert_eq!(app.journal_of("&kind=obs.act").await.len(), 1);
}

#[tokio::test]
async fn a_turn_is_queued_once_per_key() {
    let app = TestApp::start().await;
    let body = json!({"agent_id": "a", "input": "look around"});
    let later = |body| keyed(&app, "/turn", "key-1", body).header("Prefer", "respond-async");
    let first = Answer::of(later(&body)).await;
    assert_eq!(first.status, 202, "{first:?}");
    assert_same(&first, &Answer::of(later(&body)).await);
    let other = json!({"agent_id": "a", "input": "look again"});
    Answer::of(later(&other)).await.error(422, "idempotency_mismatch");
    // The result waits for the queue.
    app.events("?after=0&kind=obs.turn").await.take(1).await;
    assert_eq!(app.state("a").await["version"], 1);
}

#[tokio::test]
async fn concurrent_calls_have_one_effect_and_one_response() {
    let slow = Reply::text("A courtyard.").slowly(Duration::from_micros(200));
    let (provider, app) = with_model(vec![slow]).await;
    for (path, body) in [("/act", act("a")), ("/llm/chat", chat("What is behind the gate?"))] {
        let mut calls = JoinSet::new();
        for _ in 0..8 {
            calls.spawn(Answer::of(keyed(&app, path, "key-1", &body)));
        }
        let answers = calls.join_all().await;
        let first = answers.iter().filter(|a| a.header("Idempotency-Replayed").is_none());
        assert_eq!(first.count(), 1, "{path}");
        assert!(answers.iter().all(|a| a.status == 200 && a.body == answers[0].body), "{path}");
    }
    assert_eq!(app.state("a").await["version"], 1);
    assert_eq!(provider.seen().len(), 1);
}

#[tokio::test]
async fn a_call_whose_first_takes_too_long_gets_a_conflict() {
    let (mut provider, app) = with_model(vec![Reply::silence()]).await;
    let first = keyed(&app, "/llm/chat", "key-1", &chat("What is behind the gate?"));
    let waiting = tokio::spawn(Answer::try_of(first));
    provider.until_open(1).await;
    once(&app, "/llm/chat", "key-1", &chat("Another")).await.error(422, "idempotency_mismatch");
    let again = once(&app, "/llm/chat", "key-1", &chat("What is behind the gate?")).await;
    again.error(409, "conflict");
    waiting.abort();
}

#[tokio::test]
async fn a_disconnected_caller_gets_the_response_on_repetition() {
    let (provider, app) =
        with_model(vec![Reply::text("A courtyard.").slowly(Duration::from_millis(1))]).await;
    let body = chat("What is behind the gate?");
    let text = body.to_string();
    let mut connection = RawConnection::open(app.addr()).await;
    let head = format!(
        "POST /llm/chat HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nIdempotency-Key: key-1\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    connection.send(&head).await;
    while provider.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(connection);
    let again = once(&app, "/llm/chat", "key-1", &body).await;
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"), "{again:?}");
    assert_eq!(again.ok()["content"], "A courtyard.");
    assert_eq!((provider.seen().len(), app.journal_of("&kind=llm.chat").await.len()), (1, 1));
}

#[tokio::test]
async fn a_denial_is_repeated_with_one_row() {
    let app = TestApp::start().await;
    let body = json!({"agent_id": "a", "input": "run rm -rf / now"});
    let first = once(&app, "/turn", "key-1", &body).await;
    first.error(422, "prompt_risky");
    assert_same(&first, &once(&app, "/turn", "key-1", &body).await);
    assert_eq!(app.journal_of("&kind=gate.denied").await.len(), 1);
}

#[tokio::test]
async fn a_call_without_an_effect_leaves_its_key_free() {
    let app = Setup::new().set("RATE_LIMIT_RPS", "1").start().await;
    once(&app, "/act", "key-1", &json!({"agent_id": "a"})).await.error(422, "validation_error");
    once(&app, "/act", "key-1", &act("a")).await.ok();

    let switch = json!({"on": true, "reason": "r"});
    app.post("/kill-switch", &switch).await.ok();
    once(&app, "/act", "key-2", &act("b")).await.error(503, "kill_switch");
    app.post("/kill-switch", &json!({"on": false, "reason": "r"})).await.ok();
    let limited = loop {
        let answer = once(&app, "/act", &format!("key-{}", rand::random::<u64>()), &act("c")).await;
        if answer.status != 200 {
            break once(&app, "/act", "key-3", &act("c")).await;
        }
    };
    limited.error(429, "rate_limited");
    let passed = loop {
        let answer = once(&app, "/act", "key-3", &act("c")).await;
        if answer.status != 429 {
            break answer;
        }
        let wait = answer.header("Retry-After").unwrap().parse().unwrap();
        tokio::time::sleep(Duration::from_secs(wait)).await;
    };
    assert_eq!(passed.header("Idempotency-Replayed"), None);
    passed.ok();
    let request = app.bare(Method::POST, "/act").header("Idempotency-Key", "key-4");
    Answer::of(request.json(&act("d"))).await.error(401, "missing_api_key");
    once(&app, "/act", "key-4", &act("d")).await.ok();
}

/// The model call is recorded too, but it is not the effect of the request.
#[tokio::test]
async fn a_failed_draft_leaves_its_key_free() {
    let create = |path: &str| {
        let edits = json!([{"op": "create", "path": path, "content": "# Harbour\n"}]);
        Reply::text(&json!({ "edits": edits }).to_string())
    };
    let (astray, good) = ("plans/elsewhere.md", "plans/harbour.md");
    let script = vec![create(astray), create(astray), create(astray), create(good)];
    let (_provider, app) = with_model_failing(script).await;
    let plan = json!({"intent": "describe the harbour", "target_paths": [good]});
    let faulty = once(&app, "/plan", "key-1", &plan).await;
    assert!(faulty.status >= 400, "{faulty:?}");
    assert_eq!(app.journal_of("&kind=llm.chat").await.len(), 3);
    let planned = once(&app, "/plan", "key-1", &plan).await;
    assert_eq!(
        (planned.status, planned.header("Idempotency-Replayed")),
        (200, None),
        "{planned:?}"
    );
    assert_same(&planned, &once(&app, "/plan", "key-1", &plan).await);
    assert_eq!(app.journal_of("&kind=llm.chat").await.len(), 4);
}

#[tokio::test]
async fn a_key_belongs_to_its_caller() {
    let app = Setup::new().set("API_TOKENS", "other=another-key").start().await;
    once(&app, "/act", "key-1", &act("a")).await.ok();
    let request = app.bare(Method::POST, "/act").header("X-API-Key", "another-key");
    let other = Answer::of(request.header("Idempotency-Key", "key-1").json(&act("b"))).await;
    assert_eq!((other.status, other.header("Idempotency-Replayed")), (200, None), "{other:?}");
}

#[tokio::test]
async fn invalid_keys_and_streams_are_refused_by_name() {
    let (_provider, app) = with_model(vec![Reply::text("A courtyard.")]).await;
    let rows = app.last_id().await;
    for bad in ["", "\"", "a b", "\"\"", &"x".repeat(129)] {
        let answer = once(&app, "/act", bad, &act("a")).await;
        assert_eq!(answer.fault_paths("validation_error"), ["Idempotency-Key"], "{bad}");
    }
    let twice = keyed(&app, "/act", "a", &act("a")).header("Idempotency-Key", "b");
    let answer = Answer::of(twice).await;
    assert_eq!(answer.fault_paths("validation_error"), ["Idempotency-Key"]);
    let mut streamed = chat("What is behind the gate?");
    streamed["stream"] = json!(true);
    for path in ["/llm/chat", "/v1/chat/completions"] {
        let answer = once(&app, path, "key-1", &streamed).await;
        assert_eq!(answer.fault_paths("validation_error"), ["Idempotency-Key"], "{path}");
        assert!(answer.text().contains("stream"), "{answer:?}");
    }
    let turn = json!({"agent_id": "a", "input": "x"});
    let request = keyed(&app, "/turn", "key-1", &turn).header("Accept", "text/event-stream");
    let answer = Answer::of(request).await;
    assert_eq!(answer.fault_paths("validation_error"), ["Idempotency-Key"]);
    assert_eq!(app.last_id().await, rows);
    // Reading calls ignore the header.
    let checked = json!({"kind": "turn", "agent_id": "a", "input": "x"});
    assert_eq!(once(&app, "/check", "", &checked).await.status, 200);
}

#[tokio::test]
async fn responses_survive_a_restart_without_keys_or_bodies_on_the_disk() {
    let mut app = TestApp::start().await;
    let key = &credentials()[0].secret;
    let body = json!({"agent_id": "a", "action": "rest", "payload": {"a": 1}});
    let first = once(&app, "/act", key, &body).await;
    assert_eq!(first.status, 200, "{first:?}");
    app.restart().await;
    assert_same(&first, &once(&app, "/act", key, &body).await);
    assert_eq!(app.state("a").await["version"], 1);
    let whole = [app.read("agent.db"), app.read("agent.db-wal"), app.read("logs/app.log")].concat();
    assert!(!String::from_utf8_lossy(&whole).contains(key.as_str()));
}

#[tokio::test]
async fn a_lost_response_leads_to_its_row_and_to_no_second_effect() {
    let mut app = TestApp::start().await;
    let acted = once(&app, "/act", "key-1", &act("a")).await.ok();
    let turn = json!({"agent_id": "a", "input": "look around"});
    let later =
        |app: &TestApp| keyed(app, "/turn", "key-1", &turn).header("Prefer", "respond-async");
    let queued = Answer::of(later(&app)).await.ok();
    // The state after a kill between effect and response.
    app.stop().await;
    let db = rusqlite::Connection::open(app.folder().join("agent.db")).unwrap();
    let lose = "UPDATE marks SET status = NULL, headers = NULL, body = NULL";
    assert_eq!(db.execute(lose, []).unwrap(), 2);
    drop(db);
    app.start_again().await;
    let error = once(&app, "/act", "key-1", &act("a")).await.error(409, "conflict");
    assert_eq!(error["details"]["event_id"], acted["event_id"]);
    let error = Answer::of(later(&app)).await.error(409, "conflict");
    assert_eq!(error["details"]["turn"], queued["id"]);
    once(&app, "/act", "key-1", &act("b")).await.error(422, "idempotency_mismatch");
    let versions = app.journal_of("&kind=obs.act&agent_id=a").await.len();
    assert_eq!(versions, 1);
}

/// Each caller repeats its calls until it has their responses, while the process is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_never_make_a_call_act_twice() {
    let rounds =
        std::env::var("LIFE_AGENT_KILL_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap());
    let mut app = TestApp::start().await;
    let (mut marks, mut lost) = (Vec::new(), 0);
    for round in 0..rounds {
        let mut calls = JoinSet::new();
        for caller in 0..4 {
            let request = app.request(Method::POST, "/act");
            calls.spawn(async move {
                let mut unanswered = Vec::new();
                for n in 0.. {
                    let mark = format!("mark-{round}-{caller}-{n}");
                    let request = request.try_clone().unwrap().header("Idempotency-Key", &mark);
                    let answer = Answer::try_of(request.json(&marked(&mark))).await;
                    let answered = answer.is_ok_and(|answer| answer.status == 200);
                    unanswered.push((mark, answered));
                    if !answered {
                        break;
                    }
                }
                unanswered
            });
        }
        let moment = rand::rng().random_range(20_000..150_000);
        tokio::time::sleep(Duration::from_micros(moment)).await;
        app.kill_9();
        let sent: Vec<_> = calls.join_all().await.into_iter().flatten().collect();
        app.start_again().await;
        for (mark, answered) in sent {
            let again = once(&app, "/act", &mark, &marked(&mark)).await;
            match again.status {
                200 => {
                    assert!(!answered || again.header("Idempotency-Replayed").is_some(), "{mark}")
                }
                _ => {
                    let error = again.error(409, "conflict");
                    assert!(!answered && error["details"]["event_id"].is_u64(), "{again:?}");
                    lost += 1;
                }
            }
            marks.push(mark);
        }
    }
    let rows = app.journal().await;
    assert_chained(&rows);
    let mut acted: Vec<_> = rows
        .iter()
        .filter(|row| row.kind == "obs.act")
        .map(|row| row.json()["payload"]["mark"].as_str().unwrap().to_owned())
        .collect();
    println!("{} calls, {lost} answers lost in {rounds} kills", marks.len());
    acted.sort();
    marks.sort();
    assert_eq!(acted, marks, "each once");
}

fn marked(mark: &str) -> Value {
    json!({"agent_id": "a", "action": "rest", "payload": {"mark": mark}})
}
