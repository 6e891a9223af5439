//! SIGTERM and SIGINT

use rustix::process::Signal;
use serde_json::json;

use crate::support::{KEY, RawConnection, TestApp};

#[tokio::test]
async fn it_ends_with_0_and_says_so_in_the_journal() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut app = TestApp::start().await;
        app.act("a", "rest").await;
        app.signal(signal);
        assert_eq!(app.exit().await.code(), Some(0), "{}", app.complained());
        app.start_again().await;
        let kinds: Vec<_> = app.journal().await.into_iter().map(|row| row.kind).collect();
        assert_eq!(kinds, ["service.started", "obs.act", "service.stopped", "service.started"]);
    }
}

#[tokio::test]
async fn a_hundred_open_streams_end_cleanly_without_a_delay() {
    let mut app = TestApp::start().await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(app.events("").await);
    }
    let acted = app.act("a", "rest").await;
    for stream in &mut streams {
        assert_eq!(stream.next().await.id, acted["event_id"].as_u64());
    }
    app.signal(Signal::TERM);
    for stream in streams {
        stream.ends_cleanly().await;
    }
    assert_eq!(app.exit().await.code(), Some(0), "{}", app.complained());
}

#[tokio::test]
async fn a_request_in_flight_gets_its_response() {
    let mut app = TestApp::start().await;
    let body = json!({"agent_id": "late", "action": "rest"}).to_string();
    let (first, second) = body.split_at(10);
    let mut connection = RawConnection::open(app.addr()).await;
    let head = format!(
        "POST /act HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    // The interim response shows that the server has accepted the request.
    connection.send(head).await;
    connection.read_until("HTTP/1.1 100 Continue\r\n\r\n").await;
    connection.forget_received();
    connection.send(first).await;
    app.signal(Signal::TERM);
    connection.send(second).await;
    let acted = connection.answer().await.expect("it hung up on a request in flight").ok();
    assert_eq!(app.exit().await.code(), Some(0));
    app.start_again().await;
    let row = app.journal_of("&kind=obs.act").await.pop().unwrap();
    assert_eq!(Some(row.id), acted["event_id"].as_u64());
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_stop() {
    let mut app = TestApp::start().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(RawConnection::open(app.addr()).await);
    }
    silent[0].send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    silent[0].answer().await.unwrap().ok();
    silent[1].send("GET /healthz HTTP/1.1\r\nHost:").await;
    assert_eq!(app.stop().await.code(), Some(0), "{}", app.complained());
}

#[cfg(unix)]
#[tokio::test]
async fn a_hangup_reopens_the_log_and_does_not_end_the_service() {
    let mut app = TestApp::start().await;
    app.act("a", "rest").await;
    let log = app.folder().join("logs/app.log");
    std::fs::rename(&log, app.folder().join("logs/moved.log")).unwrap();
    app.signal(Signal::HUP);
    let reopened = async {
        while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("SIGHUP")) {
            app.act("a", "rest").await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), reopened).await.unwrap();
    assert_eq!(app.stop().await.code(), Some(0), "{}", app.complained());
}

#[cfg(unix)]
#[tokio::test]
async fn a_hanging_call_does_not_prevent_the_exit() {
    let mut app = TestApp::start().await;
    // Opening this pipe for reading blocks, because it has no writer.
    let pipe = app.folder().join("policies/pipe.yaml");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_bits_truncate(0o600))
        .unwrap();
    let mut connection = RawConnection::open(app.addr()).await;
    let body = json!({"path": "policies/pipe.yaml"}).to_string();
    let head = format!(
        "POST /policy/validate HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.send(head).await;
    app.act("a", "rest").await;
    let asked = std::time::Instant::now();
    app.signal(Signal::TERM);
    app.exit().await;
    // The guarantee is ten seconds; the rest is tolerance for a busy machine.
    assert!(asked.elapsed() < std::time::Duration::from_secs(15), "{:?}", asked.elapsed());
    std::fs::remove_file(pipe).unwrap();
    app.start_again().await;
}
