//! Several instances on one PostgreSQL database: one journal, one order, one set of controls.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use life_agent_groq::testing::{Answer as Reply, StandIn};
use life_agent_observer_postgres::testing::Cluster;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::approvals;
use super::audit::run_json;
use crate::support::{Answer, Row, Setup, TestApp, assert_chained, chat, model_setup};

const DANCING: &str = "version: \"1\"\nallowed_dirs: [plans]\nrules:\n\
    - {id: no-dancing, match: {kinds: [act], actions: [dance]}, effect: deny}\n";

pub(super) fn on(address: &str, setup: Setup) -> Setup {
    setup.set("DATABASE_URL", address)
}

async fn two(cluster: &Cluster) -> (Arc<TestApp>, Arc<TestApp>) {
    let address = cluster.database();
    let first = on(&address, Setup::new()).start().await;
    let second = on(&address, Setup::new()).start().await;
    (Arc::new(first), Arc::new(second))
}

fn act(agent: &str) -> Value {
    json!({"agent_id": agent, "action": "rest"})
}

/// Rows of acts between the rows that turn the switch on and off.
fn acts_while_stopped(rows: &[Row]) -> Vec<u64> {
    let (mut on, mut found) = (false, Vec::new());
    for row in rows {
        match row.kind.as_str() {
            "kill_switch.on" => on = true,
            "kill_switch.off" => on = false,
            kind if on && kind.starts_with("obs.") => found.push(row.id),
            _ => {}
        }
    }
    found
}

/// Checks what the journal promises, whichever instances wrote it.
pub(super) async fn assert_whole(app: &TestApp) {
    assert_chained(&app.journal().await);
    assert_eq!(run_json(app, 0, &["audit", "verify"])["verdict"], "whole");
    assert_eq!(run_json(app, 0, &["replay"])["divergence_count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_agent_steps_on_both_without_a_gap_and_both_streams_are_equal() {
    let Some(cluster) = Cluster::start() else { return };
    let (first, second) = two(&cluster).await;
    let from = first.last_id().await;
    let mut streams =
        [first.events_after("", Some(from)).await, second.events_after("", Some(from)).await];
    let mut acts = JoinSet::new();
    for n in 0..60_usize {
        let app = Arc::clone(if n % 2 == 0 { &first } else { &second });
        acts.spawn(async move { app.post("/act", &act(["a", "b"][n % 3 / 2])).await });
    }
    let mut versions = BTreeSet::new();
    while let Some(answer) = acts.join_next().await {
        let answer = answer.unwrap().ok();
        let version = answer["state_version"].as_u64().unwrap();
        assert!(versions.insert((answer["echo"]["agent_id"].to_string(), version)), "{answer}");
    }
    let mut followed = Vec::new();
    for stream in &mut streams {
        let events = stream.take(60).await;
        assert!(events.iter().map(|event| event.id.unwrap()).eq(from + 1..=from + 60));
        followed.push(events.into_iter().map(|event| event.data).collect::<Vec<_>>());
    }
    assert_eq!(followed[0], followed[1]);
    for agent in ["a", "b"] {
        assert_eq!(first.state(agent).await, second.state(agent).await);
    }
    // What one has answered, the other shows immediately.
    for n in 0..20 {
        let (here, there) = if n % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let version = here.act("c", "rest").await["state_version"].clone();
        assert_eq!(there.state("c").await["version"], version);
    }
    assert_whole(&first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_act_follows_a_kill_switch_or_a_stop_of_another_instance() {
    let Some(cluster) = Cluster::start() else { return };
    let (first, second) = two(&cluster).await;
    let mut load = JoinSet::new();
    for n in 0..8 {
        let app = Arc::clone(if n % 2 == 0 { &first } else { &second });
        load.spawn(async move {
            let (mut allowed, mut refused) = (0, 0);
            for _ in 0..60 {
                let answer = app.post("/act", &act(&format!("agent-{n}"))).await;
                match answer.status {
                    200 => allowed += 1,
                    503 => {
                        answer.error(503, "kill_switch");
                        refused += 1;
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    _ => panic!("{answer:?}"),
                }
            }
            (allowed, refused)
        });
    }
    for n in 0..6 {
        let app = if n % 2 == 0 { &first } else { &second };
        app.post("/kill-switch", &json!({"on": true, "reason": "a test"})).await.ok();
        let other = if n % 2 == 0 { &second } else { &first };
        other.post("/act", &act("late")).await.error(503, "kill_switch");
        assert_eq!(other.get("/kill-switch").await.ok()["on"], true);
        other.post("/kill-switch", &json!({"on": false, "reason": "over"})).await.ok();
        app.act("late", "rest").await;
    }
    let mut sum = (0, 0);
    while let Some(counts) = load.join_next().await {
        let (allowed, refused) = counts.unwrap();
        sum = (sum.0 + allowed, sum.1 + refused);
    }
    assert!(sum.0 > 0 && sum.1 > 0, "{sum:?}");
    let rows = first.journal().await;
    assert_eq!(acts_while_stopped(&rows), Vec::<u64>::new());

    // Stops of different agents at both instances do not overwrite each other.
    let stop = |agent: &str| json!({"agent": agent, "on": true, "reason": "a test"});
    let stops = [stop("s1"), stop("s2"), stop("s3"), stop("s4")];
    let [one, two, three, four] = &stops;
    let answers = tokio::join!(
        first.post("/stops", one),
        second.post("/stops", two),
        first.post("/stops", three),
        second.post("/stops", four),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        answer.ok();
    }
    for app in [&first, &second] {
        for agent in ["s1", "s2", "s3", "s4"] {
            app.post("/act", &act(agent)).await.error(503, "stopped");
        }
    }
    assert_whole(&second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_decided_on_one_instance_and_used_once_on_another() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let first = on(&address, approvals::setup()).start().await;
    let second = on(&address, approvals::setup()).start().await;
    for n in 0..5 {
        let call = approvals::push(&format!("branch-{n}"));
        let id = approvals::asked(&approvals::post(&first, "gpt", "/tool", &call).await);
        let again = approvals::asked(&approvals::post(&second, "gpt", "/tool", &call).await);
        assert_eq!(again, id, "both instances wait for the same approval");
        let path = format!("/approvals/{id}");
        assert_eq!(approvals::get(&second, "eve", &path).await.ok()["status"], "pending");
        // Two decisions at the same moment: one counts.
        let decided = tokio::join!(
            approvals::decide(&first, "eve", id, "approve"),
            approvals::decide(&second, "eve", id, "approve"),
        );
        let statuses = BTreeSet::from([decided.0.status, decided.1.status]);
        assert!(statuses.contains(&200) && statuses.len() == 2, "{decided:?}");
        let uses = tokio::join!(
            approvals::post(&second, "gpt", "/tool", &call),
            approvals::post(&first, "gpt", "/tool", &call),
        );
        let allowed = [&uses.0, &uses.1].iter().filter(|answer| answer.status == 200).count();
        assert_eq!(allowed, 1, "{uses:?}");
        assert_eq!(approvals::get(&first, "eve", &path).await.ok()["status"], "used");
        assert_eq!(approvals::get(&second, "eve", &path).await.ok()["status"], "used");
    }
    assert_eq!(approvals::named(&first, "approval.used").await.len(), 5);
    assert_eq!(approvals::named(&first, "approval.decided").await.len(), 5);
    assert_whole(&first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_has_one_effect_and_one_response_on_all_instances() {
    let Some(cluster) = Cluster::start() else { return };
    let (first, second) = two(&cluster).await;
    let once = async |app: &TestApp, key: &str, body: &Value| {
        let request = app.request(Method::POST, "/act").header("Idempotency-Key", key);
        Answer::of(request.json(body)).await
    };
    let answer = once(&first, "sequential", &act("a")).await;
    let again = once(&second, "sequential", &act("a")).await;
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"), "{again:?}");
    assert_eq!((answer.status, &answer.body), (again.status, &again.body));
    once(&second, "sequential", &act("b")).await.error(422, "idempotency_mismatch");
    for n in 0..10 {
        let key = format!("concurrent-{n}");
        let body = act("a");
        let answers = tokio::join!(once(&first, &key, &body), once(&second, &key, &body));
        assert_eq!((answers.0.status, answers.1.status), (200, 200), "{answers:?}");
        assert_eq!(answers.0.body, answers.1.body, "{answers:?}");
    }
    assert_eq!(first.state("a").await["version"], 11);
    assert_whole(&second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_policy_file_reloads_every_instance_and_other_files_are_a_fault() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let first = on(&address, Setup::new()).start().await;
    let other = "version: \"1\"\nallowed_dirs: [plans]\nmax_diff_lines: 100\n";
    let second = on(&address, Setup::new().policy(other)).start().await;
    let hash = async |app: &TestApp| app.get("/policy").await.ok()["hash"].clone();
    assert_eq!(hash(&first).await, hash(&second).await, "the second runs the policy of the first");
    let ready = second.get("/readyz").await.ok();
    assert!(ready["policy"].to_string().contains("differ"), "{ready}");
    assert_eq!(first.get("/readyz").await.ok().get("policy"), None);

    let before = first.journal_of("&kind=policy.reload").await.len();
    std::fs::write(second.folder().join("policy/policy.yaml"), DANCING).unwrap();
    let mut events = first.events("?kind=policy.*").await;
    let seen = first.journal_of("&kind=policy.reload").await.len() > before;
    if !seen {
        events.next().await;
    }
    // From the row on, both judge by the new policy.
    let dance = json!({"agent_id": "a", "action": "dance"});
    first.post("/act", &dance).await.error(403, "rule_deny");
    second.post("/act", &dance).await.error(403, "rule_deny");
    assert_eq!(hash(&first).await, hash(&second).await);
    assert!(first.get("/readyz").await.ok()["policy"].to_string().contains("differ"));
    assert_eq!(second.get("/readyz").await.ok().get("policy"), None);

    // A reload on the first makes its file that of all; acts during the change are judged by one or the other.
    first.post("/policy/reload", &json!({})).await.ok();
    assert_eq!(second.post("/act", &dance).await.status, 200);
    let rows = first.journal().await;
    let mut active = String::new();
    for row in rows {
        let data = row.json();
        match row.kind.as_str() {
            "policy.reload" => active = data["policy_hash"].as_str().unwrap().to_owned(),
            "obs.act" if !active.is_empty() => assert_eq!(data["policy_hash"], active.as_str()),
            _ => {}
        }
    }
    assert_eq!(first.journal_of("&kind=policy.reload").await.len(), before + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_made_on_one_instance_is_reviewed_on_another_once() {
    let Some(cluster) = Cluster::start() else { return };
    let (first, second) = two(&cluster).await;
    let plan = json!({
        "intent": "greet", "context": "a test", "target_paths": ["plans/hello.txt"],
        "edits": [{"path": "plans/hello.txt", "op": "create", "content": "hello\n"}],
    });
    let plan = first.post("/plan", &plan).await.ok();
    let id = plan["id"].as_str().unwrap();
    let shown = second.get(&format!("/plans/{id}")).await.ok();
    assert_eq!(shown, first.get(&format!("/plans/{id}")).await.ok());
    assert_eq!(
        second.read(plan["artifact"].as_str().unwrap()),
        first.read(plan["artifact"].as_str().unwrap())
    );
    let (path, body) = (format!("/plans/{id}/review"), json!({"decision": "reject"}));
    let reviews = tokio::join!(second.post(&path, &body), first.post(&path, &body));
    let statuses = BTreeSet::from([reviews.0.status, reviews.1.status]);
    assert_eq!(statuses, BTreeSet::from([200, 409]), "{reviews:?}");
    assert_eq!(first.get(&format!("/plans/{id}")).await.ok()["status"], "rejected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_on_both_instances_do_not_exceed_a_budget_together() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let provider = StandIn::start(vec![Reply::text("fine")]).await.unwrap();
    let policy =
        "version: '1'\nallowed_dirs: [plans]\nbudgets: [{id: team, requests_per_day: 9}]\n";
    let setup = || on(&address, model_setup(&provider).policy(policy));
    let (first, second) = (Arc::new(setup().start().await), Arc::new(setup().start().await));
    let mut calls = JoinSet::new();
    for n in 0..24 {
        let app = Arc::clone(if n % 2 == 0 { &first } else { &second });
        calls.spawn(async move { app.post("/llm/chat", &chat("hello")).await });
    }
    let mut answered = 0;
    while let Some(answer) = calls.join_next().await {
        let answer = answer.unwrap();
        match answer.status {
            200 => answered += 1,
            _ => drop(answer.error(429, "budget_exceeded")),
        }
    }
    let reserved = first.journal_of("&kind=budget.reserved").await.len();
    assert_eq!((answered, reserved), (9, 9));
    assert_chained(&first.journal().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queued_turns_run_once_and_in_order_and_survive_their_instance() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let mut first = on(&address, Setup::new()).start().await;
    let second = on(&address, Setup::new()).start().await;
    let queue = async |app: &TestApp, input: &str| {
        let request = app.request(Method::POST, "/turn").header("Prefer", "respond-async");
        let body = json!({"agent_id": "a", "input": input});
        Answer::of(request.json(&body)).await.ok()["id"].as_str().unwrap().to_owned()
    };
    let mut ids = Vec::new();
    for n in 0..6 {
        let app = if n % 2 == 0 { &first } else { &second };
        ids.push(queue(app, &format!("turn {n}")).await);
    }
    first.kill_9();
    for id in &ids {
        let done = async {
            loop {
                let found = second.get(&format!("/turns/{id}")).await.ok();
                match found["status"].as_str().unwrap() {
                    "queued" | "running" => tokio::time::sleep(Duration::from_millis(50)).await,
                    status => return (status.to_owned(), found),
                }
            }
        };
        // A turn that was running at the first ends when its lease has expired.
        let (status, found) = tokio::time::timeout(Duration::from_secs(60), done).await.unwrap();
        assert!(["done", "failed"].contains(&status.as_str()), "{found}");
    }
    let rows = second.journal_of("&kind=obs.turn").await;
    let inputs: Vec<_> =
        rows.iter().map(|row| row.json()["input"].as_str().unwrap().to_owned()).collect();
    assert!(inputs.is_sorted() && inputs.len() >= 5, "{inputs:?}");
    assert_eq!(inputs.iter().collect::<BTreeSet<_>>().len(), inputs.len(), "{inputs:?}");
    assert_whole(&second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_when_an_instance_or_the_database_is_killed() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let mut first = on(&address, Setup::new()).start().await;
    let second = on(&address, Setup::new()).start().await;
    let third = on(&address, Setup::new()).start().await;
    for app in [&first, &second, &third] {
        app.act("a", "rest").await;
    }
    first.kill_9();
    second.act("a", "rest").await;
    third.act("a", "rest").await;
    first.start_again().await;
    first.act("a", "rest").await;
    tokio::task::block_in_place(|| cluster.stop_immediately());
    assert_eq!(second.post("/act", &act("a")).await.status, 503);
    assert_eq!(second.get("/readyz").await.status, 503);
    tokio::task::block_in_place(|| cluster.start_again());
    for app in [&first, &second, &third] {
        let answered = async {
            while app.post("/act", &act("b")).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), answered).await.unwrap();
    }
    assert_eq!(first.state("a").await["version"], 6);
    assert_eq!(third.state("b").await["version"], 3);
    assert_whole(&second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_with_another_seed_does_not_start_next_to_others() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let app = on(&address, Setup::new()).start().await;
    app.act("a", "rest").await;
    let seeded = on(&address, Setup::new().set("DETERMINISTIC_SEED", "7")).refused().await;
    assert!(seeded.in_words().contains("SEED"), "{seeded:?}");
    app.act("a", "rest").await;
}
