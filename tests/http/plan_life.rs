//! The walk-through of `docs/plans.md`: from an edit to a reviewed plan to a branch, against real git.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{KEY, Setup, TestApp, fingerprint};

const POLICY: &str = "version: \"1\"\nallowed_dirs: [docs]\n";

/// The paths in the workspace that the service, or git for the test, writes.
const SERVICE_FILES: &[&str] = &["plans", ".git", "logs"];

fn git(dir: &Path, arguments: &[&str]) -> String {
    let who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
    let output = Command::new("git").args(who).args(arguments).current_dir(dir).output();
    let output = output.expect("these tests need git");
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A workspace that is a git tree with one file in `docs`, and a second key that reviews.
async fn workspace() -> TestApp {
    let setup = Setup::new()
        .policy(POLICY)
        .file("docs/greeting.md", "# Greeting\n\nHello.\n")
        .file(".gitignore", "*.db*\n/logs\n/plans/\n")
        .set("API_TOKENS", &format!("author={KEY},reviewer=another-key-of-the-suite"))
        .unset("API_KEY");
    let dir = setup.folder();
    git(&dir, &["init", "--quiet", "--initial-branch=main"]);
    git(&dir, &["add", "."]);
    git(&dir, &["commit", "--quiet", "--message", "Begin"]);
    setup.start().await
}

fn edit() -> Value {
    json!({
        "intent": "greet in German too",
        "context": "half of our readers are at home in German",
        "target_paths": ["docs/greeting.md"],
        "edits": [{"path": "docs/greeting.md", "op": "search_replace",
                   "search": "Hello.\n", "replace": "Hello.\n\nGuten Tag.\n"}],
    })
}

async fn review(app: &TestApp, key: &str, id: &str, decision: &str) -> crate::support::Answer {
    let request = app.bare(reqwest::Method::POST, &format!("/plans/{id}/review"));
    let body = json!({"decision": decision, "note": "reads well"});
    crate::support::Answer::of(request.header("X-API-Key", key).json(&body)).await
}

fn life_agent(app: &TestApp, arguments: &[&str]) -> Output {
    app.command().args(arguments).output().unwrap()
}

#[tokio::test]
async fn from_intent_to_branch() {
    let app = workspace().await;
    let dir = app.folder();
    let before = fingerprint(&dir, SERVICE_FILES);

    let created = app.post("/plan", &edit()).await.ok();
    let id = created["id"].as_str().unwrap();
    let patch = app.get(&format!("/plans/{id}/patch")).await;
    assert_eq!(patch.header("Content-Type").map(|t| t.starts_with("text/x-diff")), Some(true));
    assert_eq!(Some(patch.text().as_str()), created["patch"].as_str());
    let patch_file = app.folder().join("check.patch");
    std::fs::write(&patch_file, patch.text()).unwrap();
    git(&dir, &["apply", "--check", "check.patch"]);
    std::fs::remove_file(patch_file).unwrap();

    let refused = life_agent(&app, &["plan", "branch", id]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("unapproved"), "{refused:?}");
    review(&app, KEY, id, "approve").await.error(409, "conflict");
    let approved = review(&app, "another-key-of-the-suite", id, "approve").await.ok();
    assert_eq!(approved["status"], "approved");
    let rows = app.journal_of("&kind=plan.reviewed").await;
    assert_eq!(rows[0].principal, "reviewer");

    let made = life_agent(&app, &["plan", "branch", id]);
    assert!(made.status.success(), "{made:?}");
    let branch = format!("plan/{id}");
    let changed = git(&dir, &["diff", "--name-only", "main", &branch]);
    assert_eq!(changed.trim(), "docs/greeting.md");
    let content = git(&dir, &["show", &format!("{branch}:docs/greeting.md")]);
    assert_eq!(content, "# Greeting\n\nHello.\n\nGuten Tag.\n");
    let commit = git(&dir, &["log", "-1", "--format=%an|%s", &branch]);
    assert_eq!(commit.trim(), "author|greet in German too");
    assert_eq!(app.get(&format!("/plans/{id}")).await.ok()["status"], "branched");

    assert_eq!(git(&dir, &["status", "--porcelain"]), "");
    assert_eq!(fingerprint(&dir, SERVICE_FILES), before, "the workspace has changed");
}

#[tokio::test]
async fn a_plan_with_changed_files_is_stale_and_gets_no_branch() {
    let app = workspace().await;
    let id = app.post("/plan", &edit()).await.ok()["id"].as_str().unwrap().to_owned();
    review(&app, "another-key-of-the-suite", &id, "approve").await.ok();
    std::fs::write(app.folder().join("docs/greeting.md"), "# Other\n").unwrap();
    let view = app.get(&format!("/plans/{id}")).await.ok();
    assert_eq!(
        (&view["stale"], &view["stale_files"]),
        (&json!(true), &json!(["docs/greeting.md"]))
    );
    let refused = life_agent(&app, &["plan", "branch", &id]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stale"), "{refused:?}");
    assert_eq!(life_agent(&app, &["plan", "check", &id]).status.code(), Some(1));
}

#[tokio::test]
async fn a_tampered_plan_gets_no_branch() {
    let app = workspace().await;
    let created = app.post("/plan", &edit()).await.ok();
    let id = created["id"].as_str().unwrap();
    review(&app, "another-key-of-the-suite", id, "approve").await.ok();
    let patch = app.folder().join(created["artifact"].as_str().unwrap()).with_extension("patch");
    let text = std::fs::read_to_string(&patch).unwrap();
    std::fs::write(&patch, text.replace("Guten Tag", "Guten Abend")).unwrap();
    let refused = life_agent(&app, &["plan", "branch", id]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("tampered"), "{refused:?}");
    app.get(&format!("/plans/{id}/patch")).await.error(409, "conflict");
}

#[tokio::test]
async fn every_fault_of_a_plan_is_reported_with_its_place() {
    let app = workspace().await;
    let mut plan = edit();
    plan["edits"] = json!([
        {"path": "docs/greeting.md", "op": "search_replace", "search": "Helo", "replace": "x"},
        {"path": "docs/greeting.md", "op": "create", "content": "x"},
        {"path": "docs/none.md", "op": "delete"},
    ]);
    plan["target_paths"] = json!(["docs/greeting.md", "docs/none.md"]);
    let error = app.post("/plan", &plan).await.error(422, "plan_invalid");
    let codes: Vec<_> =
        error["details"].as_array().unwrap().iter().map(|f| f["code"].clone()).collect();
    assert!(
        codes.contains(&json!("search_not_found")) && codes.contains(&json!("missing")),
        "{error}"
    );
    let outside = json!({"intent": "leave", "target_paths": ["src/a.rs"]});
    app.post("/plan", &outside).await.error(403, "path_forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_of_many_clients_are_distinct_and_complete() {
    let app = Arc::new(workspace().await);
    let clients = (0..8).map(|client| {
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for n in 0..13 {
                let mut plan = edit();
                plan["intent"] = json!(format!("plan {n} of client {client}"));
                ids.push(app.post("/plan", &plan).await.ok()["id"].as_str().unwrap().to_owned());
            }
            ids
        })
    });
    let mut ids = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        ids.extend(client.await.unwrap());
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
    for id in &ids {
        assert_eq!(app.get(&format!("/plans/{id}")).await.ok()["has_patch"], true);
    }
    let listed = app.get("/plans?limit=1000").await.ok();
    assert_eq!(listed["plans"].as_array().map(Vec::len), Some(count));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_leaves_no_partial_plan_in_the_list() {
    let mut app = workspace().await;
    for _ in 0..3 {
        let request = |app: &TestApp| app.request(reqwest::Method::POST, "/plan").json(&edit());
        let flying: Vec<_> =
            (0..8).map(|_| tokio::spawn(crate::support::Answer::try_of(request(&app)))).collect();
        // After one response, the other requests are in progress.
        app.post("/plan", &edit()).await.ok();
        app.kill_9();
        for answer in flying {
            let _ = answer.await.unwrap();
        }
        app.start_again().await;
        let listed = app.get("/plans?limit=1000").await.ok();
        for plan in listed["plans"].as_array().unwrap() {
            let id = plan["id"].as_str().unwrap();
            assert_eq!(app.get(&format!("/plans/{id}")).await.ok()["has_patch"], true);
            assert_eq!(app.get(&format!("/plans/{id}/patch")).await.status, 200);
        }
    }
}
