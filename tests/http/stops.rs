//! `POST /stops` and `GET /stops`: kill switches of one agent or one principal.

use std::time::Duration;

use life_agent_groq::testing::{Answer as Reply, StandIn};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Setup, TestApp, model_setup};

fn key(name: &str) -> String {
    format!("key-of-{name}-0123456789")
}

fn with_keys(setup: Setup) -> Setup {
    let tokens = format!("gpt[agent]={},bot[agent]={}", key("gpt"), key("bot"));
    setup.set("API_TOKENS", &tokens)
}

async fn post(app: &TestApp, name: &str, path: &str, body: &Value) -> Answer {
    Answer::of(app.bare(Method::POST, path).header("X-API-Key", key(name)).json(body)).await
}

fn acting(agent: &str) -> [(&'static str, Value); 3] {
    [
        ("/act", json!({"agent_id": agent, "action": "rest"})),
        ("/turn", json!({"agent_id": agent, "input": "hello"})),
        ("/tool", json!({"agent_id": agent, "tool": "Bash", "arguments": {"command": "ls"}})),
    ]
}

async fn stop(app: &TestApp, target: Value, on: bool) -> Value {
    let mut body = json!({"on": on, "reason": "fire drill"});
    body.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
    app.post("/stops", &body).await.ok()
}

#[tokio::test]
async fn a_stopped_agent_is_refused_and_others_are_not_until_it_is_released() {
    let mut app = with_keys(Setup::new()).start().await;
    assert_eq!(app.get("/stops").await.ok()["stops"], json!([]));
    let answer = stop(&app, json!({"agent": "wild"}), true).await;
    assert_eq!(
        (&answer["stops"][0]["agent"], &answer["stops"][0]["by"]),
        (&json!("wild"), &json!("default"))
    );
    let row = app.journal().await.pop().unwrap();
    assert_eq!((row.kind.as_str(), row.agent_id.as_deref()), ("stop.on", Some("wild")));
    assert_eq!((&row.json()["reason"], row.principal.as_str()), (&json!("fire drill"), "default"));
    for restart in 0..3 {
        for (path, body) in acting("wild") {
            let error = post(&app, "gpt", path, &body).await.error(503, "stopped");
            assert!(error["message"].as_str().unwrap().contains("fire drill"), "{error}");
        }
        for (path, body) in acting("tame") {
            post(&app, "gpt", path, &body).await.ok();
        }
        match restart {
            0 => app.restart().await,
            1 => {
                app.kill_9();
                app.start_again().await;
            }
            _ => {}
        }
    }
    let denied = app.metric(r#"policy_denied_total{reason="stopped"}"#).await;
    assert_eq!(denied, Some(3.0));
    app.get("/state?agent_id=wild").await.ok();
    assert_eq!(stop(&app, json!({"agent": "wild"}), false).await["stops"], json!([]));
    assert_eq!(app.journal().await.pop().unwrap().kind, "stop.off");
    for (path, body) in acting("wild") {
        post(&app, "gpt", path, &body).await.ok();
    }
    app.post("/stops", &json!({"agent": "wild", "on": false})).await.error(409, "conflict");
}

#[tokio::test]
async fn a_stopped_principal_is_refused_for_every_agent() {
    let app = with_keys(Setup::new()).start().await;
    stop(&app, json!({"principal": "gpt"}), true).await;
    for (path, body) in acting("a") {
        post(&app, "gpt", path, &body).await.error(503, "stopped");
        post(&app, "bot", path, &body).await.ok();
    }
    let own =
        Answer::of(app.bare(Method::GET, "/stops").header("X-API-Key", key("gpt"))).await.ok();
    assert_eq!(own["stops"][0]["principal"], "gpt");
    let other =
        Answer::of(app.bare(Method::GET, "/stops").header("X-API-Key", key("bot"))).await.ok();
    assert_eq!(other["stops"], json!([]));
    post(&app, "bot", "/stops", &json!({"principal": "gpt", "on": false}))
        .await
        .error(403, "scope_missing");
    for (body, path) in [
        (json!({"on": true}), "agent"),
        (json!({"agent": "a", "principal": "b", "on": true}), "principal"),
        (json!({"agent": "a"}), "on"),
    ] {
        assert_eq!(app.post("/stops", &body).await.fault_paths("validation_error"), [path]);
    }
}

#[tokio::test]
async fn a_stop_cuts_off_calls_that_wait_for_the_model_and_queued_turns() {
    let model =
        StandIn::answering(|_, _: &life_agent_groq::testing::Seen| Reply::silence()).await.unwrap();
    let app = with_keys(model_setup(&model)).start().await;
    let turn = |agent: &str| {
        app.bare(Method::POST, "/turn")
            .header("X-API-Key", key("gpt"))
            .json(&json!({"agent_id": agent, "input": "hello"}))
    };
    let waits = tokio::spawn(Answer::of(turn("wild")));
    let queued = Answer::of(turn("wild").header("Prefer", "respond-async")).await;
    let path = format!("/turns/{}", queued.ok()["id"].as_str().unwrap());
    let asked = async {
        while model.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
    stop(&app, json!({"agent": "wild"}), true).await;
    let answer = tokio::time::timeout(Duration::from_secs(20), waits).await.unwrap().unwrap();
    answer.error(503, "stopped");
    let failed = async {
        loop {
            let turn =
                Answer::of(app.bare(Method::GET, &path).header("X-API-Key", key("gpt"))).await.ok();
            if turn["status"] == "failed" {
                return turn;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let failed = tokio::time::timeout(Duration::from_secs(20), failed).await.unwrap();
    assert_eq!(failed["error"]["code"], "stopped", "{failed}");
    assert_eq!(app.state("wild").await["version"], 0);
}

#[tokio::test]
async fn the_command_line_stops_lists_and_releases() {
    let app = with_keys(Setup::new()).start().await;
    let run = async |arguments: &[&str]| {
        let mut command = app.command();
        command.arg("stop").args(arguments).env("LIFE_AGENT_KEY", crate::support::KEY);
        command.env("LIFE_AGENT_URL", format!("http://{}", app.addr()));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = run(&["--agent", "wild", "--reason", "drill"]).await;
    assert!(code == Some(0) && said.contains("wild") && said.contains("drill"), "{said}");
    post(&app, "gpt", "/act", &acting("wild")[0].1).await.error(503, "stopped");
    assert!(run(&[]).await.1.contains("wild"));
    assert_eq!(run(&["--agent", "wild", "--off"]).await, (Some(0), String::new()));
    assert_eq!(run(&["--agent", "wild", "--off"]).await.0, Some(1));
    assert_eq!(run(&["--off"]).await.0, Some(2));
}

#[tokio::test]
async fn a_stop_of_a_name_with_a_credential_is_refused() {
    let app = TestApp::start().await;
    let names = crate::support::credentials().into_iter().filter(|one| one.fits_a_name());
    for credential in names.map(|one| one.text) {
        for target in ["agent", "principal"] {
            let stop = json!({target: &credential, "on": true, "reason": "x"});
            let refused = app.post("/stops", &stop).await;
            refused.error(409, "conflict");
            assert!(!refused.text().contains(&credential), "{refused:?}");
        }
        let shown = app.get(&format!("/state?agent_id={credential}")).await;
        assert!(!shown.text().contains(&credential), "{shown:?}");
    }
    assert!(app.journal_of("&kind=stop.*").await.is_empty());
}
