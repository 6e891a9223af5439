//! State across a restart

use serde_json::json;

use crate::support::{TestApp, assert_chained};

#[tokio::test]
async fn states_hashes_and_the_next_number_survive_a_restart() {
    let mut app = TestApp::start().await;
    for agent in ["a", "b"] {
        app.turn(agent, "explore the keep").await;
        app.act(agent, "rest").await;
        app.act(agent, "unheard.of").await;
    }
    let states = [app.get("/state?agent_id=a").await.body, app.get("/state?agent_id=b").await.body];
    let before = app.journal().await;
    app.restart().await;
    let after = [app.get("/state?agent_id=a").await.body, app.get("/state?agent_id=b").await.body];
    assert_eq!(after, states, "byte for byte");
    let rows = app.journal().await;
    assert_chained(&rows);
    assert!(rows.iter().zip(&before).all(|(now, then)| now.hash == then.hash));
    let added: Vec<_> = rows[before.len()..].iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(added, ["service.stopped", "service.started"]);
    let turned = app.turn("a", "go on").await;
    assert_eq!(turned["event_id"], rows.len() + 1);
    assert_eq!((&turned["state_version"], &turned["turn"]["number"]), (&json!(4), &json!(2)));
}

#[tokio::test]
async fn a_restart_does_not_change_later_steps() {
    let (mut interrupted, through) = tokio::join!(TestApp::start(), TestApp::start());
    for n in 0..4 {
        let input = format!("explore room {n}");
        let (one, two) = (interrupted.turn("a", &input).await, through.turn("a", &input).await);
        assert_eq!(one["state_hash"], two["state_hash"], "step {n}");
        assert_eq!((&one["response"], &one["turn"]), (&two["response"], &two["turn"]));
        interrupted.restart().await;
    }
}

#[tokio::test]
async fn a_kill_loses_no_confirmed_step() {
    let mut app = TestApp::start().await;
    let turned = app.turn("a", "explore the keep").await;
    let state = app.get("/state?agent_id=a").await.body;
    app.kill_9();
    app.start_again().await;
    assert_eq!(app.get("/state?agent_id=a").await.body, state);
    let rows = app.journal().await;
    assert_chained(&rows);
    let row = rows.iter().find(|row| Some(row.id) == turned["event_id"].as_u64()).unwrap();
    assert_eq!(row.json()["state_hash"], turned["state_hash"]);
    let stopped = rows.iter().filter(|row| row.kind == "service.stopped").count();
    assert_eq!(stopped, 0, "it had no time to say goodbye");
}

#[tokio::test]
async fn an_agent_keeps_its_first_seed() {
    let mut app = TestApp::start().await;
    app.act("old", "rest").await;
    app.set_for_next_start("DETERMINISTIC_SEED", "7");
    app.restart().await;
    assert_eq!(app.state("old").await["seed"], 42);
    assert_eq!(app.state("new").await["seed"], 7);
}

#[tokio::test]
async fn an_agent_with_many_steps_is_the_same_after_a_restart() {
    // More steps than between two stored snapshots.
    let mut app = TestApp::start().await;
    for n in 0..130 {
        app.turn("a", &format!("learn lesson {n}")).await;
    }
    let state = app.get("/state?agent_id=a").await.body;
    app.restart().await;
    assert_eq!(app.get("/state?agent_id=a").await.body, state);
}
