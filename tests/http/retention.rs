//! `JOURNAL_KEEP_ROWS` and `JOURNAL_KEEP_DAYS`

use std::time::{Duration, Instant};

use super::audit::run_json;
use crate::support::{Setup, TestApp};

/// Waits until row 1 is removed, and returns the first row.
async fn first_row_after_pruning(app: &TestApp) -> u64 {
    let begun = Instant::now();
    loop {
        let page = app.get("/journal?limit=1").await.ok();
        let first = page["events"][0]["id"].as_u64().unwrap();
        if first > 1 {
            return first;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing is removed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_start_removes_old_rows_keeps_states_and_the_rest_verifies() {
    let mut app = Setup::new().start().await;
    for n in 0..30 {
        app.turn("early", &format!("learn lesson {n}")).await;
        app.act("late", "rest").await;
    }
    let states =
        [app.get("/state?agent_id=early").await.body, app.get("/state?agent_id=late").await.body];
    let head = app.get("/journal/head").await.ok();
    app.set_for_next_start("JOURNAL_KEEP_ROWS", "10");
    app.restart().await;
    let first = first_row_after_pruning(&app).await;
    // Stop and start are rows too; the row about the removal follows them.
    assert_eq!(first, head["id"].as_u64().unwrap() + 2 - 10 + 1);
    let pruned = app.journal_of("&kind=journal.pruned").await;
    assert_eq!(pruned[0].json()["upto_id"], first - 1);
    let verdict = run_json(&app, 0, &["audit", "verify"]);
    assert_eq!(verdict["pruned"]["id"], first - 1, "{verdict}");
    let kept = format!("{}:{}", head["id"], head["hash"].as_str().unwrap());
    // Only the journal itself says that retention removed the rows, and it says so after the head was kept.
    let expecting = ["audit", "verify", "--expect-head", &kept];
    assert_eq!(run_json(&app, 1, &expecting)["fault"], "pruned_since");
    let upto = (first - 1).to_string();
    run_json(&app, 0, &[&expecting[..], &["--allow-pruned-to", &upto]].concat());
    app.restart().await;
    let after =
        [app.get("/state?agent_id=early").await.body, app.get("/state?agent_id=late").await.body];
    assert_eq!(after, states, "byte for byte");
    assert_eq!(app.turn("early", "go on").await["state_version"], 31);
}

#[tokio::test]
async fn rows_within_the_retention_period_stay() {
    let mut app = Setup::new().set("JOURNAL_KEEP_DAYS", "1").start().await;
    app.act("a", "rest").await;
    app.restart().await;
    app.act("a", "rest").await;
    assert_eq!(app.journal().await[0].id, 1);
    assert!(app.journal_of("&kind=journal.pruned").await.is_empty());
}
