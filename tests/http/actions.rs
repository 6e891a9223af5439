//! `GET /openapi-actions.json`: what a custom GPT imports, and that real answers stay within its limits.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Setup, TestApp};

/// The longest answer that GPT Actions take, in characters.
const LONGEST: usize = 100_000;

async fn actions(app: &TestApp) -> Value {
    Answer::of(app.bare(Method::GET, "/openapi-actions.json")).await.ok()
}

#[tokio::test]
async fn it_is_open_and_names_the_public_address() {
    let app = Setup::new().set("PUBLIC_SERVER_URL", "https://agent.example").start().await;
    assert_eq!(actions(&app).await["servers"], json!([{"url": "https://agent.example"}]));
    let app = TestApp::start().await;
    assert_eq!(actions(&app).await["servers"], json!([{"url": "https://life-agent.example.com"}]));
}

#[tokio::test]
async fn the_largest_pages_that_it_allows_are_short_enough_on_a_full_journal() {
    let app = TestApp::start().await;
    // As long as an input may be, and with characters that JSON writes as two.
    let long = "explore \"the\" gate; ".repeat(500).chars().take(8192).collect::<String>();
    for n in 0..220 {
        let agent = format!("{n:0>64}");
        let input = if n < 12 { long.as_str() } else { "explore" };
        app.post("/turn", &json!({"agent_id": agent, "input": input})).await.ok();
    }
    let intent = "i".repeat(1024);
    for _ in 0..60 {
        app.post("/plan", &json!({"intent": intent, "target_paths": ["plans/a.md"]})).await.ok();
    }
    let document = actions(&app).await;
    let mut lists = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
        let Some(limit) = parameters.iter().find(|parameter| parameter["name"] == "limit") else {
            continue;
        };
        let needs = parameters.iter().any(|p| p["name"] == "agent_id" && p["required"] == true);
        let agent = if needs { format!("&agent_id={:0>64}", 1) } else { String::new() };
        let most = &limit["schema"]["maximum"];
        let answer = app.get(&format!("{path}?limit={most}{agent}")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let length = answer.text().chars().count();
        assert!(length < LONGEST, "{path}: {length}");
        lists += 1;
    }
    assert!(lists >= 3, "{lists}");
}
