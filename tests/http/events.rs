//! `GET /events`

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Event, Events, KEY, RawConnection, Setup, TestApp};

fn ids(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.id.unwrap()).collect()
}

#[tokio::test]
async fn a_stream_starts_with_retry_and_ready() {
    let app = TestApp::start().await;
    let mut events = Events::open_unready(app.request(Method::GET, "/events")).await;
    let header = |name: &str| events.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("Content-Type"), "text/event-stream");
    assert_eq!(header("X-Accel-Buffering"), "no");
    assert_eq!(header("Cache-Control"), "no-store");
    let mut first = events.block().await.unwrap();
    assert_eq!(first.retry.as_deref(), Some("5000"));
    while first.name.is_none() {
        first = events.block().await.unwrap();
    }
    assert_eq!(first.name.as_deref(), Some("ready"));
}

#[tokio::test]
async fn an_event_is_its_journal_row_as_one_line_of_json() {
    let app = TestApp::start().await;
    let mut events = app.events("").await;
    app.turn("hero", "two\nlines\r\nof text").await;
    app.act("hero", "rest").await;
    for event in events.take(2).await {
        let id = event.id.unwrap();
        let page = app.get(&format!("/journal?after={}&limit=1", id - 1)).await.ok();
        let row = &page["events"][0];
        assert_eq!(event.name.as_deref(), row["kind"].as_str());
        assert_eq!(event.json(), *row);
    }
}

#[tokio::test]
async fn without_a_position_a_stream_starts_with_new_rows() {
    let app = TestApp::start().await;
    app.act("hero", "before").await;
    let mut events = app.events("").await;
    let acted = app.act("hero", "after").await;
    assert_eq!(events.next().await.id, acted["event_id"].as_u64());
}

#[tokio::test]
async fn a_stream_resumes_after_a_row_without_gap_or_repeat() {
    let app = TestApp::start().await;
    for _ in 0..5 {
        app.act("hero", "rest").await;
    }
    let all = app.last_id().await;
    for after in [0, 1, 3, all - 1] {
        let expected: Vec<_> = (after + 1..=all).collect();
        let mut by_header = app.events_after("", Some(after)).await;
        assert_eq!(ids(&by_header.take(expected.len()).await), expected);
        let mut by_query = app.events(&format!("?after={after}")).await;
        assert_eq!(ids(&by_query.take(expected.len()).await), expected);
    }
}

#[tokio::test]
async fn rows_recorded_during_catch_up_are_neither_lost_nor_repeated() {
    let app = TestApp::start().await;
    for _ in 0..30 {
        app.act("hero", "rest").await;
    }
    let mut events = app.events("?after=0").await;
    let acts = async {
        for _ in 0..30 {
            app.act("hero", "rest").await;
        }
    };
    // One row for the start, sixty for the acts.
    let ((), seen) = tokio::join!(acts, events.take(61));
    assert_eq!(ids(&seen), (1..=61).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_resumes_across_restarts() {
    let mut app = TestApp::start().await;
    let mut events = app.events("").await;
    app.act("hero", "rest").await;
    let last = events.next().await.id.unwrap();
    drop(events);
    app.act("hero", "unseen").await;
    app.restart().await;
    app.act("hero", "rest").await;
    let mut events = app.events_after("", Some(last)).await;
    let seen = events.take(4).await;
    assert_eq!(ids(&seen), (last + 1..=last + 4).collect::<Vec<_>>());
    let names: Vec<_> = seen.iter().map(|event| event.name.clone().unwrap()).collect();
    assert_eq!(names, ["obs.act", "service.stopped", "service.started", "obs.act"]);
}

#[tokio::test]
async fn a_stream_is_filtered_by_kind_and_agent() {
    let app = TestApp::start().await;
    let open = |query| app.events(query);
    let (mut turns, mut steps, mut of_b, mut both) = (
        open("?kind=obs.turn").await,
        open("?kind=obs.*").await,
        open("?agent_id=b").await,
        open("?kind=obs.turn&agent_id=b").await,
    );
    app.act("a", "rest").await;
    app.turn("a", "hello").await;
    app.post("/kill-switch", &json!({"on": true, "reason": "drill"})).await.ok();
    app.post("/kill-switch", &json!({"on": false, "reason": "over"})).await.ok();
    app.act("b", "rest").await;
    app.turn("b", "hello").await;
    let seen = |events: Vec<Event>| -> Vec<Value> {
        let row = |event: &Event| json!([event.name, event.json()["agent_id"]]);
        events.iter().map(row).collect()
    };
    let (act, turn) = ("obs.act", "obs.turn");
    assert_eq!(seen(turns.take(2).await), [json!([turn, "a"]), json!([turn, "b"])]);
    assert_eq!(
        seen(steps.take(4).await),
        [json!([act, "a"]), json!([turn, "a"]), json!([act, "b"]), json!([turn, "b"])]
    );
    assert_eq!(seen(of_b.take(2).await), [json!([act, "b"]), json!([turn, "b"])]);
    assert_eq!(seen(both.take(1).await), [json!([turn, "b"])]);
}

#[tokio::test]
async fn denials_and_switches_are_streamed_too() {
    let app = TestApp::start().await;
    let mut events = app.events("").await;
    app.post("/turn", &json!({"agent_id": "a", "input": "cat ../../../../etc/passwd"})).await;
    app.post("/kill-switch", &json!({"on": true, "reason": "drill"})).await.ok();
    app.post("/kill-switch", &json!({"on": false, "reason": ""})).await.ok();
    app.post_nothing("/policy/reload").await.ok();
    let names: Vec<_> = events.take(4).await.into_iter().map(|event| event.name.unwrap()).collect();
    assert_eq!(names, ["gate.denied", "kill_switch.on", "kill_switch.off", "policy.reload"]);
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_every_15_seconds() {
    let app = TestApp::start().await;
    let mut events = app.events("").await;
    let block = events.block().await.unwrap();
    assert_eq!(block.comments, [":keepalive"]);
}

#[tokio::test]
async fn a_position_that_is_not_a_number_is_refused() {
    let app = TestApp::start().await;
    for query in ["after=x", "after=-1", "after=1.5", "kind=%0a", "agent_id=a%20b"] {
        let answer = Answer::of(app.request(Method::GET, &format!("/events?{query}"))).await;
        let path = query.split('=').next().unwrap();
        assert_eq!(answer.fault_paths("validation_error"), [path], "{query}");
    }
}

#[tokio::test]
async fn a_stalled_reader_delays_no_other_and_misses_nothing() {
    // A policy without risk patterns: this test is about bytes in flight.
    let policy = "version: \"1\"\nallowed_dirs: [plans]\nrisk: { categories: { command_exec: off, secrets: off, url: off, path_traversal: off, prompt_injection: off } }\n";
    let app = Setup::new().policy(policy).start().await;
    let mut slow = RawConnection::narrow(app.addr()).await;
    let request = format!("GET /events?after=0 HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n");
    slow.send(request).await;
    slow.read_until("event: ready").await;
    // More than socket buffers hold, and many times the server's buffer for a reader.
    let (rows, text) = (150, "x".repeat(60_000));
    let mut acts = tokio::task::JoinSet::new();
    for n in 0..rows {
        let body =
            json!({"agent_id": format!("a{}", n % 7), "action": "write", "payload": {"t": text}});
        acts.spawn(Answer::of(app.request(Method::POST, "/act").json(&body)));
        if n % 10 == 9 {
            std::mem::take(&mut acts).join_all().await.iter().for_each(|answer| drop(answer.ok()));
        }
    }
    let last = app.act("marker", "last").await["event_id"].as_u64().unwrap();
    let text = slow.read_until(&format!("data: {{\"id\":{last},")).await;
    // The data of each row starts with its number.
    let row = |line: &str| line.strip_prefix("data: {\"id\":")?.split(',').next()?.parse().ok();
    let seen: Vec<u64> = text.lines().filter_map(row).collect();
    assert_eq!(seen, (1..=last).collect::<Vec<_>>());
}

/// The events of a stream's start: `ready`, and `gap` if there is one.
async fn start(app: &TestApp, query: &str) -> (Value, Option<Value>) {
    let request = app.request(Method::GET, &format!("/events{query}"));
    let mut events = Events::open_unready(request).await;
    let mut named = async || loop {
        let block = events.block().await.unwrap();
        if let Some(name) = block.name.clone() {
            return (name, block.json());
        }
    };
    let (name, ready) = named().await;
    assert_eq!(name, "ready");
    // A row follows, or the gap before it.
    app.act("marker", "rest").await;
    let (name, next) = named().await;
    (ready, (name == "gap").then_some(next))
}

#[tokio::test]
async fn the_start_of_a_stream_names_the_journal_and_its_rows() {
    let mut app = TestApp::start().await;
    app.act("hero", "rest").await;
    let (ready, gap) = start(&app, "?lastEventId=1").await;
    assert_eq!(
        (&ready["after"], &ready["first"], &ready["head"]),
        (&json!(1), &json!(1), &json!(2))
    );
    assert_eq!(gap, None);
    let id = ready["journal_id"].as_str().unwrap().to_owned();
    assert_eq!(id, app.journal().await[0].hash[..32]);
    app.restart().await;
    assert_eq!(start(&app, &format!("?journal_id={id}&after=1")).await.1, None);
    let (ready, gap) = start(&app, "?journal_id=another&lastEventId=2").await;
    assert_eq!(ready["journal_id"], id.as_str());
    assert_eq!(gap, Some(json!({"from": 1, "to": 2, "reason": "other_journal"})));
}

#[tokio::test]
async fn a_stream_that_cannot_resume_names_the_missing_rows() {
    let mut app = Setup::new().set("JOURNAL_KEEP_ROWS", "5").start().await;
    for _ in 0..20 {
        app.act("hero", "rest").await;
    }
    let before = start(&app, "").await.0;
    app.restart().await;
    let first =
        async || app.get("/journal?limit=1").await.ok()["events"][0]["id"].as_u64().unwrap();
    // Retention runs after the start.
    while first().await == 1 {
        tokio::task::yield_now().await;
    }
    let (ready, gap) = start(&app, "?lastEventId=3").await;
    let gap = gap.unwrap();
    assert_eq!((&gap["from"], &gap["reason"]), (&json!(4), &json!("pruned")));
    assert_eq!(gap["to"].as_u64().unwrap() + 1, ready["first"].as_u64().unwrap());
    assert_eq!(ready["after"], gap["to"]);
    assert_eq!(ready["journal_id"], before["journal_id"], "the first row is gone");
    let (ready, gap) = start(&app, "?lastEventId=5000").await;
    let from = ready["head"].as_u64().unwrap() + 1;
    assert_eq!(gap, Some(json!({"from": from, "to": 5000, "reason": "restored"})));
    assert_eq!(ready["after"], ready["head"]);
}

#[tokio::test]
async fn a_client_of_http_1_0_reads_a_stream_without_chunks() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.addr()).await.unwrap();
    let request = format!("GET /events HTTP/1.0\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    while !received.windows(12).any(|window| window == b"event: ready") {
        assert!(stream.read_buf(&mut received).await.unwrap() > 0, "the stream ended");
    }
    let text = String::from_utf8(received).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("http/1.0 200") && !head.contains("transfer-encoding"), "{text}");
    assert!(!head.contains("keep-alive") && body.starts_with("retry: 5000\n"), "{text}");
}
