//! `GET /healthz`, `GET /readyz`, `GET /meta`

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, TestApp};

#[tokio::test]
async fn it_reports_health_and_readiness() {
    let app = TestApp::start().await;
    let alive = Answer::of(app.bare(Method::GET, "/healthz")).await;
    assert_eq!((alive.status, alive.json()), (200, json!({"status": "ok"})));
    let ready = Answer::of(app.bare(Method::GET, "/readyz")).await;
    assert_eq!(ready.status, 200, "{ready:?}");
}

#[tokio::test]
async fn it_describes_the_running_service() {
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
async fn meta_reveals_nothing_about_the_machine() {
    let app = TestApp::start().await;
    let meta = app.get("/meta").await.text();
    for secret in [crate::support::KEY, app.folder().to_str().unwrap()] {
        assert!(!meta.contains(secret), "{meta}");
    }
}
