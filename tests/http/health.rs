//! `GET /healthz`, `GET /readyz`, `GET /meta`

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, TestApp};

#[tokio::test]
async fn it_says_that_it_lives_and_is_ready() {
    let app = TestApp::start().await;
    let alive = Answer::of(app.bare(Method::GET, "/healthz")).await;
    assert_eq!((alive.status, alive.json()), (200, json!({"status": "ok"})));
    let ready = Answer::of(app.bare(Method::GET, "/readyz")).await;
    assert_eq!(ready.status, 200, "{ready:?}");
}

#[tokio::test]
async fn it_tells_what_runs() {
    let app = TestApp::start().await;
    let meta = app.get("/meta").await.ok();
    assert!(meta["meta"]["version"].as_str().unwrap().split('.').count() == 3, "{meta}");
    assert!(meta["meta"]["start"].as_str().unwrap().ends_with('Z'), "{meta}");
    assert!(meta["uptime"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{meta}");
    assert!(!meta["policies_loaded"].is_null(), "{meta}");
    assert_eq!(meta["policy"]["version"], "1");
    assert_eq!(meta["policy"]["path"], "policy/policy.yaml");
    assert_eq!(meta["policy"]["hash"].as_str().unwrap().len(), 64);
    assert!(meta["policy"]["loaded_at"].as_str().unwrap().ends_with('Z'), "{meta}");
}

#[tokio::test]
async fn a_wish_of_meta_is_no_secret_of_the_machine() {
    let app = TestApp::start().await;
    let meta = app.get("/meta").await.text();
    for secret in [crate::support::KEY, app.folder().to_str().unwrap()] {
        assert!(!meta.contains(secret), "{meta}");
    }
}
