//! `ask` in a policy, `/approvals` and the decision of a person: one exact request passes, once, in time.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Digest;
use tokio::task::JoinSet;

use crate::support::{Answer, Row, Setup, TestApp};

/// The callers: two agents and a reviewer. The key of the tests may do everything.
const NAMES: [(&str, &str); 3] = [("gpt", "agent"), ("bot", "agent"), ("eve", "reviewer")];

pub(crate) fn key(name: &str) -> String {
    format!("key-of-{name}-0123456789")
}

pub(crate) fn setup() -> Setup {
    let tokens: Vec<_> =
        NAMES.iter().map(|(name, role)| format!("{name}[{role}]={}", key(name))).collect();
    Setup::new().set("API_TOKENS", &tokens.join(","))
}

/// A policy that asks about pushes and about these kinds of requests.
pub(crate) fn policy(approvals: &str) -> String {
    format!(
        "version: \"1\"\nallowed_dirs: [plans]\n{approvals}\nrules:\n\
         - {{id: ask-act, match: {{kinds: [act], actions: [deploy]}}, effect: ask}}\n\
         - {{id: ask-turn, match: {{kinds: [turn], inputs: [launch]}}, effect: ask}}\n\
         - {{id: ask-plan, match: {{kinds: [plan]}}, effect: ask}}\n"
    )
}

pub(crate) async fn post(app: &TestApp, name: &str, path: &str, body: &Value) -> Answer {
    Answer::of(app.bare(Method::POST, path).header("X-API-Key", key(name)).json(body)).await
}

pub(crate) async fn get(app: &TestApp, name: &str, path: &str) -> Answer {
    Answer::of(app.bare(Method::GET, path).header("X-API-Key", key(name))).await
}

pub(crate) fn push(branch: &str) -> Value {
    json!({
        "agent_id": "gpt-1", "tool": "Bash", "cwd": "/home/ann/project", "session_id": "s-1",
        "arguments": {"command": format!("git push --force origin {branch}")},
    })
}

/// The id of the approval that a refused request waits for.
#[track_caller]
pub(crate) fn asked(answer: &Answer) -> u64 {
    let error = answer.error(403, "approval_required");
    error["details"]["approval_id"].as_u64().unwrap_or_else(|| panic!("no approval: {answer:?}"))
}

pub(crate) async fn decide(app: &TestApp, name: &str, id: u64, decision: &str) -> Answer {
    let body = json!({"decision": decision, "note": "as agreed"});
    post(app, name, &format!("/approvals/{id}/decision"), &body).await
}

pub(crate) async fn rows(app: &TestApp, kind: &str) -> Vec<Row> {
    app.journal_of(&format!("&kind={kind}")).await
}

/// The ids of the approvals that rows of a kind name.
pub(crate) async fn named(app: &TestApp, kind: &str) -> Vec<u64> {
    let rows = rows(app, kind).await;
    rows.iter().map(|row| row.json()["approval_id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn an_approved_call_passes_exactly_once() {
    let app = setup().start().await;
    let first = post(&app, "gpt", "/tool", &push("main")).await;
    let id = asked(&first);
    let details = &first.json()["error"]["details"];
    let url = format!("http://{}/ui#/approvals/{id}", app.addr());
    assert_eq!((&details["url"], &details["gate"]), (&json!(url), &json!("command")));
    assert_eq!(asked(&post(&app, "gpt", "/tool", &push("main")).await), id, "asked only once");
    let requested = rows(&app, "approval.requested").await;
    assert_eq!(requested.len(), 1);
    let data = requested[0].json();
    assert_eq!(
        (requested[0].id, &data["principal"], &data["kind"]),
        (id, &json!("gpt"), &json!("tool"))
    );
    assert_eq!((&data["agent_id"], &data["expires_at"]), (&json!("gpt-1"), &details["expires_at"]));
    assert!(data["policy_hash"].is_string() && data["digest"].is_string(), "{data}");

    let listed = get(&app, "eve", "/approvals?status=pending").await.ok();
    assert_eq!(listed["approvals"][0]["approval_id"], id);
    let shown = get(&app, "eve", &format!("/approvals/{id}")).await.ok();
    assert_eq!(shown["request"]["arguments"], push("main")["arguments"]);
    let text = shown["request_text"].as_str().unwrap();
    assert!(requested[0].data.get().contains(text), "byte for byte as recorded: {text}");
    assert_eq!((&shown["status"], &shown["may_decide"]), (&json!("pending"), &json!(true)));
    assert_eq!(shown["command"][0]["effect"], "publish", "{shown}");
    let own = get(&app, "gpt", &format!("/approvals/{id}")).await.ok();
    assert_eq!(own["may_decide"], false);

    let checked = json!({"kind": "tool"});
    let mut check = push("main");
    check.as_object_mut().unwrap().extend(checked.as_object().unwrap().clone());
    assert_eq!(post(&app, "gpt", "/check", &check).await.ok()["code"], "approval_required");
    let decided = decide(&app, "eve", id, "approve").await.ok();
    assert_eq!(decided["status"], "approved");
    assert_eq!(decided["decided"]["principal"], "eve");
    decide(&app, "eve", id, "deny").await.error(409, "conflict");
    assert_eq!(post(&app, "gpt", "/check", &check).await.ok()["decision"], "allow");

    let passed = post(&app, "gpt", "/tool", &push("main")).await.ok();
    assert_eq!((&passed["decision"], &passed["approval_id"]), (&json!("allow"), &json!(id)));
    let all = app.journal().await;
    let row = all.iter().find(|row| row.id == passed["event_id"]).unwrap();
    let used = all.iter().find(|row| row.kind == "approval.used").unwrap();
    assert_eq!((used.id, &used.json()["approval_id"]), (row.id + 1, &json!(id)), "one commit");
    assert_eq!((used.principal.as_str(), used.agent_id.as_deref()), ("gpt", Some("gpt-1")));
    assert_eq!(get(&app, "eve", &format!("/approvals/{id}")).await.ok()["status"], "used");
    assert_ne!(asked(&post(&app, "gpt", "/tool", &push("main")).await), id, "it passes once");
    assert_eq!(named(&app, "approval.used").await, [id]);
    let (status, report) = replayed(&app);
    assert_eq!((status, &report["divergence_count"]), (Some(0), &json!(0)), "{report}");
}

pub(crate) fn replayed(app: &TestApp) -> (Option<i32>, Value) {
    let output = app.command().args(["replay", "--json"]).output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[tokio::test]
async fn a_call_that_differs_in_anything_needs_an_approval_of_its_own() {
    let app = setup().start().await;
    let id = asked(&post(&app, "gpt", "/tool", &push("main")).await);
    decide(&app, "eve", id, "approve").await.ok();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut body = push("main");
        change(&mut body);
        body
    };
    let others = [
        ("gpt", push("main2")),
        ("gpt", changed(&|body| body["arguments"]["timeout"] = json!(1))),
        (
            "gpt",
            changed(&|body| body["arguments"]["command"] = json!("git push --force  origin main")),
        ),
        ("gpt", changed(&|body| body["agent_id"] = json!("gpt-2"))),
        ("gpt", changed(&|body| body["cwd"] = json!("/home/ann/other"))),
        ("gpt", changed(&|body| body["session_id"] = json!("s-2"))),
        ("gpt", changed(&|body| body["tool"] = json!("shell"))),
        ("bot", push("main")),
    ];
    let mut ids = BTreeSet::from([id]);
    for (name, body) in &others {
        let other = asked(&post(&app, name, "/tool", body).await);
        assert!(ids.insert(other), "{name} {body} has an approval of another request");
    }
    // Under another text of the policy, the same request is another one.
    let path = "policy/policy.yaml";
    let text = String::from_utf8(app.read(path)).unwrap();
    std::fs::write(app.folder().join(path), format!("{text}\n# changed\n")).unwrap();
    app.post("/policy/reload", &json!({})).await.ok();
    assert!(ids.insert(asked(&post(&app, "gpt", "/tool", &push("main")).await)));
    assert!(named(&app, "approval.used").await.is_empty());
    std::fs::write(app.folder().join(path), text).unwrap();
    app.post("/policy/reload", &json!({})).await.ok();
    post(&app, "gpt", "/tool", &push("main")).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_repetitions_at_the_same_time_one_passes() {
    let app = setup().start().await;
    let id = asked(&post(&app, "gpt", "/tool", &push("main")).await);
    decide(&app, "eve", id, "approve").await.ok();
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        let request = app.bare(Method::POST, "/tool").header("X-API-Key", key("gpt"));
        calls.spawn(Answer::of(request.json(&push("main"))));
    }
    let answers = calls.join_all().await;
    let passed = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(passed, 1);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_ne!(asked(refused), id);
    }
    assert_eq!(named(&app, "approval.used").await, [id]);
}

#[tokio::test]
async fn a_restart_keeps_approvals_and_a_kill_never_lets_one_pass_twice() {
    let mut app = setup().start().await;
    let waiting = asked(&post(&app, "gpt", "/tool", &push("waiting")).await);
    let rounds = 6;
    for round in 0..rounds {
        let body = push(&format!("round-{round}"));
        let id = asked(&post(&app, "gpt", "/tool", &body).await);
        if round == 0 {
            app.restart().await;
            assert_eq!(asked(&post(&app, "gpt", "/tool", &body).await), id, "still pending");
        }
        decide(&app, "eve", id, "approve").await.ok();
        if round == 1 {
            app.restart().await;
        }
        let request = app.bare(Method::POST, "/tool").header("X-API-Key", key("gpt")).json(&body);
        let call = tokio::spawn(Answer::try_of(request));
        tokio::time::sleep(Duration::from_micros(rand::rng().random_range(0..4_000))).await;
        app.kill_9();
        let answered = call.await.unwrap().is_ok_and(|answer| answer.status == 200);
        app.start_again().await;
        let uses = named(&app, "approval.used").await;
        let passed = rows(&app, "tool.requested").await;
        let passed = passed.iter().filter(|row| row.json()["approval_id"] == id).count();
        let used = uses.iter().filter(|used| **used == id).count();
        assert_eq!(used, passed, "the use and the call are one commit");
        assert!(used <= 1 && (used == 1 || !answered));
        // An approval that was not used still passes, once.
        let again = post(&app, "gpt", "/tool", &body).await;
        assert_eq!(again.status == 200, used == 0, "{again:?}");
        assert_ne!(post(&app, "gpt", "/tool", &body).await.status, 200);
    }
    assert_eq!(asked(&post(&app, "gpt", "/tool", &push("waiting")).await), waiting);
}

#[tokio::test]
async fn an_approval_expires_to_the_second() {
    let app = setup().policy(&policy("approvals: {expire_seconds: 1}")).start().await;
    let answer = post(&app, "gpt", "/tool", &push("main")).await;
    let id = asked(&answer);
    let expired = async {
        loop {
            if let Some(row) = rows(&app, "approval.expired").await.pop() {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let expired = tokio::time::timeout(Duration::from_secs(20), expired).await.unwrap();
    assert_eq!(
        (&expired.json()["approval_id"], expired.principal.as_str()),
        (&json!(id), "system")
    );
    let requested = rows(&app, "approval.requested").await.remove(0);
    let details = answer.json()["error"]["details"].clone();
    let expires = details["expires_at"].as_str().unwrap();
    let life = (millis(expires) - millis(&requested.ts)).rem_euclid(24 * 3_600_000);
    assert!((1..=1000).contains(&life), "{life}");
    assert!(expired.ts.as_str() >= expires, "not before its time: {} {expires}", expired.ts);
    decide(&app, "eve", id, "approve").await.error(409, "conflict");
    assert_eq!(get(&app, "eve", &format!("/approvals/{id}")).await.ok()["status"], "expired");
    assert_ne!(asked(&post(&app, "gpt", "/tool", &push("main")).await), id);
    let listed = get(&app, "eve", "/approvals?status=expired").await.ok();
    assert_eq!(listed["approvals"][0]["approval_id"], id);
}

/// Milliseconds since midnight of a time such as `2026-11-22T20:51:10.000000Z`.
fn millis(time: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| time.get(range).unwrap().parse::<i64>().unwrap();
    ((number(11..13) * 60 + number(14..16)) * 60 + number(17..19)) * 1000 + number(20..23)
}

#[tokio::test]
async fn nobody_decides_about_their_own_request() {
    let entry = |name: &str, role: &str, person: &str| {
        let digest = hex::encode(sha2::Sha256::digest(key(name).as_bytes()));
        format!(
            "- {{name: {name}, digest: 'sha256:{digest}', roles: [{role}], person: {person}}}\n"
        )
    };
    let file = |second: &str| {
        let keys = [
            entry("gpt", "operator", "Ann"),
            entry(second, "reviewer", "Ann"),
            entry("eve", "reviewer", "Eve"),
        ];
        format!("keys:\n{}", keys.concat())
    };
    let setup = Setup::new().file("keys.yaml", file("ann")).set("KEYS_FILE", "keys.yaml");
    let app = setup.start().await;
    let id = asked(&post(&app, "gpt", "/tool", &push("main")).await);
    for decision in ["approve", "deny"] {
        decide(&app, "gpt", id, decision).await.error(403, "own_request");
        decide(&app, "ann", id, decision).await.error(403, "own_request");
    }
    assert_eq!(get(&app, "ann", &format!("/approvals/{id}")).await.ok()["may_decide"], false);
    assert!(rows(&app, "approval.decided").await.is_empty());
    decide(&app, "eve", id, "deny").await.ok();
    let denied = rows(&app, "approval.decided").await.remove(0);
    let data = denied.json();
    assert_eq!(
        (denied.principal.as_str(), &data["decision"], &data["person"]),
        ("eve", &json!("deny"), &json!("Eve"))
    );
    assert_eq!((&data["note"], &data["approval_id"]), (&json!("as agreed"), &json!(id)));
    let again = asked(&post(&app, "gpt", "/tool", &push("main")).await);
    assert_ne!(again, id, "a denied request may ask again");
    assert_eq!(get(&app, "eve", &format!("/approvals/{id}")).await.ok()["status"], "denied");
}

#[tokio::test]
async fn the_same_key_under_another_name_is_the_same_caller() {
    let mut app = setup().start().await;
    let id = asked(&post(&app, "gpt", "/tool", &push("main")).await);
    let tokens = format!("other[reviewer]={},eve[reviewer]={}", key("gpt"), key("eve"));
    app.set_for_next_start("API_TOKENS", &tokens);
    app.restart().await;
    decide(&app, "gpt", id, "approve").await.error(403, "own_request");
    decide(&app, "eve", id, "approve").await.ok();
}

#[tokio::test]
async fn who_may_see_and_decide_follows_the_key() {
    let app = setup().start().await;
    let id = asked(&post(&app, "gpt", "/tool", &push("main")).await);
    decide(&app, "bot", id, "approve").await.error(403, "scope_missing");
    let bad = json!({"decision": "perhaps", "notes": 1});
    let faults = post(&app, "eve", &format!("/approvals/{id}/decision"), &bad).await;
    assert_eq!(faults.fault_paths("validation_error"), ["decision", "notes"]);
    for path in ["/approvals/0", "/approvals/x", "/approvals/99999"] {
        get(&app, "eve", path).await.error(404, "not_found");
        post(&app, "eve", &format!("{path}/decision"), &json!({"decision": "deny"}))
            .await
            .error(404, "not_found");
    }
    get(&app, "eve", "/approvals?status=open").await.error(422, "validation_error");
}
