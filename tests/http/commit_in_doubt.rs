//! A commit whose response is lost, while the database cannot be asked: the response says what is not known.

use std::time::Duration;

use life_agent_observer_postgres::testing::Cluster;
use reqwest::Method;
use serde_json::json;

use super::instances::{assert_whole, on};
use crate::support::{Answer, Proxy, Setup, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_in_doubt_is_not_called_a_failure_and_its_repetition_has_one_effect() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let database = address.rsplit('/').next().unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], cluster.port()).into()).await;
    let through = address.replace(&cluster.port().to_string(), &proxy.port().to_string());
    let near = on(&address, Setup::new()).start().await;
    let far = on(&through, Setup::new()).start().await;
    far.act("a", "rest").await;
    let once = |app: &TestApp| {
        let request = app.request(Method::POST, "/act").header("Idempotency-Key", "in-doubt");
        Answer::of(request.json(&json!({"agent_id": "a", "action": "rest"})))
    };
    let schema = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'agents'";
    let schema = cluster.sql(database, schema).trim().to_owned();
    // The group waits for a table, with its commit behind it.
    let held =
        cluster.hold(database, &format!("BEGIN; LOCK TABLE {schema}.agents IN EXCLUSIVE MODE"));
    let acting = tokio::spawn(once(&far));
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation IS NOT NULL";
    while cluster.sql(database, waiting).trim() == "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.close();
    drop(held);
    let error = acting.await.unwrap();
    let message = error.error(503, "outcome_unknown")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("Idempotency-Key") && !message.contains("nothing"), "{message}");
    proxy.open();
    // It was stored, unless the table was locked for longer than a statement may wait.
    let again = async {
        loop {
            let answer = once(&far).await;
            if answer.status != 503 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let again = tokio::time::timeout(Duration::from_secs(60), again).await.unwrap();
    let row = near.journal_of("&kind=obs.act").await.last().unwrap().id;
    match again.status {
        200 => assert_eq!(again.ok()["event_id"], row),
        _ => assert_eq!(again.error(409, "conflict")["details"]["event_id"], row),
    }
    assert_eq!(near.state("a").await["version"], 2);
    assert_eq!(far.act("a", "rest").await["state_version"], 3);
    assert_whole(&far).await;
}
