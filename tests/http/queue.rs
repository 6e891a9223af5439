//! `Prefer: respond-async` on `POST /turn`, and `/turns/{id}`: queued turns

use std::collections::HashMap;
use std::time::Duration;

use life_agent_groq::testing::{Answer as Reply, StandIn};
use rand::RngExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Credential, LENIENT, Setup, TestApp, credentials, model_setup, with_model,
};

/// The input of a turn whose model never responds.
const HOLD: &str = "hold the gate";

/// A model that responds to every input except [`HOLD`].
async fn model() -> StandIn {
    let reply = |_, seen: &life_agent_groq::testing::Seen| {
        let asked = seen.body.to_string();
        if asked.contains(HOLD) { Reply::silence() } else { Reply::text("So it went.") }
    };
    StandIn::answering(reply).await.unwrap()
}

async fn prefer(app: &TestApp, agent: &str, input: &str) -> Answer {
    let request = app.request(Method::POST, "/turn").header("Prefer", "respond-async");
    Answer::of(request.json(&json!({"agent_id": agent, "input": input}))).await
}

/// Queues a turn and returns its id.
async fn queue(app: &TestApp, agent: &str, input: &str) -> String {
    let answer = prefer(app, agent, input).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.ok()["id"].as_str().unwrap().to_owned()
}

async fn look(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/turns/{id}")).await.ok()
}

async fn cancel(app: &TestApp, id: &str) -> Answer {
    Answer::of(app.request(Method::DELETE, &format!("/turns/{id}"))).await
}

/// Polls, as a caller would, until the turn has this status.
async fn until(app: &TestApp, id: &str, status: &str) -> Value {
    let ask = async {
        loop {
            let found = look(app, id).await;
            if found["status"] == status {
                return found;
            }
            let open = ["queued", "running"].contains(&found["status"].as_str().unwrap());
            assert!(open, "it was to become {status}: {found}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(30), ask).await;
    asked.unwrap_or_else(|_| panic!("turn {id} did not become {status}"))
}

/// Restarts with the state of a kill between each turn's rows and its response.
async fn forget_answers(app: &mut TestApp) {
    app.stop().await;
    let db = rusqlite::Connection::open(app.folder().join("agent.db")).unwrap();
    assert_eq!(db.execute("UPDATE jobs SET result = NULL", []).unwrap(), 1);
    drop(db);
    app.start_again().await;
}

async fn inputs(app: &TestApp, agent: &str) -> Vec<String> {
    let rows = app.journal_of(&format!("&kind=obs.turn&agent_id={agent}")).await;
    rows.iter().map(|row| row.json()["input"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_queued_turn_has_the_response_of_a_direct_turn() {
    let (app, other) = tokio::join!(TestApp::start(), TestApp::start());
    let answer = prefer(&app, "hero", "explore the keep").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.header("Preference-Applied"), Some("respond-async"));
    let queued = answer.ok();
    let id = queued["id"].as_str().unwrap();
    assert_eq!(answer.header("Location"), Some(format!("/turns/{id}").as_str()));
    assert_eq!((&queued["status"], &queued["agent_id"]), (&json!("queued"), &json!("hero")));
    let done = until(&app, id, "done").await;
    assert!(done["started"].is_string() && done["finished"].is_string(), "{done}");
    assert_eq!(done["created"], queued["created"]);
    assert_eq!(done.get("error"), None);
    assert_eq!(done["result"], other.turn("hero", "explore the keep").await);
}

#[tokio::test]
async fn other_preferences_are_ignored() {
    let app = TestApp::start().await;
    let body = json!({"agent_id": "a", "input": "look around"});
    let request = app.request(Method::POST, "/turn").header("Prefer", "return=minimal, wait=5");
    let answer = Answer::of(request.json(&body)).await;
    assert_eq!(answer.ok()["status"], "ok");
    assert_eq!(answer.header("Preference-Applied"), None);
}

#[tokio::test]
async fn an_agents_turns_keep_their_order_and_delay_no_other_agent() {
    let mut provider = model().await;
    let app = model_setup(&provider).start().await;
    let held = queue(&app, "a", HOLD).await;
    provider.until_open(1).await;
    assert_eq!(look(&app, &held).await["status"], "running");
    let (first, second, third) =
        (queue(&app, "a", "one").await, queue(&app, "a", "two").await, queue(&app, "a", "3").await);
    let other = queue(&app, "b", "meanwhile").await;
    let done = until(&app, &other, "done").await;
    assert_eq!(done["result"]["source"], "llm");
    assert_eq!(look(&app, &first).await["status"], "queued");
    assert_eq!(app.metric("turn_queue_depth").await, Some(3.0));

    let taken_back = cancel(&app, &second).await;
    assert_eq!((taken_back.status, &taken_back.ok()["status"]), (200, &json!("cancelled")));
    let before = app.state("a").await;
    let told = cancel(&app, &held).await;
    assert_eq!(told.status, 202, "{told:?}");
    let ended = until(&app, &held, "cancelled").await;
    assert_eq!(ended.get("result"), None);
    assert_eq!(before["version"], 0);

    until(&app, &third, "done").await;
    assert_eq!(look(&app, &first).await["status"], "done");
    assert_eq!(inputs(&app, "a").await, ["one", "3"]);
    assert_eq!(app.state("a").await["version"], 2);
    for ended in [&held, &second, &third] {
        cancel(&app, ended).await.error(409, "conflict");
    }
    assert_eq!(app.metric("turn_queue_depth").await, Some(0.0));
    assert!(app.metric("turn_queue_seconds_count").await >= Some(4.0));
}

#[tokio::test]
async fn a_full_queue_refuses_with_the_waiting_time() {
    let mut provider = model().await;
    let app = model_setup(&provider).set("TURN_WORKERS", "1").set("TURN_QUEUE", "2").start().await;
    queue(&app, "a", HOLD).await;
    provider.until_open(1).await;
    let waiting = [queue(&app, "b", "one").await, queue(&app, "c", "two").await];
    let full = prefer(&app, "d", "three").await;
    full.error(503, "overloaded");
    assert_eq!(full.header("Retry-After"), Some("5"));
    assert_eq!(cancel(&app, &waiting[0]).await.status, 200);
    queue(&app, "d", "three").await;
}

#[tokio::test]
async fn a_turn_is_judged_when_queued_and_again_when_run() {
    let mut provider = model().await;
    let app = model_setup(&provider).set("TURN_WORKERS", "1").start().await;
    let denied = prefer(&app, "a", "run rm -rf / now").await;
    denied.error(422, "prompt_risky");
    assert_eq!(denied.header("Location"), None);
    assert_eq!(app.journal_of("&kind=gate.denied").await.len(), 1);

    let held = queue(&app, "a", HOLD).await;
    provider.until_open(1).await;
    let waiting = queue(&app, "b", "look around").await;
    app.post("/kill-switch", &json!({"on": true, "reason": "stop"})).await.ok();
    cancel(&app, &held).await.ok();
    let failed = until(&app, &waiting, "failed").await;
    assert_eq!(failed["error"]["code"], "kill_switch");
    assert!(failed["error"]["message"].as_str().unwrap().contains("stop"), "{failed}");
    assert!(failed["error"]["details"]["event_id"].is_u64(), "{failed}");
    assert_eq!(app.state("b").await["version"], 0);
    prefer(&app, "b", "look around").await.error(503, "kill_switch");
}

#[tokio::test]
async fn a_queued_turn_counts_once_toward_the_rate() {
    let app = Setup::new().set("RATE_LIMIT_RPS", "1").start().await;
    let id = queue(&app, "a", "look around").await;
    until(&app, &id, "done").await;
}

#[tokio::test]
async fn credentials_do_not_reach_the_disk_while_a_turn_waits_or_later() {
    let mut provider = model().await;
    let app = model_setup(&provider).policy(LENIENT).set("TURN_WORKERS", "1").start().await;
    let held = queue(&app, "a", HOLD).await;
    provider.until_open(1).await;
    let credentials = credentials();
    let mut waiting = Vec::new();
    for (n, Credential { text, .. }) in credentials.iter().enumerate() {
        waiting.push(queue(&app, &format!("b{n}"), &format!("keep it safe: {text}")).await);
    }
    let check = |app: &TestApp| {
        let files = ["agent.db", "agent.db-wal"].map(|file| app.read(file));
        let holds = |needle: &str| {
            let within =
                |file: &Vec<u8>| file.windows(needle.len()).any(|part| part == needle.as_bytes());
            files.iter().any(within)
        };
        assert!(holds("keep it safe: "), "the turns are not on the disk at all");
        let found = credentials.iter().find(|credential| holds(&credential.secret));
        assert!(found.is_none(), "{found:?}");
    };
    check(&app);
    cancel(&app, &held).await.ok();
    for (id, Credential { secret, .. }) in waiting.iter().zip(&credentials) {
        let done = until(&app, id, "done").await.to_string();
        assert!(!done.contains(secret), "{done}");
    }
    check(&app);
}

#[tokio::test]
async fn each_caller_reads_its_own_turns_only() {
    let app = Setup::new().set("API_TOKENS", "other=another-key").start().await;
    let id = queue(&app, "a", "look around").await;
    until(&app, &id, "done").await;
    let path = format!("/turns/{id}");
    for method in [Method::GET, Method::DELETE] {
        let request = app.bare(method.clone(), &path).header("X-API-Key", "another-key");
        Answer::of(request).await.error(404, "not_found");
        Answer::of(app.bare(method.clone(), &path)).await.error(401, "missing_api_key");
        for unknown in ["/turns/no-such-turn", "/turns/019ab3c1-7a52-7cc0-a0a5-0c9d9c3c7c11"] {
            Answer::of(app.request(method.clone(), unknown)).await.error(404, "not_found");
        }
    }
    let answer = Answer::of(app.request(Method::PUT, &path)).await;
    answer.error(405, "method_not_allowed");
    assert_eq!(answer.header("Allow"), Some("GET, HEAD, DELETE"));
}

#[tokio::test]
async fn a_restart_continues_the_queue() {
    let mut provider = model().await;
    let mut app = model_setup(&provider).set("TURN_WORKERS", "1").start().await;
    let held = queue(&app, "a", HOLD).await;
    provider.until_open(1).await;
    let (one, two) = (queue(&app, "a", "one").await, queue(&app, "a", "two").await);
    let other = queue(&app, "b", "other").await;
    // The held turn does not end within the grace period of the stop.
    app.restart().await;
    let ended = until(&app, &held, "failed").await;
    assert_eq!(ended["error"]["code"], "interrupted");
    for id in [&one, &two, &other] {
        until(&app, id, "done").await;
    }
    assert_eq!(inputs(&app, "a").await, ["one", "two"]);
    assert_eq!(inputs(&app, "b").await, ["other"]);
}

#[tokio::test]
async fn a_turn_that_was_running_during_a_kill_has_failed() {
    let mut provider = model().await;
    let mut app = model_setup(&provider).set("TURN_WORKERS", "1").start().await;
    let held = queue(&app, "a", HOLD).await;
    provider.until_open(1).await;
    let next = queue(&app, "a", "one").await;
    app.kill_9();
    app.start_again().await;
    let ended = look(&app, &held).await;
    assert_eq!(
        (&ended["status"], &ended["error"]["code"]),
        (&json!("failed"), &json!("interrupted"))
    );
    until(&app, &next, "done").await;
    assert_eq!(inputs(&app, "a").await, ["one"]);
}

#[tokio::test]
async fn a_lost_response_is_rebuilt_from_the_row() {
    let mut app = TestApp::start().await;
    let id = queue(&app, "hero", "explore the keep").await;
    let done = until(&app, &id, "done").await;
    forget_answers(&mut app).await;
    assert_eq!(look(&app, &id).await, done);
}

#[tokio::test]
async fn a_lost_narrated_response_is_rebuilt_from_the_rows() {
    let script = vec![
        Reply::tool_call("act", r#"{"action": "rest"}"#),
        Reply::tool_call("remember", r#"{"text": "the keep is empty"}"#),
        Reply::tool_call("recall", "{"),
        Reply::text("All is quiet."),
    ];
    let (_provider, mut app) = with_model(script).await;
    let id = queue(&app, "hero", "explore the keep").await;
    let done = until(&app, &id, "done").await;
    assert_eq!(done["result"]["steps"].as_array().unwrap().len(), 3, "{done}");
    forget_answers(&mut app).await;
    assert_eq!(look(&app, &id).await, done);
}

/// Callers choose request ids, so equal ids do not connect rows.
#[tokio::test]
async fn an_act_with_the_same_request_id_is_not_part_of_the_previous_turn() {
    let script = vec![Reply::tool_call("act", r#"{"action": "rest"}"#), Reply::text("Quiet.")];
    let (_provider, mut app) = with_model(script).await;
    let named = |path| app.request(Method::POST, path).header("X-Request-Id", "mine");
    let turn = json!({"agent_id": "hero", "input": "explore the keep"});
    let queued = named("/turn").header("Prefer", "respond-async").json(&turn);
    let id = Answer::of(queued).await.ok()["id"].as_str().unwrap().to_owned();
    let done = until(&app, &id, "done").await;
    Answer::of(named("/act").json(&json!({"agent_id": "hero", "action": "rest"}))).await.ok();
    forget_answers(&mut app).await;
    assert_eq!(look(&app, &id).await, done);
}

#[tokio::test]
async fn a_queued_turn_waits_while_its_agent_is_busy() {
    let reply = |nth: usize, _: &life_agent_groq::testing::Seen| {
        let told = Reply::text("The dawn comes.");
        if nth == 0 { told.slowly(Duration::from_millis(5)) } else { told }
    };
    let mut provider = StandIn::answering(reply).await.unwrap();
    // A direct request to the busy agent is refused immediately.
    let app = model_setup(&provider).set("AGENT_WAIT_SECONDS", "0").start().await;
    let body = json!({"agent_id": "a", "input": "wait for the dawn"});
    let under_way = tokio::spawn(app.request(Method::POST, "/turn").json(&body).send());
    provider.until_open(1).await;
    let id = queue(&app, "a", "and now?").await;
    until(&app, &id, "done").await;
    assert_eq!(under_way.await.unwrap().unwrap().status(), 200);
    assert_eq!(inputs(&app, "a").await, ["wait for the dawn", "and now?"]);
}

/// Turns of three agents are queued continuously while the process is killed repeatedly. Accepted turns run once and
/// in order, or fail without a trace.
#[tokio::test]
async fn kills_neither_lose_a_queued_turn_nor_run_it_twice() {
    let rounds =
        std::env::var("LIFE_AGENT_KILL_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap());
    let mut app = TestApp::start().await;
    let mut accepted: Vec<(String, String, String)> = Vec::new();
    for round in 0..rounds {
        let enough: usize = rand::rng().random_range(1..30);
        for n in 0..enough {
            let (agent, mark) = (format!("agent-{}", n % 3), format!("mark-{round}-{n}"));
            let id = queue(&app, &agent, &mark).await;
            accepted.push((agent, mark, id));
        }
        tokio::time::sleep(Duration::from_micros(rand::rng().random_range(0..20_000))).await;
        app.kill_9();
        app.start_again().await;
    }
    let mut expected: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut failed = 0;
    for (agent, mark, id) in &accepted {
        let ended = async {
            loop {
                let found = look(&app, id).await;
                if found.get("finished").is_some() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
        if ended["status"] == "done" {
            assert_eq!(ended["result"]["echo"]["input"], *mark);
            expected.entry(agent).or_default().push(mark);
        } else {
            assert_eq!(ended["error"]["code"], "interrupted", "{ended}");
            failed += 1;
        }
    }
    for (agent, marks) in expected {
        assert_eq!(inputs(&app, agent).await, marks, "{agent}");
    }
    println!("{} turns, {failed} interrupted in {rounds} kills", accepted.len());
    assert!(failed <= 4 * rounds, "no more than are taken at once");
}
