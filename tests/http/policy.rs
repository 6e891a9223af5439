//! `GET /policy`, `POST /policy/validate`, `POST /policy/reload`, and the effects of a policy

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Events, Setup, TestApp};

const OTHER: &str = r#"
version: "1"
allowed_dirs: [plans]
rules:
  - id: no-dancing
    description: not here
    match: { kinds: [act], actions: ["^dance$"] }
    effect: deny
"#;

const FAULTY: &str = r#"
version: "2"
allowed_dirs: []
max_diff_lines: 9999
color: red
rules:
  - id: broken
    match: { inputs: ["("] }
    effect: explode
"#;

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

async fn active_hash(app: &TestApp) -> Value {
    let shown = app.get("/policy").await.ok();
    let hash = shown.get("hash").or_else(|| shown["policy"].get("hash"));
    hash.unwrap_or_else(|| panic!("{shown}")).clone()
}

#[tokio::test]
async fn the_active_policy_is_shown_with_the_hash_of_its_file() {
    let app = TestApp::start().await;
    assert_eq!(active_hash(&app).await, sha256(app.read("policy/policy.yaml")));
    let meta = app.get("/meta").await.ok();
    assert_eq!(meta["policy"]["hash"], sha256(app.read("policy/policy.yaml")));
    let text = app.get("/policy/text").await.ok();
    assert_eq!(text["text"].as_str().unwrap().as_bytes(), app.read("policy/policy.yaml"));
    assert_eq!(text["hash"], sha256(app.read("policy/policy.yaml")));
}

#[tokio::test]
async fn without_a_policy_file_the_whitelisted_directories_are_allowed() {
    let setup = Setup::new().set("AGENT_WHITELIST_DIRS", "notes").file("notes/.keep", "");
    std::fs::remove_file(setup.folder().join("policy/policy.yaml")).unwrap();
    let app = setup.start().await;
    let plan = |target: &str| json!({"intent": "x", "context": "y", "target_paths": [target]});
    app.post("/plan", &plan("notes/a.md")).await.ok();
    app.post("/plan", &plan("plans/a.md")).await.error(403, "path_forbidden");
}

#[tokio::test]
async fn a_reload_returns_rules_and_hash_and_is_recorded() {
    let app = Setup::new().file("policies/other.yaml", OTHER).start().await;
    app.act("hero", "dance").await;
    let answer = app.post("/policy/reload", &json!({"path": "policies/other.yaml"})).await;
    assert_eq!(answer.status, 200);
    let reloaded = answer.json();
    assert_eq!(reloaded["status"], "reloaded");
    assert_eq!(
        (&reloaded["rule_count"], &reloaded["policy_hash"]),
        (&json!(1), &json!(sha256(OTHER)))
    );
    assert!(reloaded["loaded_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(active_hash(&app).await, sha256(OTHER));
    let row = app.journal().await.pop().unwrap();
    assert_eq!((row.kind.as_str(), row.principal.as_str()), ("policy.reload", "default"));
    let error = app
        .post("/act", &json!({"agent_id": "hero", "action": "dance"}))
        .await
        .error(403, "rule_deny");
    assert!(error.to_string().contains("no-dancing"), "{error}");
    assert_eq!(app.metric(r#"policy_reload_total{result="reloaded"}"#).await, Some(1.0));
}

#[tokio::test]
async fn a_reload_accepts_no_body_an_empty_body_or_a_path() {
    let app = TestApp::start().await;
    app.post_nothing("/policy/reload").await.ok();
    app.post("/policy/reload", &json!({})).await.ok();
    app.post("/policy/reload", &json!({"path": "policy/policy.yaml"})).await.ok();
    app.post("/policy/reload", &json!({"path": "policies/valid.yaml"})).await.ok();
    let answer = app.post("/policy/reload", &json!({"file": "policies/valid.yaml"})).await;
    assert_eq!(answer.fault_paths("validation_error"), ["file"]);
    let answer = app.post("/policy/reload", &json!({"path": 1})).await;
    assert_eq!(answer.fault_paths("validation_error"), ["path"]);
}

#[tokio::test]
async fn an_invalid_policy_is_refused_with_every_fault_and_changes_nothing() {
    let app = Setup::new().file("policies/faulty.yaml", FAULTY).start().await;
    let before = active_hash(&app).await;
    let paths = app
        .post("/policy/reload", &json!({"path": "policies/faulty.yaml"}))
        .await
        .fault_paths("policy_invalid");
    for path in ["allowed_dirs", "color", "max_diff_lines", "version"] {
        assert!(paths.iter().any(|found| found == path), "`{path}` is not among {paths:?}");
    }
    for path in ["rules.0.effect", "rules.0.match.inputs"] {
        assert!(paths.iter().any(|found| found.starts_with(path)), "`{path}` not in {paths:?}");
    }
    assert_eq!(active_hash(&app).await, before);
    assert_eq!(app.journal().await.pop().unwrap().kind, "policy.rejected");
    assert_eq!(app.metric(r#"policy_reload_total{result="rejected"}"#).await, Some(1.0));
}

#[tokio::test]
async fn the_shipped_examples_are_valid_and_invalid_as_named() {
    let app = TestApp::start().await;
    let invalid = app.post("/policy/reload", &json!({"path": "policies/invalid.yaml"})).await;
    assert!(invalid.fault_paths("policy_invalid").len() >= 5, "{invalid:?}");
    let valid = app.post("/policy/reload", &json!({"path": "policies/valid.yaml"})).await.ok();
    assert_eq!(valid["policy_hash"], sha256(app.read("policies/valid.yaml")));
}

#[tokio::test]
async fn invalid_yaml_is_refused_with_its_line() {
    let app = Setup::new().file("policies/torn.yaml", "version: \"1\"\nrules: [\n").start().await;
    let answer = app.post("/policy/reload", &json!({"path": "policies/torn.yaml"})).await;
    let error = answer.error(422, "policy_invalid");
    assert!(error["details"][0]["line"].is_u64(), "{error}");
}

#[tokio::test]
async fn a_dry_run_reports_the_same_faults_and_changes_nothing() {
    let app = Setup::new()
        .file("policies/faulty.yaml", FAULTY)
        .file("policies/other.yaml", OTHER)
        .start()
        .await;
    let before = (active_hash(&app).await, app.last_id().await);
    let faulty = json!({"path": "policies/faulty.yaml"});
    let dry = app.post("/policy/validate", &faulty).await;
    let good = app.post("/policy/validate", &json!({"path": "policies/other.yaml"})).await.ok();
    assert_eq!(good["policy_hash"], sha256(OTHER));
    app.post_nothing("/policy/validate").await.ok();
    assert_eq!((active_hash(&app).await, app.last_id().await), before);
    let wet = app.post("/policy/reload", &faulty).await;
    assert_eq!(dry.error(422, "policy_invalid")["details"], wet.json()["error"]["details"]);
}

#[tokio::test]
async fn a_reload_reads_no_file_outside_the_policy_folders() {
    let outside =
        Setup::new().file("elsewhere/good.yaml", OTHER).file("policiesx/good.yaml", OTHER);
    std::os::unix::fs::symlink(
        "../elsewhere/good.yaml",
        outside.folder().join("policies/link.yaml"),
    )
    .unwrap();
    let app = outside.start().await;
    let absolute = app.folder().join("elsewhere/good.yaml");
    for path in [
        "elsewhere/good.yaml",
        "policies/../elsewhere/good.yaml",
        "policiesx/good.yaml",
        "policies/link.yaml",
        "/etc/passwd",
        "policies/../../../../../../etc/passwd",
        absolute.to_str().unwrap(),
    ] {
        for call in ["/policy/reload", "/policy/validate"] {
            app.post(call, &json!({ "path": path })).await.error(403, "path_forbidden");
        }
    }
    for path in ["policies/missing.yaml", "policies"] {
        let answer = app.post("/policy/reload", &json!({ "path": path })).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        let code = answer.json()["error"]["code"].clone();
        answer.error(answer.status, code.as_str().unwrap());
    }
}

/// The next event, which must be of this kind.
async fn recorded(events: &mut Events, kind: &str) -> Value {
    let event = events.next().await;
    assert_eq!(event.name.as_deref(), Some(kind), "{event:?}");
    event.json()
}

/// Waits for a reload and for the new policy, which becomes active just after its row.
async fn reloaded(app: &TestApp, events: &mut Events, policy: &str) {
    recorded(events, "policy.reload").await;
    let asked = async { while active_hash(app).await != sha256(policy) {} };
    tokio::time::timeout(Duration::from_secs(2), asked)
        .await
        .expect("the policy did not become active");
}

#[tokio::test]
async fn a_changed_file_is_reloaded_automatically() {
    let app = TestApp::start().await;
    let mut events = app.events("?kind=policy.*").await;
    let active = app.folder().join("policy/policy.yaml");
    // Written in place, as some editors do ...
    std::fs::write(&active, OTHER).unwrap();
    reloaded(&app, &mut events, OTHER).await;
    // ... and replaced by a rename, as others do.
    let next = OTHER.replace("dance", "sing");
    let draft = app.folder().join("policy/.draft");
    std::fs::write(&draft, &next).unwrap();
    std::fs::rename(&draft, &active).unwrap();
    reloaded(&app, &mut events, &next).await;
    // An invalid policy is rejected, and the last valid policy stays active.
    std::fs::write(&active, FAULTY).unwrap();
    assert_eq!(recorded(&mut events, "policy.rejected").await["principal"], "system");
    assert_eq!(active_hash(&app).await, sha256(&next));
    std::fs::write(&active, OTHER).unwrap();
    reloaded(&app, &mut events, OTHER).await;
}

#[tokio::test]
async fn a_changed_file_is_active_within_two_seconds() {
    let app = TestApp::start().await;
    let mut events = app.events("?kind=policy.reload").await;
    std::fs::write(app.folder().join("policy/policy.yaml"), OTHER).unwrap();
    // Half a second of tolerance for a machine that runs many tests.
    let reload = tokio::time::timeout(Duration::from_millis(2500), events.next()).await;
    assert_eq!(reload.expect("no reload within 2 s").name.as_deref(), Some("policy.reload"));
}

#[tokio::test]
async fn deny_overrides_allow_and_both_are_named() {
    let policy = r#"
version: "1"
allowed_dirs: [plans]
rules:
  - { id: allow-all-turns, match: { kinds: [turn] }, effect: allow }
  - { id: deny-dragons, match: { inputs: ["(?i)dragon"] }, effect: deny }
"#;
    let app = Setup::new().policy(policy).start().await;
    let fine = app.turn("hero", "greet the innkeeper").await;
    assert_eq!(fine["applied_policies"], json!(["allow-all-turns"]));
    let body = json!({"agent_id": "hero", "input": "wake the DRAGON"});
    let error = app.post("/turn", &body).await.error(403, "rule_deny");
    assert_eq!(error["details"]["rule"], "deny-dragons", "{error}");
    assert_eq!(app.state("hero").await["version"], 1, "a denied turn is no step");
}

#[tokio::test]
async fn rules_match_by_kind_intent_action_target_and_input() {
    let policy = r#"
version: "1"
allowed_dirs: [plans]
rules:
  - { id: by-intent, match: { kinds: [turn], intents: ["^rest$"] }, effect: deny }
  - { id: by-action, match: { actions: ["^jump"] }, effect: deny }
  - { id: by-target, match: { targets: ["plans/secret/**"] }, effect: deny }
  - { id: by-plan-intent, match: { kinds: [plan], intents: ["rewrite"] }, effect: deny }
  - { id: by-both, match: { actions: ["^sing"], inputs: ["loud"] }, effect: deny }
"#;
    let app = Setup::new().policy(policy).start().await;
    let act = |action: &str, text: &str| {
        ("/act", json!({"agent_id": "a", "action": action, "payload": {"how": text}}))
    };
    let turn = |input: &str| ("/turn", json!({"agent_id": "a", "input": input}));
    let plan = |intent: &str, target: &str| {
        ("/plan", json!({"intent": intent, "context": "c", "target_paths": [target]}))
    };
    for ((call, body), denied) in [
        (turn("rest a while"), true),
        (turn("explore"), false),
        (act("jump.high", "x"), true),
        (act("walk", "jump"), false),
        (plan("note", "plans/secret/a.md"), true),
        (plan("note", "plans/open/a.md"), false),
        (plan("rewrite it", "plans/a.md"), true),
        (act("sing", "loud"), true),
        (act("sing", "softly"), false),
    ] {
        let answer = app.post(call, &body).await;
        if denied {
            answer.error(403, "rule_deny");
        } else {
            answer.ok();
        }
    }
}

#[tokio::test]
async fn risk_categories_can_be_denied_observed_or_off() {
    let policy = |effect: &str| {
        format!(
            "version: \"1\"\nallowed_dirs: [plans]\nrisk:\n  categories: {{ path_traversal: {effect} }}\n"
        )
    };
    let body = json!({"agent_id": "a", "input": "show me ../../../../etc/passwd"});
    let observing = Setup::new().policy(&policy("observe")).start();
    let off = Setup::new().policy(&policy("off")).start();
    let (denying, observing, off) = tokio::join!(TestApp::start(), observing, off);
    let error = denying.post("/turn", &body).await.error(422, "prompt_risky");
    assert_eq!(error["details"]["gate"], "risk", "{error}");
    let observed = observing.post("/turn", &body).await.ok();
    assert!(!observed["would_deny"].as_array().unwrap().is_empty(), "{observed}");
    assert!(observed["score"].as_f64().unwrap() > 0.0, "{observed}");
    let row = observing.journal().await.pop().unwrap();
    assert_eq!(row.json()["would_deny"], observed["would_deny"]);
    assert_eq!(off.post("/turn", &body).await.ok()["score"].as_f64(), Some(0.0));
}

#[tokio::test]
async fn a_custom_pattern_is_enforced() {
    let policy = r#"
version: "1"
allowed_dirs: [plans]
risk:
  patterns:
    - { id: codename, category: secrets, pattern: "project-[a-z]+-[0-9]{4}" }
"#;
    let app = Setup::new().policy(policy).start().await;
    let body = json!({"agent_id": "a", "input": "tell them about project-osprey-2031 now"});
    let error = app.post("/turn", &body).await.error(422, "prompt_risky");
    assert!(error.to_string().contains("codename"), "{error}");
}

#[tokio::test]
async fn a_policy_that_disappears_is_a_rejected_change_and_stays_active() {
    let policy = "version: \"1\"\nallowed_dirs: [plans]\nrules:\n  - id: no-resting\n    match: \
                  { actions: [\"^rest$\"] }\n    effect: deny\n";
    let app = Setup::new().policy(policy).start().await;
    let act = json!({"agent_id": "a", "action": "rest"});
    app.post("/act", &act).await.error(403, "rule_deny");
    let series = "policy_reload_total{result=\"rejected\"}";
    assert_eq!(app.metric(series).await, Some(0.0), "the series exists from the start");
    let hash = active_hash(&app).await;
    let mut events = app.events("?kind=policy.*").await;
    // The file, and the folder with policy and profile.
    for (from, to) in [("policy/policy.yaml", "policy/away.yaml"), ("policy", "away")] {
        std::fs::rename(app.folder().join(from), app.folder().join(to)).unwrap();
        let rejected = events.next().await.name;
        assert_eq!(rejected.as_deref(), Some("policy.rejected"), "{from}");
        app.post("/act", &act).await.error(403, "rule_deny");
        assert_eq!(active_hash(&app).await, hash);
        let ready = app.get("/readyz").await.ok();
        assert!(ready["policy"].as_str().unwrap().contains("no longer exists"), "{ready}");
        app.post_nothing("/policy/reload").await.error(422, "policy_invalid");
        assert_eq!(events.next().await.name.as_deref(), Some("policy.rejected"), "{from}, by call");
        std::fs::rename(app.folder().join(to), app.folder().join(from)).unwrap();
        assert_eq!(events.next().await.name.as_deref(), Some("policy.reload"), "{from}");
        assert!(app.get("/readyz").await.ok().get("policy").is_none());
    }
    assert!(app.metric(series).await.unwrap() >= 4.0);
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_is_a_rejected_change_and_stays_active() {
    use std::os::unix::fs::symlink;
    let policy = "version: \"1\"\nallowed_dirs: [plans]\nrules:\n  - id: no-resting\n    match: \
                  { actions: [\"^rest$\"] }\n    effect: deny\n";
    let app = Setup::new().policy(policy).start().await;
    let (file, profile) =
        (app.folder().join("policy/policy.yaml"), app.folder().join("policy/agent.yaml"));
    let mut events = app.events("?kind=policy.*").await;
    for path in [&file, &profile] {
        let text = std::fs::read(path).unwrap();
        let replacements: [&dyn Fn(); 4] = [
            &|| std::fs::create_dir(path).unwrap(),
            &|| {
                rustix::fs::mkfifoat(
                    rustix::fs::CWD,
                    path,
                    rustix::fs::Mode::from_bits_truncate(0o600),
                )
                .unwrap()
            },
            &|| symlink("/dev/zero", path).unwrap(),
            &|| symlink(path, path).unwrap(),
        ];
        for replace in replacements {
            std::fs::remove_file(path).unwrap();
            replace();
            // First the file was gone, if that was noticed.
            let is_told = async || {
                let ready = app.get("/readyz").await.ok();
                ready["policy"].as_str().is_some_and(|fault| fault.contains("cannot be read"))
            };
            while !is_told().await {
                assert_eq!(events.next().await.name.as_deref(), Some("policy.rejected"));
            }
            let act = json!({"agent_id": "a", "action": "rest"});
            app.post("/act", &act).await.error(403, "rule_deny");
            for call in ["/policy/validate", "/policy/reload"] {
                app.post_nothing(call).await.error(422, "policy_invalid");
            }
            if path.is_dir() {
                std::fs::remove_dir(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
            std::fs::write(path, &text).unwrap();
            while events.next().await.name.as_deref() != Some("policy.reload") {}
        }
    }
}
