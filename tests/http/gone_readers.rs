//! Readers of `/events` that disconnect

use std::time::{Duration, Instant};

use crate::support::{KEY, RawConnection, TestApp};

/// Shorter than the 15 s between two keep-alives, so that only the closed connection can be noticed.
const NOTICED: Duration = Duration::from_secs(10);

async fn subscribe(app: &TestApp) -> RawConnection {
    let mut connection = RawConnection::open(app.addr()).await;
    let request = format!("GET /events HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n");
    connection.send(request).await;
    connection.read_until("event: ready").await;
    connection
}

#[tokio::test]
async fn a_disconnected_reader_is_dropped_immediately_and_others_continue() {
    let app = TestApp::start().await;
    let gone = [subscribe(&app).await, subscribe(&app).await, subscribe(&app).await];
    let mut stays = app.events("").await;
    assert_eq!(app.metric("sse_subscribers").await, Some(4.0));
    drop(gone);
    let begun = Instant::now();
    while app.metric("sse_subscribers").await != Some(1.0) {
        assert!(begun.elapsed() < NOTICED, "they are still counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let acted = app.act("a", "rest").await;
    assert_eq!(stays.next().await.id, acted["event_id"].as_u64());
}
