//! `life-agent replay` and `POST /policy/backtest`

use std::fmt::Write;

use reqwest::Method;
use serde_json::json;

use super::audit::run_json;
use crate::support::{Answer, TestApp};

/// The shipped policy and one further rule.
fn stricter(app: &TestApp) -> String {
    let mut policy = String::from_utf8(app.read("policy/policy.yaml")).unwrap();
    let rule = "  - { id: no-sleeping, match: { actions: [\"^sleep$\"] }, effect: deny }\n";
    match policy.find("\nrules:\n") {
        Some(at) => policy.insert_str(at + "\nrules:\n".len(), rule),
        None => write!(policy, "\nrules:\n{rule}").unwrap(),
    }
    policy
}

/// Four acts, two of them `sleep`, four turns, a denial.
async fn play(app: &TestApp) {
    for agent in ["a", "b"] {
        app.turn(agent, "explore the keep").await;
        app.act(agent, "sleep").await;
        app.turn(agent, "rest a while").await;
        app.act(agent, "rest").await;
    }
    let hostile = json!({"agent_id": "a", "input": "cat ../../../../etc/passwd"});
    app.post("/turn", &hostile).await.error(422, "prompt_risky");
}

#[tokio::test]
async fn a_replay_finds_no_difference_and_changes_nothing() {
    let mut app = TestApp::start().await;
    play(&app).await;
    app.restart().await;
    app.turn("a", "go on").await;
    let before = app.last_id().await;
    let report = run_json(&app, 0, &["replay"]);
    assert_eq!(report["divergence_count"], 0, "{report}");
    assert_eq!(report["steps"], 9, "{report}");
    assert_eq!(report["rows"], before);
    assert_eq!(run_json(&app, 0, &["replay", "--agent", "b"])["steps"], 4);
    assert_eq!(app.last_id().await, before);
}

#[tokio::test]
async fn a_replay_under_another_policy_counts_new_denials_by_rule() {
    let app = TestApp::start().await;
    play(&app).await;
    std::fs::write(app.folder().join("stricter.yaml"), stricter(&app)).unwrap();
    let report = run_json(&app, 1, &["replay", "--policy", "stricter.yaml"]);
    assert_eq!(report["now_denied"], json!({"rules/no-sleeping": 2}), "{report}");
    assert_eq!(report["now_allowed"], json!({}), "{report}");
}

#[tokio::test]
async fn a_paged_backtest_equals_the_replay_and_changes_nothing() {
    let app = TestApp::start().await;
    play(&app).await;
    let before = app.last_id().await;
    let policy = stricter(&app);
    std::fs::write(app.folder().join("policies/stricter.yaml"), &policy).unwrap();
    for body in [json!({"policy": policy}), json!({"path": "policies/stricter.yaml"})] {
        let report = app.post("/policy/backtest", &body).await.ok();
        assert_eq!(report["now_denied"], json!({"rules/no-sleeping": 2}), "{report}");
        assert_eq!((&report["rows"], &report["last"]), (&json!(before), &json!(before)));
        let divergence = &report["divergences"][0];
        assert_eq!(
            (&divergence["agent_id"], &divergence["recorded"]),
            (&json!("a"), &json!("allowed"))
        );
    }
    let (mut after, mut denied, mut rows) = (0, 0, 0);
    while after < before {
        let body = json!({"policy": policy, "after": after, "limit": 3});
        let report = app.post("/policy/backtest", &body).await.ok();
        denied += report["divergence_count"].as_u64().unwrap();
        rows += report["rows"].as_u64().unwrap();
        after = report["last"].as_u64().unwrap();
    }
    assert_eq!((denied, rows), (2, before));
    let same = app.post_nothing("/policy/backtest").await.ok();
    assert_eq!(same["divergence_count"], 0, "the policy in force: {same}");
    assert_eq!(app.last_id().await, before);
}

#[tokio::test]
async fn an_invalid_backtest_is_refused_with_the_reason() {
    let app = TestApp::start().await;
    let refused = async |body| app.post("/policy/backtest", &body).await;
    for limit in [json!(0), json!(100_001), json!(-1)] {
        let answer = refused(json!({"limit": limit})).await;
        assert_eq!(answer.fault_paths("validation_error"), ["limit"]);
    }
    let both = refused(json!({"path": "policies/valid.yaml", "policy": "version: \"1\""})).await;
    assert_eq!(both.fault_paths("validation_error"), ["policy"]);
    let answer = refused(json!({"polcy": ""})).await;
    assert_eq!(answer.fault_paths("validation_error"), ["polcy"]);
    let answer = refused(json!({"policy": "version: \"1\"\nallowed_dirs: []\n"})).await;
    assert_eq!(answer.fault_paths("policy_invalid"), ["allowed_dirs"]);
    refused(json!({"path": "../elsewhere.yaml"})).await.error(403, "path_forbidden");
    refused(json!({"path": "policies/none.yaml"})).await.error(404, "not_found");
    let bare = app.bare(Method::POST, "/policy/backtest").json(&json!({}));
    Answer::of(bare).await.error(401, "missing_api_key");
}

#[tokio::test]
async fn one_backtest_runs_at_a_time_and_others_are_refused() {
    let app = TestApp::start().await;
    play(&app).await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..8 {
        asked.spawn(Answer::of(app.request(Method::POST, "/policy/backtest").json(&json!({}))));
    }
    let (done, refused): (Vec<_>, Vec<_>) =
        asked.join_all().await.into_iter().partition(|answer| answer.status == 200);
    assert!(!done.is_empty() && !refused.is_empty(), "{done:?} {refused:?}");
    for answer in refused {
        answer.error(503, "overloaded");
        assert_eq!(answer.header("Retry-After"), Some("5"));
    }
    app.post("/policy/backtest", &json!({})).await.ok();
}
