//! SIGKILL at random moments under load: every confirmed step is recorded once.
//!
//! `LIFE_AGENT_KILL_ROUNDS` sets the number of rounds: 8 by default, 25 in `.ci/run`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::audit::run_json;
use crate::support::{Answer, Row, TestApp, assert_chained, hash_of_state};

const CALLERS: usize = 8;
const AGENTS: usize = 4;

/// The response to a step: its row, its marker, the resulting hash.
#[derive(Debug)]
struct Answered {
    event_id: u64,
    mark: String,
    state_hash: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_confirmed_step_is_lost_or_doubled_by_kills() {
    let rounds =
        std::env::var("LIFE_AGENT_KILL_ROUNDS").map_or(8, |rounds| rounds.parse().unwrap());
    let mut app = TestApp::start().await;
    let mut answered = Vec::new();
    for round in 0..rounds {
        let answers = Arc::new(Semaphore::new(0));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn(call_until_gone(steps(&app, round, caller), Arc::clone(&answers)));
        }
        // The moment of the kill is random: after a number of responses, which is independent of the machine, and
        // then within the following commits.
        let (enough, moment) =
            (rand::rng().random_range(0..100), rand::rng().random_range(0..20_000));
        drop(answers.acquire_many(enough).await.unwrap());
        tokio::time::sleep(Duration::from_micros(moment)).await;
        app.kill_9();
        answered.extend(callers.join_all().await.into_iter().flatten());
        app.start_again().await;
        verify(&app, &answered).await;
    }
    // Again from the first row, with the server's own verification.
    assert_eq!(run_json(&app, 0, &["audit", "verify"])["verdict"], "whole");
    let report = run_json(&app, 0, &["replay"]);
    assert_eq!(report["divergence_count"], 0, "{report}");
    assert!(report["steps"].as_u64() >= Some(answered.len() as u64), "{report}");
    println!("{} steps answered in {rounds} rounds", answered.len());
    assert!(!answered.is_empty(), "no step was answered at all: nothing has been tested");
}

/// The endless requests of one caller, each with a unique marker.
fn steps(
    app: &TestApp,
    round: usize,
    caller: usize,
) -> impl Iterator<Item = (String, reqwest::RequestBuilder)> + Send + use<> {
    let (act, turn) = (app.request(Method::POST, "/act"), app.request(Method::POST, "/turn"));
    (0_usize..).map(move |n| {
        let mark = format!("mark-{round}-{caller}-{n}");
        let agent = format!("agent-{}", (caller + n) % AGENTS);
        let clone = |request: &reqwest::RequestBuilder| request.try_clone().unwrap();
        let request = if n % 2 == 0 {
            clone(&act)
                .json(&json!({"agent_id": agent, "action": "rest", "payload": {"mark": mark}}))
        } else {
            clone(&turn).json(&json!({"agent_id": agent, "input": mark}))
        };
        (mark, request)
    })
}

/// Sends requests until the server is gone.
async fn call_until_gone(
    steps: impl Iterator<Item = (String, reqwest::RequestBuilder)>,
    answers: Arc<Semaphore>,
) -> Vec<Answered> {
    let mut answered = Vec::new();
    for (mark, request) in steps {
        let Ok(answer) = Answer::try_of(request).await else { break };
        let body = answer.ok();
        answered.push(Answered {
            event_id: body["event_id"].as_u64().unwrap(),
            mark,
            state_hash: body["state_hash"].as_str().unwrap().to_owned(),
        });
        answers.add_permits(1);
    }
    answered
}

async fn verify(app: &TestApp, answered: &[Answered]) {
    let rows = app.journal().await;
    assert_chained(&rows);
    for step in answered {
        let row = &rows[step.event_id as usize - 1];
        assert!(row.data.get().contains(&step.mark), "row {} is not {}", row.id, step.mark);
        assert_eq!(row.json()["state_hash"], step.state_hash);
    }
    let is_step = |row: &&Row| ["obs.act", "obs.turn"].contains(&row.kind.as_str());
    let mut marks = HashMap::new();
    for row in rows.iter().filter(is_step) {
        let data = row.json();
        let mark = data["input"].as_str().or(data["payload"]["mark"].as_str()).unwrap().to_owned();
        assert_eq!(marks.insert(mark.clone(), row.id), None, "{mark} is there twice");
    }
    for n in 0..AGENTS {
        let agent = format!("agent-{n}");
        let steps: Vec<Value> = rows
            .iter()
            .filter(|row| is_step(row) && row.agent_id.as_deref() == Some(&agent))
            .map(Row::json)
            .collect();
        let versions: Vec<_> =
            steps.iter().map(|step| step["state_version"].as_u64().unwrap()).collect();
        assert_eq!(versions, (1..=steps.len() as u64).collect::<Vec<_>>(), "{agent}");
        let shown = app.get(&format!("/state?agent_id={agent}")).await;
        assert_eq!(shown.ok()["state"]["version"], steps.len());
        if let Some(last) = steps.last() {
            assert_eq!(last["state_hash"], hash_of_state(&shown.body), "{agent}");
        }
    }
}
