//! Instances whose clocks differ by more than a day: all go by the clock of the database.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use life_agent_observer_postgres::testing::Cluster;
use reqwest::Method;
use serde_json::{Value, json};

use super::approvals;
use super::instances::{assert_whole, on};
use crate::support::{Answer, Setup, TestApp};

/// Fails tests that lack the library, instead of skipping them.
const NEEDED: &str = "LIFE_AGENT_NEED_FAKETIME";

/// The library that changes the clock of a program.
fn faketime() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut found = libraries.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let found = found.find(|path| path.is_file());
    if found.is_none() {
        let missing = "no libfaketime is installed; on Debian: apt-get install faketime";
        assert!(std::env::var(NEEDED).as_deref() != Ok("1"), "{missing}");
        eprintln!("SKIPPED: {missing}; {NEEDED}=1 makes this an error");
    }
    found
}

/// A setup whose clock differs by this. Waiting is not affected.
fn with_clock(setup: Setup, library: &std::path::Path, offset: &str) -> Setup {
    setup
        .set("LD_PRELOAD", library.to_str().unwrap())
        .set("FAKETIME", offset)
        .set("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .set("NO_FAKE_STAT", "1")
}

fn distance(text: &Value, from: Timestamp) -> SignedDuration {
    text.as_str().unwrap().parse::<Timestamp>().unwrap().duration_since(from).abs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approvals_and_keys_expire_by_the_clock_of_the_database() {
    let (Some(library), Some(cluster)) = (faketime(), Cluster::start()) else { return };
    let address = cluster.database();
    let at = |offset: &str| with_clock(on(&address, approvals::setup()), &library, offset);
    let mut ahead = at("+26h").start().await;
    let behind = at("-26h").start().await;
    let minute = SignedDuration::from_mins(1);
    for (asking, deciding) in [(&ahead, &behind), (&behind, &ahead)] {
        let call = approvals::push(&format!("branch-of-{}", asking.pid()));
        let id = approvals::asked(&approvals::post(asking, "gpt", "/tool", &call).await);
        let path = format!("/approvals/{id}");
        let shown = approvals::get(deciding, "eve", &path).await.ok();
        assert_eq!(shown["status"], "pending");
        let due = Timestamp::now() + SignedDuration::from_secs(900);
        assert!(distance(&shown["expires_at"], due) < minute, "{shown}");
        approvals::decide(deciding, "eve", id, "approve").await.ok();
        approvals::post(asking, "gpt", "/tool", &call).await.ok();
    }
    assert!(approvals::named(&ahead, "approval.expired").await.is_empty());

    let once = async |app: &TestApp, key: &str| {
        let request = app.request(Method::POST, "/act").header("Idempotency-Key", key);
        Answer::of(request.json(&json!({"agent_id": "a", "action": "rest"}))).await
    };
    once(&behind, "old").await.ok();
    let first = once(&behind, "lasting").await.ok();
    let database = address.rsplit('/').next().unwrap();
    let aged = "UPDATE idempotency_records SET ts = '2026-01-01T00:00:00.000000Z' WHERE seq = \
                (SELECT min(seq) FROM idempotency_records)";
    let schema = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'idempotency_records'";
    let schema = cluster.sql(database, schema);
    let in_schema =
        |sql: &str| cluster.sql(database, &format!("SET search_path = {}; {sql}", schema.trim()));
    in_schema(aged);
    // A start removes the keys that have expired.
    ahead.kill_9();
    ahead.start_again().await;
    let left = "SELECT count(*) FROM idempotency_records WHERE ts < '2026-01-02'";
    while in_schema(left).trim() != "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(once(&ahead, "lasting").await.ok(), first);
    assert_eq!(behind.state("a").await["version"], 2);
    assert_whole(&behind).await;
}
