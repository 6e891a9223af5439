//! The service on PostgreSQL: the same over HTTP, and through restarts of the service and of the database.

use std::time::Duration;

use life_agent_groq::testing::{Answer, StandIn};
use life_agent_observer_postgres::testing::Cluster;
use serde_json::json;

use super::audit::{run, run_json};
use crate::support::{Setup, TestApp, assert_chained, model_setup};

fn setup(address: &str) -> Setup {
    Setup::new().set("DATABASE_URL", address)
}

/// Acts until the service answers with 200: the database has just been started.
async fn act_again(app: &TestApp, agent: &str) {
    for _ in 0..100 {
        let body = json!({"agent_id": agent, "action": "rest"});
        let answer = app.post("/act", &body).await;
        if answer.status == 200 {
            return;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the service does not recover");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_request_is_recorded_and_survives_a_restart() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let mut app = setup(&address).start().await;
    assert!(!app.folder().join("agent.db").exists());
    app.act("hero", "rest").await;
    app.turn("hero", "look around").await;
    let plan = json!({
        "intent": "greet", "context": "a test", "target_paths": ["plans/hello.txt"],
        "edits": [{"path": "plans/hello.txt", "op": "create", "content": "hello\n"}],
    });
    let plan = app.post("/plan", &plan).await.ok();
    let id = plan["id"].as_str().unwrap();
    let shown = app.get(&format!("/plans/{id}")).await.ok();
    assert!(shown.to_string().contains("hello.txt"), "{shown}");
    let key = "a-key-of-the-caller";
    let keyed = async |app: &TestApp| {
        let body = json!({"agent_id": "hero", "action": "rest"});
        let request = app.request(reqwest::Method::POST, "/act").header("Idempotency-Key", key);
        crate::support::Answer::of(request.json(&body)).await.ok()["event_id"].clone()
    };
    let first = keyed(&app).await;
    let on = json!({"on": true, "reason": "a test"});
    app.post("/kill-switch", &on).await.ok();
    let denied = app.post("/act", &json!({"agent_id": "hero", "action": "rest"})).await;
    denied.error(503, "kill_switch");

    app.restart().await;
    let denied = app.post("/act", &json!({"agent_id": "hero", "action": "rest"})).await;
    denied.error(503, "kill_switch");
    app.post("/kill-switch", &json!({"on": false, "reason": "over"})).await.ok();
    assert_eq!(keyed(&app).await, first, "the key was claimed before the restart");
    app.act("hero", "rest").await;
    assert_eq!(app.state("hero").await["version"], 4);
    let shown = app.get(&format!("/plans/{id}")).await.ok();
    assert_eq!(shown["status"], "created");
    let rows = app.journal().await;
    assert_chained(&rows);
    let mut events = app.events_after("", Some(1)).await;
    let followed = events.take(rows.len() - 1).await;
    assert!(followed.iter().map(|event| event.id.unwrap()).eq(2..=rows.len() as u64));

    assert_eq!(run_json(&app, 0, &["audit", "verify"])["verdict"], "whole");
    assert_eq!(run_json(&app, 0, &["replay"])["divergence_count"], 0);
    assert_eq!(run_json(&app, 0, &["audit", "verify", "--db", &address])["verdict"], "whole");
    let (code, exported) = run(&app, &["audit", "export"]);
    assert_eq!((code, exported.lines().count()), (Some(0), rows.len()));
    let (code, refused) = run(&app, &["backup", "copy.db"]);
    assert!(code == Some(2) && refused.contains("pg_dump"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_outlives_a_crash_of_the_database() {
    let Some(cluster) = Cluster::start() else { return };
    let app = setup(&cluster.database()).start().await;
    for n in 0..3 {
        app.act("a", "rest").await;
        tokio::task::block_in_place(|| cluster.stop_immediately());
        let down = app.post("/act", &json!({"agent_id": "a", "action": "rest"})).await;
        assert_eq!(down.status, 503, "{down:?}");
        assert_eq!(app.get("/readyz").await.status, 503);
        tokio::task::block_in_place(|| cluster.start_again());
        act_again(&app, "a").await;
        assert_eq!(app.state("a").await["version"], 2 * (n + 1));
    }
    assert_eq!(app.get("/readyz").await.status, 200);
    assert_chained(&app.journal().await);
    assert_eq!(run_json(&app, 0, &["audit", "verify"])["verdict"], "whole");
    assert_eq!(run_json(&app, 0, &["replay"])["divergence_count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_the_journal_come_from_a_replica_and_miss_no_row() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let standby = tokio::task::block_in_place(|| cluster.standby());
    let replica = standby.address(address.rsplit_once('/').unwrap().1);
    let app = setup(&address).set("DATABASE_READ_URL", &replica).start().await;
    let newest = async |app: &TestApp| {
        let page = app.get("/journal?order=desc&limit=1").await.ok();
        page["events"][0]["id"].as_u64().unwrap()
    };
    let acts = async |count: usize| {
        for _ in 0..count {
            let id = app.act("a", "rest").await["event_id"].as_u64().unwrap();
            assert_eq!(newest(&app).await, id);
        }
    };
    acts(10).await;
    let served = app.metric(r#"replica_reads_total{outcome="served"}"#).await.unwrap();
    assert!(served >= 1.0, "{served}");
    standby.sql("postgres", "SELECT pg_wal_replay_pause()");
    acts(3).await;
    assert!(app.metric(r#"replica_reads_total{outcome="lagging"}"#).await.unwrap() >= 1.0);
    tokio::task::block_in_place(|| standby.stop_immediately());
    acts(3).await;
    assert_chained(&app.journal().await);
}

#[tokio::test]
async fn an_unusable_address_prevents_the_start_and_is_not_shown() {
    for (address, expected) in [
        ("mysql://u:geheim@db/x", "DATABASE_URL"),
        ("postgres://u:geheim@db/x?sslmode=prefer", "sslmode"),
        ("postgres://u:geheim@127.0.0.1:1/x", "postgres://u@127.0.0.1:1/x"),
    ] {
        let refused = setup(address).refused().await;
        let words = refused.in_words();
        assert!(words.contains(expected) && !words.contains("geheim"), "{words}");
    }
    let lonely =
        Setup::new().set("DATABASE_LISTEN_URL", "postgres://u:geheim@db/x").refused().await;
    assert!(lonely.in_words().contains("DATABASE_URL is not"), "{lonely:?}");
    let lonely = Setup::new().set("DATABASE_READ_URL", "postgres://u:geheim@db/x").refused().await;
    assert!(lonely.in_words().contains("DATABASE_URL is not"), "{lonely:?}");
    let bounded = setup("postgres://u:geheim@localhost/x").set("JOURNAL_MAX_BYTES", "1000");
    assert!(bounded.refused().await.in_words().contains("JOURNAL_MAX_BYTES"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_moves_to_a_database_and_back() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let script = ["It is remembered.", "Noted.", "Noted again."].map(Answer::text);
    let provider = StandIn::start(script.into()).await.unwrap();
    let mut app = model_setup(&provider).start().await;
    app.act("a", "rest").await;
    app.turn("b", "remember the old gate").await;
    // Two rows share these texts; one of them is stored deflated, the other as it is.
    let texts = ["a long story ".repeat(300), "é and \u{1F600}".repeat(200)];
    let messages: Vec<_> =
        texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
    for _ in 0..2 {
        app.post("/llm/chat", &json!({"messages": messages})).await.ok();
    }
    app.post("/kill-switch", &json!({"on": true, "reason": "a move"})).await.ok();
    app.post("/kill-switch", &json!({"on": false, "reason": "a move"})).await.ok();
    let (code, said) = run(&app, &["migrate", "--from", "agent.db", "--to", &address]);
    assert!(code == Some(2) && said.contains("another process has it open"), "{said}");
    assert!(app.stop().await.success());
    let head = run_json(&app, 0, &["audit", "head"]);
    let moved = run_json(&app, 0, &["migrate", "--from", "agent.db", "--to", &address]);
    assert_eq!(moved["head"], head);
    let (code, said) = run(&app, &["migrate", "--from", "agent.db", "--to", &address]);
    assert!(code == Some(2) && said.contains("holds a journal already"), "{said}");

    app.set_for_next_start("DATABASE_URL", &address);
    app.start_again().await;
    app.act("a", "rest").await;
    assert_eq!(app.state("a").await["version"], 2);
    let chats = app.get("/journal?kind=llm.chat&expand=texts&q=story").await.ok();
    let chats = chats["events"].as_array().unwrap();
    assert_eq!(chats.len(), 2, "{chats:?}");
    assert_eq!(chats[1]["data"]["messages"][1]["content"], texts[1].as_str());
    assert_chained(&app.journal().await);
    let expect = format!("{}:{}", head["id"], head["hash"].as_str().unwrap());
    let verified = run_json(&app, 0, &["audit", "verify", "--expect-head", &expect]);
    assert_eq!(verified["verdict"], "whole");
    assert_eq!(run_json(&app, 0, &["replay"])["divergence_count"], 0);
    let (code, said) = run(&app, &["migrate", "--from", &address, "--to", "back.db"]);
    assert!(code == Some(2) && said.contains("an instance has the database open"), "{said}");
    assert!(app.stop().await.success());

    let head = run_json(&app, 0, &["audit", "head"]);
    let back = run_json(&app, 0, &["migrate", "--from", &address, "--to", "back.db"]);
    assert_eq!(back["head"], head);
    assert_eq!(run_json(&app, 0, &["audit", "verify", "--db", "back.db"])["verdict"], "whole");
    assert_eq!(run_json(&app, 0, &["replay", "--db", "back.db"])["divergence_count"], 0);
}
