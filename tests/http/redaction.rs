//! Credentials in every field, and the places where they must not appear

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Credential, Setup, TestApp, credentials};

/// Everything that a caller or an operator can read afterward.
struct Outlets(Vec<(&'static str, Vec<u8>)>);

impl Outlets {
    fn assert_clean(&self, credentials: &[Credential]) {
        for credential in credentials {
            // A private key can be stored by line or with escaped line breaks.
            let secret = credential.secret.as_bytes();
            for (outlet, bytes) in &self.0 {
                let found = bytes.windows(secret.len()).position(|window| window == secret);
                if let Some(at) = found {
                    let around =
                        &bytes[at.saturating_sub(200)..(at + secret.len() + 40).min(bytes.len())];
                    panic!(
                        "a {} is in {outlet}: {}",
                        credential.shape,
                        String::from_utf8_lossy(around)
                    );
                }
            }
        }
    }
}

/// Sends a credential in every text field and returns the responses to refused requests.
async fn send_everywhere(app: &TestApp, text: &str, fits_a_name: bool) -> Vec<u8> {
    let said = format!("please keep {text} for me");
    let mut answers = Vec::new();
    for (path, body) in [
        ("/turn", json!({"agent_id": "a", "input": said})),
        ("/turn", json!({"agent_id": text, "input": "x"})),
        ("/turn", json!({"agent_id": "a", "input": [text]})),
        ("/turn", json!({"agent_id": "a", "input": "x", text: 1})),
        ("/act", json!({"agent_id": "a", "action": "note", "payload": {"k": {"deep": [said]}}})),
        ("/act", json!({"agent_id": "a", "action": "note", "payload": {text: 1}})),
        ("/act", json!({"agent_id": "a", "action": text})),
        ("/act", json!({"agent_id": text, "action": "note"})),
        ("/plan", json!({"intent": said, "context": "c", "target_paths": ["plans/a.md"]})),
        ("/plan", json!({"intent": "i", "context": said, "target_paths": ["plans/a.md"]})),
        (
            "/plan",
            json!({"intent": "i", "context": "c", "target_paths": [format!("plans/{text}.md")]}),
        ),
        ("/plan", json!({"intent": "i", "context": "c", "target_paths": [format!("../{text}")]})),
        ("/plan", json!({"description": said, "target_files": ["plans/a.md"]})),
        ("/check", json!({"kind": "turn", "agent_id": "a", "input": said})),
        ("/check", json!({"kind": text, "agent_id": "a", "input": "x"})),
        ("/llm/chat", json!({"messages": [{"role": "user", "content": said}]})),
        ("/llm/chat", json!({"messages": [{"role": text, "content": "x"}]})),
        ("/policy/reload", json!({"path": format!("policies/{text}.yaml")})),
        ("/policy/validate", json!({"path": text})),
        ("/kill-switch", json!({"on": false, "reason": said})),
        ("/kill-switch", json!({"on": text, "reason": "x"})),
    ] {
        answers.push(app.post(path, &body).await);
    }
    // An incomplete body that ends with the secret.
    let torn = json!({"agent_id": "a", "input": said}).to_string();
    answers.push(app.post_bytes("/turn", &torn.as_bytes()[..torn.len() - 2]).await);
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for path in [
        format!("/state?agent_id={encoded}"),
        format!("/journal?after={encoded}"),
        format!("/journal?kind={encoded}"),
        format!("/nope/{encoded}"),
        format!("/plans/{encoded}"),
        format!("/meta?token={encoded}"),
    ] {
        answers.push(app.get(&path).await);
    }
    if fits_a_name {
        let id = app.request(Method::GET, "/meta").header("X-Request-Id", text);
        answers.push(Answer::of(id).await);
        let key = app.bare(Method::GET, "/meta").header("X-API-Key", text);
        answers.push(Answer::of(key).await);
        let bearer = app.bare(Method::GET, "/meta").bearer_auth(text);
        answers.push(Answer::of(bearer).await);
        let agent = app.request(Method::GET, "/meta").header("User-Agent", text);
        answers.push(Answer::of(agent).await);
    }
    let refused = answers.iter().filter(|answer| answer.status >= 400);
    refused.flat_map(|answer| answer.body.clone()).collect()
}

async fn outlets_after(policy: Option<&str>) -> (Outlets, Vec<Credential>) {
    let setup = Setup::new().set("LOG_LEVEL", "DEBUG");
    let mut app = match policy {
        Some(policy) => setup.policy(policy),
        None => setup,
    }
    .start()
    .await;
    let credentials = credentials();
    let mut refusals = Vec::new();
    for credential in &credentials {
        refusals.extend(send_everywhere(&app, &credential.text, credential.fits_a_name()).await);
    }
    let rows = app.last_id().await;
    assert!(rows > 20, "only {rows} rows: nothing has been tested");
    let streamed = app.events("?after=0").await.take(rows as usize).await;
    let streamed: Vec<Value> = streamed.iter().map(|event| event.json()).collect();
    let journal = app.get("/journal?limit=500").await.body;
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    assert!(text(&journal).contains("[redacted:"), "nothing was redacted: nothing has been tested");
    let states = app.get("/state").await.body;
    let state = app.get("/state?agent_id=a").await.body;
    let metrics = app.metrics().await.into_bytes();
    let kill_switch = app.get("/kill-switch").await.body;
    let plans = app.get("/plans").await.body;
    let files = || {
        let mut bytes = Vec::new();
        for file in ["agent.db", "agent.db-wal", "agent.db-shm"] {
            bytes.extend(std::fs::read(app.folder().join(file)).unwrap_or_default());
        }
        bytes
    };
    let while_running = files();
    let artifacts: Vec<u8> = std::fs::read_dir(app.folder().join("plans"))
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.to_string_lossy().into_owned().into_bytes();
            [name, std::fs::read(path).unwrap()].concat()
        })
        .collect();
    assert!(app.stop().await.success());
    let outlets = Outlets(vec![
        ("an error", refusals),
        ("/events", serde_json::to_vec(&streamed).unwrap()),
        ("/journal", journal),
        ("/state", [states, state].concat()),
        ("/metrics", metrics),
        ("/kill-switch", kill_switch),
        ("/plans", plans),
        ("the database", while_running),
        ("the closed database", std::fs::read(app.folder().join("agent.db")).unwrap()),
        ("the plans folder", artifacts),
        ("the log", app.read("logs/app.log")),
        ("standard error", app.complained().into_bytes()),
        ("standard output", app.printed().into_bytes()),
    ]);
    (outlets, credentials)
}

#[tokio::test]
async fn no_credential_appears_anywhere() {
    let (outlets, credentials) = outlets_after(None).await;
    outlets.assert_clean(&credentials);
}

#[tokio::test]
async fn no_credential_appears_if_the_policy_permits_credentials() {
    let policy = "version: \"1\"\nallowed_dirs: [plans]\nrisk: { categories: { secrets: off } }\n";
    let (outlets, credentials) = outlets_after(Some(policy)).await;
    outlets.assert_clean(&credentials);
}

#[tokio::test]
async fn an_allowed_step_echoes_and_stores_the_redacted_text() {
    let policy =
        "version: \"1\"\nallowed_dirs: [plans]\nrisk: { categories: { secrets: observe } }\n";
    let app = Setup::new().policy(policy).start().await;
    for credential in credentials() {
        let answer = app
            .post("/turn", &json!({"agent_id": "a", "input": format!("keep {}", credential.text)}))
            .await;
        let shape = credential.shape;
        assert!(!answer.text().contains(&credential.secret), "{shape}: {answer:?}");
        let turned = answer.ok();
        assert!(!turned["would_deny"].as_array().unwrap().is_empty(), "{shape}: {turned}");
        let row = app.journal().await.pop().unwrap();
        assert!(row.data.get().contains("[redacted:"), "{shape}: {}", row.data);
    }
}

#[tokio::test]
async fn a_credential_in_json_within_a_text_is_redacted() {
    let policy =
        "version: \"1\"\nallowed_dirs: [plans]\nrisk: { categories: { secrets: observe } }\n";
    let app = Setup::new().policy(policy).start().await;
    for credential in credentials().iter().filter(|credential| !credential.secret.contains('"')) {
        let secret = &credential.secret;
        for text in [
            format!(r#"{{"api_key": "{secret}"}}"#),
            format!(r#"{{\"api_key\": \"{secret}\"}}"#),
            format!(r#"curl -d "{{\"password\":\"{secret}\"}}" api.example"#),
        ] {
            let body = json!({"agent_id": "a", "input": text});
            let answer = app.post("/turn", &body).await;
            assert!(!answer.text().contains(secret.as_str()), "{answer:?}");
        }
    }
}
