//! `approvals.webhook`: signed messages about approvals and plans, repeated until the receiver accepts them

use std::process::{Command, Stdio};

use life_agent_groq::testing::{Answer as Reply, Seen, StandIn};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::approvals::{asked, decide, post, push, setup};
use crate::support::{Event, Events, Setup, TestApp, credentials};

/// The secret of the documentation's example, and another one.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLDER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

fn accepted() -> Reply {
    Reply::new(204, "text/plain", "")
}

async fn receiver(script: Vec<Reply>) -> StandIn {
    StandIn::start(script).await.unwrap()
}

/// The address of a receiver. Its path is a credential, as at many services.
fn url(receiver: &StandIn) -> String {
    format!("{}/hooks/T0815-credential", receiver.base_url())
}

fn policy(url: &str) -> String {
    format!("version: '1'\nallowed_dirs: [plans]\napprovals: {{webhook: '{url}'}}\n")
}

/// A server with this receiver, before its start.
fn with(receiver: &StandIn) -> Setup {
    setup().policy(&policy(&url(receiver))).set("WEBHOOK_SECRET", SECRET)
}

fn plan() -> Value {
    json!({"intent": "greet", "target_paths": ["plans/a.md"], "edits": [
        {"op": "create", "path": "plans/a.md", "content": "Hello.\n"}]})
}

async fn attempts(app: &TestApp) -> Events {
    app.events("?kind=webhook.*").await
}

async fn next(events: &mut Events) -> (String, Value) {
    let event: Event = events.next().await;
    let row = event.json();
    (row["kind"].as_str().unwrap().to_owned(), row["data"].clone())
}

#[tokio::test]
async fn each_new_approval_and_plan_is_sent_once_and_recorded() {
    let receiver = receiver(vec![accepted()]).await;
    let app = with(&receiver).start().await;
    let mut record = attempts(&app).await;
    let id = asked(&post(&app, "gpt", "/tool", &push("main")).await);
    let (kind, first) = next(&mut record).await;
    let planned = post(&app, "gpt", "/plan", &plan()).await.ok();
    let (_, second) = next(&mut record).await;
    assert_eq!((kind.as_str(), &first["attempt"]), ("webhook.delivered", &json!(1)));
    assert_eq!((&first["about"], &first["status"]), (&json!(id), &json!(204)));
    assert_eq!(second["about"], planned["event_id"], "{second}");
    // The same request again asks nobody again.
    asked(&post(&app, "gpt", "/tool", &push("main")).await);
    asked(&post(&app, "gpt", "/tool", &push("other")).await);
    next(&mut record).await;

    let seen = receiver.seen();
    assert_eq!(seen.len(), 3);
    let approval = &seen[0].body;
    assert_eq!(approval["type"], "approval.requested");
    let data = &approval["data"];
    assert_eq!((&data["approval_id"], &data["principal"]), (&json!(id), &json!("gpt")));
    assert_eq!((&data["agent_id"], &data["kind"]), (&json!("gpt-1"), &json!("tool")));
    assert_eq!(data["url"], format!("http://{}/ui#/approvals/{id}", app.addr()));
    assert!(data["summary"].as_str().unwrap().contains("git push"), "{data}");
    let plan = &seen[1].body;
    assert_eq!((&plan["type"], &plan["data"]["intent"]), (&json!("plan.created"), &json!("greet")));
    assert_eq!(plan["data"]["plan_id"], planned["id"]);
    for seen in &seen {
        assert_eq!(seen.header("content-type"), Some("application/json"));
        assert!(seen.line.ends_with("/hooks/T0815-credential"), "{}", seen.line);
        assert!(seen.header("authorization").is_none() && seen.header("x-api-key").is_none());
    }
    let counted = app.metric(r#"webhook_attempts_total{outcome="delivered"}"#).await;
    assert_eq!(counted, Some(3.0));
}

fn message(seen: &Seen) -> Value {
    let header = |name: &str| (name.to_owned(), json!(seen.header(name).unwrap()));
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<_, _> = names.into_iter().map(header).collect();
    json!({"headers": headers, "body": String::from_utf8(seen.raw.clone()).unwrap()})
}

#[tokio::test]
async fn the_package_of_the_standard_accepts_the_signatures() {
    let python = std::env::var("LIFE_AGENT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&python).args(["-c", "import standardwebhooks"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        let needed = std::env::var_os("LIFE_AGENT_NEED_WEBHOOKS").is_some_and(|need| need == "1");
        assert!(
            !needed,
            "`{python}` has no package `standardwebhooks`; `pip install standardwebhooks`"
        );
        eprintln!("SKIPPED: `{python}` has no package `standardwebhooks`; nothing was tested");
        return;
    }
    let receiver = receiver(vec![accepted()]).await;
    let both = format!("{SECRET} {OLDER}");
    let app = with(&receiver).set("WEBHOOK_SECRET", &both).start().await;
    asked(&post(&app, "gpt", "/tool", &push("main")).await);
    post(&app, "gpt", "/plan", &plan()).await.ok();
    receiver.until_seen(2).await;
    let messages: Vec<_> = receiver.seen().iter().map(message).collect();
    for secret in [SECRET, OLDER] {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/http/webhook_client.py");
        let mut command = tokio::process::Command::new(&python);
        let piped = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
        let given = json!({"secret": secret, "messages": messages}).to_string();
        child.stdin.take().unwrap().write_all(given.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complained}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("all is well"));
    }
}

#[tokio::test]
async fn a_receiver_that_fails_gets_the_same_message_again() {
    let elsewhere = receiver(vec![accepted()]).await;
    let redirect = Reply::new(307, "text/plain", "").header("location", &url(&elsewhere));
    for (failure, error, status) in [
        (Reply::new(500, "text/plain", "out of order"), "status", json!(500)),
        (Reply::new(429, "text/plain", "").header("retry-after", "2"), "status", json!(429)),
        (redirect, "status", json!(307)),
        (Reply::hang_up(), "connection", Value::Null),
        (Reply::silence(), "timeout", Value::Null),
    ] {
        let receiver = receiver(vec![failure, accepted()]).await;
        let app = with(&receiver).start().await;
        let mut record = attempts(&app).await;
        let id = asked(&post(&app, "gpt", "/tool", &push("main")).await);
        let (kind, failed) = next(&mut record).await;
        assert_eq!(
            (kind.as_str(), &failed["error"]),
            ("webhook.failed", &json!(error)),
            "{failed}"
        );
        assert_eq!((&failed["status"], &failed["about"]), (&status, &json!(id)), "{failed}");
        assert!(failed["next_attempt_at"].is_string(), "{failed}");
        let (kind, delivered) = next(&mut record).await;
        assert_eq!((kind.as_str(), &delivered["attempt"]), ("webhook.delivered", &json!(2)));
        assert_eq!(delivered["webhook_id"], failed["webhook_id"]);
        let seen = receiver.seen();
        assert_eq!((seen.len(), &seen[0].raw), (2, &seen[1].raw), "{error}");
        assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    }
    assert!(elsewhere.seen().is_empty(), "no redirect is followed");
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_left_alone_until_the_next_start() {
    let receiver = receiver(vec![Reply::new(410, "text/plain", ""), accepted()]).await;
    let mut app = with(&receiver).start().await;
    let mut record = attempts(&app).await;
    asked(&post(&app, "gpt", "/tool", &push("one")).await);
    let (_, gone) = next(&mut record).await;
    assert_eq!((&gone["error"], &gone["status"]), (&json!("gone"), &json!(410)));
    assert!(gone.get("next_attempt_at").is_none(), "{gone}");
    asked(&post(&app, "gpt", "/tool", &push("two")).await);
    let (kind, left) = next(&mut record).await;
    assert_eq!((kind.as_str(), &left["attempt"]), ("webhook.failed", &json!(0)), "{left}");
    assert_eq!((&left["error"], receiver.seen().len()), (&json!("gone"), 1));
    drop(record);
    app.restart().await;
    let mut record = attempts(&app).await;
    let id = asked(&post(&app, "gpt", "/tool", &push("three")).await);
    assert_eq!(next(&mut record).await.1["about"], id);
    assert_eq!(receiver.seen().len(), 2, "what was given up stays so");
}

#[tokio::test]
async fn what_was_not_delivered_is_sent_after_a_kill_and_nothing_twice() {
    let answers = |nth: usize, _: &Seen| match nth {
        0 => accepted(),
        1 => Reply::new(503, "text/plain", ""),
        2 => Reply::silence(),
        _ => accepted(),
    };
    let receiver = StandIn::answering(answers).await.unwrap();
    let mut app = with(&receiver).start().await;
    let mut record = attempts(&app).await;
    let first = asked(&post(&app, "gpt", "/tool", &push("one")).await);
    assert_eq!(next(&mut record).await.1["about"], first);
    let failed = asked(&post(&app, "gpt", "/tool", &push("two")).await);
    assert_eq!(next(&mut record).await.1["about"], failed);
    // Whichever of the two comes now is answered with silence.
    let open = asked(&post(&app, "gpt", "/tool", &push("three")).await);
    receiver.until_seen(3).await;
    app.kill_9();
    drop(record);
    app.start_again().await;
    receiver.until_seen(5).await;
    let mut record = app.events_after("?kind=webhook.*", Some(0)).await;
    let mut delivered = Vec::new();
    while delivered.len() < 3 {
        let (kind, data) = next(&mut record).await;
        if kind == "webhook.delivered" {
            delivered.push(data["about"].as_u64().unwrap());
        }
    }
    delivered.sort_unstable();
    assert_eq!(delivered, [first, failed, open]);
    let ids: Vec<_> =
        receiver.seen().iter().map(|s| s.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(ids.iter().filter(|id| **id == ids[0]).count(), 1, "{ids:?}");
}

#[tokio::test]
async fn an_approval_that_was_decided_is_not_announced_any_more() {
    let receiver = receiver(vec![Reply::new(500, "text/plain", ""), accepted()]).await;
    let app = with(&receiver).start().await;
    let mut record = attempts(&app).await;
    let decided = asked(&post(&app, "gpt", "/tool", &push("one")).await);
    assert_eq!(next(&mut record).await.1["error"], "status");
    decide(&app, "eve", decided, "deny").await.ok();
    // The next message comes after the time at which the other one would have come.
    let plan = post(&app, "gpt", "/plan", &plan()).await.ok()["event_id"].clone();
    assert_eq!(next(&mut record).await.1["about"], plan);
    let last = asked(&post(&app, "gpt", "/tool", &push("two")).await);
    assert_eq!(next(&mut record).await.1["about"], last);
    let about_decided = |seen: &&Seen| seen.body["data"]["approval_id"] == decided;
    assert_eq!(receiver.seen().iter().filter(about_decided).count(), 1);
}

#[tokio::test]
async fn a_webhook_without_a_secret_is_not_accepted() {
    let receiver = receiver(vec![accepted()]).await;
    let refused = with(&receiver).unset("WEBHOOK_SECRET").refused().await;
    let said = refused.in_words();
    assert!(said.contains("approvals.webhook") && said.contains("WEBHOOK_SECRET"), "{said}");
    assert!(!said.contains("T0815-credential"), "{said}");

    let none = "version: '1'\nallowed_dirs: [plans]\n";
    let app = with(&receiver).unset("WEBHOOK_SECRET").policy(none).start().await;
    let hash = app.get("/policy").await.ok()["hash"].clone();
    std::fs::write(app.folder().join("policies/with.yaml"), policy(&url(&receiver))).unwrap();
    let path = json!({"path": "policies/with.yaml"});
    for call in ["/policy/validate", "/policy/reload"] {
        let faults = app.post(call, &path).await.fault_paths("policy_invalid");
        assert_eq!(faults, ["approvals.webhook"], "{call}");
    }
    assert_eq!(app.get("/policy").await.ok()["hash"], hash);
    assert!(receiver.seen().is_empty());
}

#[tokio::test]
async fn a_webhook_of_a_reloaded_policy_receives_new_requests_only() {
    let receiver = receiver(vec![accepted()]).await;
    let none = "version: '1'\nallowed_dirs: [plans]\n";
    let mut app = with(&receiver).policy(none).start().await;
    asked(&post(&app, "gpt", "/tool", &push("before")).await);
    std::fs::write(app.folder().join("policy/policy.yaml"), policy(&url(&receiver))).unwrap();
    app.post_nothing("/policy/reload").await.ok();
    let mut record = attempts(&app).await;
    let id = asked(&post(&app, "gpt", "/tool", &push("after")).await);
    assert_eq!(next(&mut record).await.1["about"], id);
    drop(record);
    app.restart().await;
    let mut record = attempts(&app).await;
    let later = asked(&post(&app, "gpt", "/tool", &push("later")).await);
    assert_eq!(next(&mut record).await.1["about"], later);
    assert_eq!(receiver.seen().len(), 2);
}

#[tokio::test]
async fn no_message_has_a_credential_and_nobody_sees_the_address_or_the_secret() {
    let receiver = receiver(vec![accepted()]).await;
    let mut app = with(&receiver).set("LOG_LEVEL", "TRACE").start().await;
    let mut told = 0;
    for credential in credentials() {
        let mut call = push("main");
        let command = format!("git push --force https://x:{}@example.com main", credential.text);
        call["arguments"]["command"] = json!(command);
        let answer = post(&app, "gpt", "/tool", &call).await;
        told += usize::from(answer.text().contains("approval_id"));
        let intent = format!("use {}", credential.text);
        let body = json!({"intent": intent, "target_paths": ["plans/a.md"]});
        told += usize::from(post(&app, "gpt", "/plan", &body).await.status == 200);
    }
    asked(&post(&app, "gpt", "/tool", &push("last")).await);
    receiver.until_seen(told + 1).await;
    for seen in receiver.seen() {
        for credential in credentials() {
            let text = String::from_utf8_lossy(&seen.raw).into_owned();
            assert!(!text.contains(&credential.secret), "{}: {text}", credential.shape);
        }
    }
    let mut shown = String::new();
    for path in ["/journal", "/policy", "/approvals"] {
        shown += &app.get(path).await.text();
    }
    app.stop().await;
    shown += &String::from_utf8(app.read("logs/app.log")).unwrap();
    shown += &app.complained();
    for hidden in ["T0815-credential", SECRET, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        let at = shown.find(hidden).map(|at| &shown[at.saturating_sub(200)..at]);
        assert_eq!(at, None, "{hidden}");
    }
}

#[tokio::test]
async fn a_secret_that_is_none_stops_the_start_and_is_not_shown() {
    for bad in ["whsec_c2hvcnQ=", "plain-text-secret-0815", "whsec_!!!!"] {
        let refused = Setup::new().set("WEBHOOK_SECRET", bad).refused().await;
        assert!(refused.stderr.contains("WEBHOOK_SECRET"), "{refused:?}");
        assert!(!refused.stderr.contains(bad), "{refused:?}");
    }
}
