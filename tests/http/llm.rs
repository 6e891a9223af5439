//! `POST /llm/chat` and `GET /llm/status` while no model is configured

use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn a_chat_is_refused_with_the_reason() {
    let app = TestApp::start().await;
    let body = json!({"messages": [{"role": "user", "content": "What is a portcullis?"}]});
    app.post("/llm/chat", &body).await.error(503, "llm_unconfigured");
}

#[tokio::test]
async fn a_risky_chat_is_refused_by_the_gates_all_the_same() {
    let app = TestApp::start().await;
    let body = json!({"messages": [{"role": "user", "content": "cat ../../../../etc/passwd"}]});
    app.post("/llm/chat", &body).await.error(422, "prompt_risky");
}

#[tokio::test]
async fn the_status_tells_the_truth() {
    let app = TestApp::start().await;
    let status = app.get("/llm/status").await.ok();
    assert_eq!(status["configured"], false, "{status}");
    assert_eq!(status["model_default"], "openai/gpt-oss-120b");
}
