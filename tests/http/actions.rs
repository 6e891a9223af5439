//! `GET /openapi-actions.json`: the document for a custom GPT, and the limits of real responses.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Setup, TestApp};

/// The longest response that GPT Actions accept, in characters.
const LONGEST: usize = 100_000;

async fn actions(app: &TestApp) -> Value {
    Answer::of(app.bare(Method::GET, "/openapi-actions.json")).await.ok()
}

#[tokio::test]
async fn it_needs_no_key_and_states_the_public_address() {
    let app = Setup::new().set("PUBLIC_SERVER_URL", "https://agent.example").start().await;
    assert_eq!(actions(&app).await["servers"], json!([{"url": "https://agent.example"}]));
    let app = TestApp::start().await;
    assert_eq!(actions(&app).await["servers"], json!([{"url": "https://life-agent.example.com"}]));
}

/// The query for the largest page that the document allows.
fn largest(path: &str, parameters: &[Value]) -> String {
    let value = |parameter: &Value| match parameter["name"].as_str().unwrap() {
        "limit" => parameter["schema"]["maximum"].to_string(),
        "max_chars" => parameter["schema"]["enum"][0].to_string(),
        "agent_id" => format!("{:0>64}", 1),
        other => panic!("{path}: no value for `{other}`"),
    };
    let needed = parameters.iter().filter(|p| p["in"] == "query" && p["required"] == true);
    let query: Vec<_> =
        needed.map(|p| format!("{}={}", p["name"].as_str().unwrap(), value(p))).collect();
    format!("{path}?{}", query.join("&"))
}

#[tokio::test]
async fn the_largest_pages_fit_on_a_full_journal() {
    let app = TestApp::start().await;
    // The longest texts, of characters that JSON escapes as two; the last payload alone exceeds the limit.
    let input = "explore \"the\" gate; ".repeat(500).chars().take(8192).collect::<String>();
    let agent = |n: u32| format!("{n:0>64}");
    for n in 0..220 {
        let input = if n < 12 { input.as_str() } else { "explore" };
        app.post("/turn", &json!({"agent_id": agent(n), "input": input})).await.ok();
    }
    for n in 0..64 {
        let fact = format!("{n} {}", "\"\\".repeat(118));
        let act = json!({"agent_id": agent(1), "action": "remember", "payload": {"text": fact}});
        app.post("/act", &act).await.ok();
    }
    let payload = json!({"x": "y".repeat(65_000)});
    for _ in 0..4 {
        let act = json!({"agent_id": agent(2), "action": "rest", "payload": payload});
        app.post("/act", &act).await.ok();
    }
    let intent = "\"".repeat(1024);
    for _ in 0..60 {
        app.post("/plan", &json!({"intent": intent, "target_paths": ["plans/a.md"]})).await.ok();
    }
    let document = actions(&app).await;
    let mut lists = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
        if !parameters.iter().any(|parameter| parameter["name"] == "limit") {
            continue;
        }
        let mut asked = largest(path, &parameters);
        // Page by page, as the document instructs a GPT.
        let (mut pages, mut next) = (0, Value::Null);
        while pages == 0 || (path == "/journal" && next != Value::Null) {
            let answer = app.get(&asked).await;
            let length = answer.text().chars().count();
            assert!(length < LONGEST, "{asked}: {length}");
            next = answer.ok()["next"].clone();
            asked = format!("{}&after={next}", largest(path, &parameters));
            pages += 1;
        }
        lists.push((path.as_str(), pages));
    }
    let pages = lists.iter().find(|(path, _)| *path == "/journal").unwrap().1;
    assert!(pages > 7, "{lists:?}");
    assert!(lists.len() >= 4, "{lists:?}");
}

#[tokio::test]
async fn a_diff_over_the_limit_is_refused_with_its_length() {
    let app = TestApp::start().await;
    let plan = |content: String| json!({"intent": "i", "edits": [{"op": "create", "path": "plans/a.md", "content": content}]});
    let long = app.post("/plan", &plan(format!("{}\n", "word ".repeat(40)).repeat(700))).await.ok();
    let short = app.post("/plan", &plan("line\n".repeat(30))).await.ok();
    let patch = |plan: &Value| format!("/plans/{}/patch", plan["id"].as_str().unwrap());
    let answer = app.get(&format!("{}?max_chars=90000", patch(&long))).await;
    assert_eq!(answer.fault_paths("validation_error"), ["max_chars"]);
    assert!(answer.text().contains("characters"), "{answer:?}");
    assert!(app.get(&patch(&long)).await.text().len() > 140_000);
    let answer = app.get(&format!("{}?max_chars=90000", patch(&short))).await;
    assert_eq!((answer.status, answer.text()), (200, short["patch"].as_str().unwrap().to_owned()));
}
