//! Scopes, agents, `KEYS_FILE` and `/whoami`: what each key may do.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::Digest;

use crate::support::{Answer, Events, Setup, TestApp};

/// One key per role, and one per single scope.
const ROLES: [(&str, &[&str]); 6] = [
    ("agent", &["act"]),
    ("observer", &["read"]),
    ("reviewer", &["read", "approve"]),
    ("author", &["read", "policy"]),
    ("operator", &["act", "read", "approve", "policy", "operate"]),
    ("operate", &["operate"]),
];

fn key(name: &str) -> String {
    format!("key-of-{name}-0123456789")
}

async fn with_roles() -> TestApp {
    let tokens: Vec<_> =
        ROLES.iter().map(|(role, _)| format!("{role}[{role}]={}", key(role))).collect();
    Setup::new().set("API_TOKENS", &tokens.join(",")).start().await
}

async fn call(app: &TestApp, method: &str, path: &str, key: &str, body: Option<&Value>) -> Answer {
    let request = app.bare(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), path);
    let request = request.header("X-API-Key", key);
    Answer::of(match body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

/// The sufficient scopes of an operation; empty for a public operation and for one that accepts any key.
fn sufficient(operation: &Value) -> Option<BTreeSet<String>> {
    let scopes = operation["x-required-scope"].as_array().unwrap();
    let scopes: BTreeSet<_> =
        scopes.iter().map(|scope| scope.as_str().unwrap().to_owned()).collect();
    let named = !["public", "any"].iter().any(|scope| scopes.contains(*scope));
    named.then_some(scopes)
}

#[tokio::test]
async fn every_operation_is_permitted_to_the_roles_with_its_scope_only() {
    let app = with_roles().await;
    let document = Answer::of(app.bare(Method::GET, "/openapi.json")).await.ok();
    let mut refused = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(scopes) = sufficient(operation) else { continue };
            // The stream of a key that may read it never ends; `a_revoked_key_…` opens it.
            if path == "/events" {
                continue;
            }
            for (role, granted) in ROLES {
                // Invalid bodies and unknown ids change nothing, and scopes are checked before them.
                let place = path.replace("{id}", "none");
                let body = json!({"unknown": true});
                let body = (method == "post").then_some(&body);
                let answer = call(&app, method, &place, &key(role), body).await;
                let allowed = granted.iter().any(|scope| scopes.contains(*scope));
                let what = format!("{method} {path} as {role}: {answer:?}");
                if allowed {
                    assert_ne!(answer.status, 403, "{what}");
                } else {
                    let error = answer.error(403, "scope_missing");
                    let required = error["details"]["required_scope"].as_str().unwrap();
                    assert_eq!(required, operation["x-required-scope"][0], "{what}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 50, "{refused}");
}

#[tokio::test]
async fn scopes_are_checked_before_the_body_is_read() {
    let app = with_roles().await;
    let request = app.bare(Method::POST, "/act").header("X-API-Key", key("observer"));
    Answer::of(request.body("{")).await.error(403, "scope_missing");
    let request = app.bare(Method::POST, "/act").header("X-API-Key", key("observer"));
    let request =
        request.header("Idempotency-Key", "k").json(&json!({"agent_id": "a", "action": "rest"}));
    Answer::of(request).await.error(403, "scope_missing");
}

const KEYS: &str =
    "keys:\n- {name: gpt, digest: 'DIGEST', roles: [agent], agents: ['gpt-*'], person: Ann}\n";

fn keys_file(text: &str) -> String {
    let digest = sha2::Sha256::digest(key("gpt").as_bytes());
    text.replace("DIGEST", &format!("sha256:{}", hex::encode(digest)))
}

async fn with_file() -> TestApp {
    Setup::new().file("keys.yaml", keys_file(KEYS)).set("KEYS_FILE", "keys.yaml").start().await
}

#[tokio::test]
async fn a_key_reaches_its_own_agents_only() {
    let app = with_file().await;
    let gpt = key("gpt");
    for agent in ["gpt-1", "hero"] {
        app.act(agent, "rest").await;
    }
    let act = |agent: &str| json!({"agent_id": agent, "action": "rest"});
    let turn = |agent: &str| json!({"agent_id": agent, "input": "explore"});
    let check = |agent: &str| json!({"kind": "act", "agent_id": agent, "action": "rest"});
    let rows = app.last_id().await;
    for (path, body) in [("/act", act("hero")), ("/turn", turn("hero")), ("/check", check("hero"))]
    {
        let error = call(&app, "post", path, &gpt, Some(&body)).await.error(403, "agent_forbidden");
        assert_eq!(error["details"]["agents"], json!(["gpt-*"]), "{path}");
    }
    for path in [
        "/state?agent_id=hero",
        "/memory?agent_id=hero",
        "/journal?agent_id=hero",
        "/events?agent_id=hero",
    ] {
        call(&app, "get", path, &gpt, None).await.error(403, "agent_forbidden");
    }
    let added: Vec<_> = app.journal().await.into_iter().filter(|row| row.id > rows).collect();
    assert!(added.iter().all(|row| row.kind == "gate.denied"), "only denials: {added:?}");
    for (path, body) in
        [("/act", act("gpt-1")), ("/turn", turn("gpt-2")), ("/check", check("gpt-3"))]
    {
        call(&app, "post", path, &gpt, Some(&body)).await.ok();
    }
    call(&app, "get", "/state?agent_id=gpt-1", &gpt, None).await.ok();
    let listed = call(&app, "get", "/state", &gpt, None).await.ok();
    let agents: Vec<_> =
        listed["agents"].as_array().unwrap().iter().map(|a| a["agent_id"].clone()).collect();
    assert_eq!(agents, ["gpt-1", "gpt-2"]);
    let page = call(&app, "get", "/journal", &gpt, None).await.ok();
    for row in page["events"].as_array().unwrap() {
        // Rows without an agent are visible to the key that caused them.
        let own = row["agent_id"].is_null() && row["principal"] == "gpt";
        let agent = row["agent_id"].as_str();
        assert!(own || agent.is_some_and(|agent| agent.starts_with("gpt-")), "{row}");
    }
}

#[tokio::test]
async fn whoami_states_what_a_key_grants() {
    let app = with_file().await;
    let own = call(&app, "get", "/whoami", &key("gpt"), None).await.ok();
    assert_eq!(
        (&own["principal"], &own["person"], &own["scopes"], &own["agents"], &own["expires"]),
        (&json!("gpt"), &json!("Ann"), &json!(["act"]), &json!(["gpt-*"]), &Value::Null)
    );
    let all = app.get("/whoami").await.ok();
    assert_eq!(all["scopes"], json!(["act", "read", "approve", "policy", "operate"]));
    assert_eq!(all["agents"], Value::Null);
    assert_eq!(Answer::of(app.bare(Method::GET, "/whoami")).await.status, 401);
}

#[tokio::test]
async fn a_revoked_key_and_its_streams_end_and_a_faulty_file_changes_nothing() {
    let app = with_file().await;
    let gpt = key("gpt");
    let file = app.folder().join("keys.yaml");
    let stream = app.bare(Method::GET, "/events").header("X-API-Key", &gpt);
    let events = Events::open(stream).await;
    std::fs::write(&file, "keys: [{name: gpt}]").unwrap();
    wait_for_log(&app, "KEYS_FILE has changed and is not valid").await;
    call(&app, "get", "/whoami", &gpt, None).await.ok();
    std::fs::write(&file, "keys: []\n").unwrap();
    events.ends_cleanly().await;
    call(&app, "get", "/whoami", &gpt, None).await.error(401, "invalid_api_key");
    app.get("/whoami").await.ok();
}

async fn wait_for_log(app: &TestApp, text: &str) {
    for _ in 0..200 {
        if String::from_utf8_lossy(&app.read("logs/app.log")).contains(text) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("`{text}` was not logged");
}

#[tokio::test]
async fn keys_are_created_listed_and_revoked_on_the_command_line() {
    let app = with_file().await;
    let run = |arguments: &[&str]| {
        let output = app.command().args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, printed) = run(&["key", "new", "--name", "bot", "--role", "observer"]);
    assert_eq!(code, Some(0), "{printed}");
    let new = printed.trim().to_owned();
    let text = String::from_utf8(app.read("keys.yaml")).unwrap();
    assert!(text.contains("name: bot") && !text.contains(&new), "{text}");
    wait_for_log(&app, "KEYS_FILE has changed and is active").await;
    let own = call(&app, "get", "/whoami", &new, None).await.ok();
    assert_eq!(own["scopes"], json!(["read"]));
    let (code, listed) = run(&["key", "list", "--json"]);
    assert_eq!(code, Some(0));
    assert!(listed.contains("bot") && listed.contains("gpt") && !listed.contains(&new), "{listed}");
    assert_eq!(
        run(&["key", "new", "--name", "bot", "--role", "agent"]).0,
        Some(2),
        "one name, one key"
    );
    assert_eq!(run(&["key", "revoke", "bot"]).0, Some(0));
    assert_eq!(run(&["key", "revoke", "bot"]).0, Some(1), "already revoked");
}

#[tokio::test]
async fn a_key_that_is_ambiguous_or_guessable_stops_the_start() {
    for (name, value, reason) in [
        ("API_TOKENS", "a=key-one,a=key-two", "the name `a`"),
        ("API_TOKENS", "a=key-one,b=key-one", "the same"),
        ("API_TOKENS", "a[admin]=key-one", "API_TOKENS"),
        ("API_TOKENS", "system=key-one", "API_TOKENS"),
        ("KEYS_FILE", "missing.yaml", "KEYS_FILE"),
    ] {
        let refused = Setup::new().set(name, value).refused().await;
        assert!(refused.in_words().contains(reason), "{value}: {refused:?}");
    }
    let open = Setup::new().set("HOST", "0.0.0.0").set("API_KEY", "short").refused().await;
    assert!(open.in_words().contains("fewer than 16"), "{open:?}");
}

#[tokio::test]
async fn denials_by_the_key_are_counted_and_recorded_and_a_flood_is_folded() {
    let app = with_file().await;
    let gpt = key("gpt");
    let act = json!({"agent_id": "hero", "action": "rest"});
    call(&app, "post", "/act", &gpt, Some(&act)).await.error(403, "agent_forbidden");
    for _ in 0..25 {
        let body = json!({"on": true});
        call(&app, "post", "/kill-switch", &gpt, Some(&body)).await.error(403, "scope_missing");
    }
    Answer::of(app.bare(Method::GET, "/state")).await.error(401, "missing_api_key");
    call(&app, "get", "/state", "unknown-key", None).await.error(401, "invalid_api_key");
    let metrics = app.metrics().await;
    for series in [
        r#"policy_denied_total{reason="agent_forbidden"} 1"#,
        r#"policy_denied_total{reason="scope_missing"} 25"#,
        r#"auth_failures_total{reason="missing_api_key"} 1"#,
        r#"auth_failures_total{reason="invalid_api_key"} 1"#,
    ] {
        assert!(metrics.contains(series), "no `{series}` in\n{metrics}");
    }
    let mut counted = std::collections::BTreeMap::new();
    for _ in 0..200 {
        counted.clear();
        for row in app.journal_of("&kind=gate.denied").await {
            let data: Value = serde_json::from_str(row.data.get()).unwrap();
            assert_eq!((row.principal.as_str(), &data["gate"]), ("gpt", &json!("access")));
            let code = data["code"].as_str().unwrap().to_owned();
            let (rows, requests) = counted.entry(code).or_insert((0, 0));
            *rows += 1;
            *requests += data["count"].as_u64().unwrap();
        }
        if counted.get("scope_missing").is_some_and(|(_, requests)| *requests == 25) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(counted["agent_forbidden"], (1, 1));
    assert_eq!(counted["scope_missing"].1, 25, "{counted:?}");
}

#[tokio::test]
async fn a_plan_is_not_approved_by_another_key_of_its_author() {
    let entry = |name: &str, person: &str| {
        let digest = hex::encode(sha2::Sha256::digest(key(name).as_bytes()));
        format!(
            "- {{name: {name}, digest: 'sha256:{digest}', roles: [operator], person: {person}}}\n"
        )
    };
    let text =
        ["keys:\n".to_owned(), entry("one", "Ann"), entry("two", "Ann"), entry("three", "Bob")];
    let setup = Setup::new().file("keys.yaml", text.concat()).set("KEYS_FILE", "keys.yaml");
    let app = setup.start().await;
    let plan = json!({"intent": "x", "context": "y", "target_paths": ["plans/a.md"]});
    let made = call(&app, "post", "/plan", &key("one"), Some(&plan)).await.ok();
    let review = format!("/plans/{}/review", made["id"].as_str().unwrap());
    let approve = json!({"decision": "approve"});
    call(&app, "post", &review, &key("one"), Some(&approve)).await.error(409, "conflict");
    call(&app, "post", &review, &key("two"), Some(&approve)).await.error(403, "own_request");
    let approved = call(&app, "post", &review, &key("three"), Some(&approve)).await.ok();
    assert_eq!(approved["status"], "approved");
}

#[tokio::test]
async fn operators_see_every_key_with_its_last_use_and_no_secret() {
    let digest = hex::encode(sha2::Sha256::digest(key("filed").as_bytes()));
    let expired = hex::encode(sha2::Sha256::digest(key("expired").as_bytes()));
    let file = format!(
        "keys:\n- {{name: filed, digest: 'sha256:{digest}', roles: [agent], agents: ['gpt-*'], person: Ann, expires: '2999-01-31T00:00:00Z', rate: 7}}\n\
         - {{name: expired, digest: 'sha256:{expired}', roles: [observer], expires: '2020-01-31T00:00:00Z'}}\n"
    );
    let tokens = format!("boss={},observer[observer]={}", key("boss"), key("observer"));
    let setup = Setup::new().set("API_TOKENS", &tokens).file("keys.yaml", file);
    let app = setup.set("KEYS_FILE", "keys.yaml").start().await;
    call(&app, "get", "/keys", &key("observer"), None).await.error(403, "scope_missing");
    let answer = call(&app, "get", "/keys", &key("boss"), None).await;
    let list = answer.ok();
    let by_name = |name: &str| {
        let keys = list["keys"].as_array().unwrap();
        keys.iter().find(|key| key["principal"] == name).unwrap().clone()
    };
    let boss = by_name("boss");
    assert_eq!((&boss["source"], &boss["agents"]), (&json!("settings"), &Value::Null));
    assert!(boss["last_used"].is_string(), "{boss}");
    // A refused request is a use of the key too.
    assert!(by_name("observer")["last_used"].is_string());
    let expected = json!({
        "principal": "filed", "person": "Ann", "source": "keys_file", "scopes": ["act"], "agents": ["gpt-*"],
        "expires": "2999-01-31T00:00:00Z", "expired": false, "last_used": null, "rate_limit_principal_rps": 7,
    });
    assert_eq!(by_name("filed"), expected);
    assert_eq!(by_name("expired")["expired"], true);
    let text = answer.text();
    for secret in [&digest, &expired, &key("boss"), &key("filed"), &digest[..12].to_owned()] {
        assert!(!text.contains(secret.as_str()), "{text}");
    }
}
