//! More connections, requests and waiting than the limits permit

use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::support::{Answer, KEY, RawConnection, Setup, TestApp, assert_chained};

fn act_head(length: usize) -> String {
    format!(
        "POST /act HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// An act whose body lacks the last byte, after the server has started to read it.
async fn act_under_way(app: &TestApp) -> RawConnection {
    let mut connection = RawConnection::open(app.addr()).await;
    let body = json!({"agent_id": "a", "action": "rest"}).to_string();
    connection.send(act_head(body.len()) + body.strip_suffix('}').unwrap()).await;
    let begun = async {
        while app.metric(r#"http_requests_in_flight{route="/act"}"#).await != Some(1.0) {}
    };
    timeout(Duration::from_secs(9), begun).await.expect("it is never begun");
    connection
}

#[track_caller]
fn told_to_come_back(answer: &Answer) {
    answer.error(503, "overloaded");
    let seconds: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_connection_over_the_limit_is_refused_and_an_ended_one_frees_a_place() {
    let app = Setup::new().set("MAX_CONNECTIONS", "3").start().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut connection = RawConnection::open(app.addr()).await;
        connection.send(HEALTH).await;
        assert_eq!(connection.answer().await.unwrap().status, 200);
        held.push(connection);
    }
    let mut refused = RawConnection::open(app.addr()).await;
    refused.send(act_head(2) + "{}").await;
    let answer = refused.answer().await.unwrap();
    told_to_come_back(&answer);
    assert_eq!(answer.header("Connection"), Some("close"));
    assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
    assert!(refused.answer().await.is_none(), "it is closed after its answer");
    let metrics = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    held[0].send(metrics).await;
    let text = held[0].answer().await.unwrap().text();
    assert!(text.contains("\nhttp_connections 3\n"), "{text}");
    assert!(text.contains("overload_refused_total{reason=\"connections\"} 1\n"), "{text}");

    drop(held.pop());
    let welcome = async {
        loop {
            let mut connection = RawConnection::open(app.addr()).await;
            connection.send(HEALTH).await;
            match connection.answer().await {
                Some(answer) if answer.status == 200 => return,
                Some(answer) => told_to_come_back(&answer),
                None => {}
            }
        }
    };
    timeout(Duration::from_secs(10), welcome).await.expect("the place is never free again");
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_except_for_operators_paths() {
    let app = Setup::new().set("MAX_IN_FLIGHT", "1").start().await;
    let mut first = act_under_way(&app).await;
    let act = json!({"agent_id": "b", "action": "rest"});
    let refused = app.post("/act", &act).await;
    told_to_come_back(&refused);
    // Requests to another path are not affected.
    app.turn("b", "hello").await;
    for path in ["/healthz", "/readyz", "/metrics", "/kill-switch", "/meta"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    assert_eq!(app.metric(r#"overload_refused_total{reason="in_flight"}"#).await, Some(1.0));
    first.send("}").await;
    first.answer().await.unwrap().ok();
    app.act("b", "rest").await;
    assert_eq!(app.metric(r#"http_requests_in_flight{route="/act"}"#).await, Some(0.0));
    let acts = app.journal_of("&kind=obs.act").await;
    assert_eq!(acts.len(), 2, "what was refused left no trace in the record");
}

#[tokio::test]
async fn a_refused_call_keeps_its_connection_if_its_body_arrives() {
    let app = Setup::new().set("MAX_IN_FLIGHT", "1").start().await;
    let mut first = act_under_way(&app).await;
    let body = json!({"agent_id": "b", "action": "rest"}).to_string();
    let whole = act_head(body.len()) + &body;
    let mut again = RawConnection::open(app.addr()).await;
    for _ in 0..3 {
        again.send(whole.as_str()).await;
        told_to_come_back(&again.answer().await.unwrap());
    }
    let mut half = RawConnection::open(app.addr()).await;
    half.send(act_head(1000) + "{").await;
    told_to_come_back(&half.answer().await.unwrap());
    assert!(half.answer().await.is_none(), "it is closed after its answer");
    first.send("}").await;
    first.answer().await.unwrap().ok();
    again.send(whole.as_str()).await;
    again.answer().await.unwrap().ok();
}

#[tokio::test]
async fn under_overload_each_call_gets_a_response_and_no_success_is_lost() {
    let app = Setup::new().set("MAX_IN_FLIGHT", "4").start().await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..32 {
        let act = json!({"agent_id": format!("agent-{caller}"), "action": "rest"});
        let request = app.request(reqwest::Method::POST, "/act").json(&act);
        callers.spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..20 {
                answers.push(Answer::of(request.try_clone().unwrap()).await);
            }
            answers
        });
    }
    let answers: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    let (done, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!done.is_empty() && !refused.is_empty(), "{} and {}", done.len(), refused.len());
    refused.into_iter().for_each(told_to_come_back);
    // Immediately afterward, requests succeed again.
    app.act("later", "rest").await;
    let rows = app.journal().await;
    assert_chained(&rows);
    let mut kept: Vec<_> = rows.iter().filter(|r| r.kind == "obs.act").map(|r| r.id).collect();
    assert_eq!(kept.pop(), rows.last().map(|row| row.id));
    let mut answered: Vec<_> =
        done.iter().map(|a| a.json()["event_id"].as_u64().unwrap()).collect();
    answered.sort_unstable();
    assert_eq!(kept, answered);
}

#[tokio::test]
async fn a_slow_body_times_out_even_if_it_is_steady() {
    let app = TestApp::start().await;
    let mut connection = RawConnection::open(app.addr()).await;
    connection.send(act_head(1000) + "{").await;
    let trickled = async {
        loop {
            tokio::select! {
                answer = connection.answer() => return answer,
                () = sleep(Duration::from_millis(300)) => {}
            }
            connection.send(" ").await;
        }
    };
    let answer = timeout(Duration::from_secs(20), trickled).await.expect("it is never cut");
    answer.unwrap().error(408, "request_timeout");
}

#[tokio::test]
async fn an_incomplete_head_times_out_on_every_connection() {
    let app = TestApp::start().await;
    let mut first = RawConnection::open(app.addr()).await;
    let mut second = RawConnection::open(app.addr()).await;
    second.send(HEALTH).await;
    assert_eq!(second.answer().await.unwrap().status, 200);
    let half = "GET /healthz HTTP/1.1\r\nHost: ";
    tokio::join!(first.send(half), second.send(half));
    let (first, second) = tokio::join!(first.answer(), second.answer());
    first.unwrap().error(408, "request_timeout");
    assert!(second.is_none(), "the connection ends without another answer");
}

#[tokio::test]
async fn a_connection_limit_beyond_the_systems_prevents_the_start() {
    let setup = Setup::new().set("MAX_CONNECTIONS", "100000000");
    let refused = setup.refused().await;
    let words = refused.in_words();
    assert!(words.contains("MAX_CONNECTIONS") && words.contains("ulimit"), "{words}");
}
