//! What one instance notices of another: rows on a stream, and the kill switch.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bench::Scale;
use crate::bench::report::{Section, aimed, time};
use crate::load::server::KEY;
use crate::load::watch;

const WAKE: Duration = Duration::from_millis(20);
const SWITCH: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two acts whose rows are awaited: longer than a follower that has just received rows gathers more.
const PAUSE: Duration = Duration::from_millis(60);

/// Measures a deployment of two or more instances, without other load.
pub(super) fn describe(
    section: &mut Section,
    name: &str,
    instances: &[SocketAddr],
    scale: Scale,
) -> anyhow::Result<()> {
    let (first, rest) = instances.split_first().context("no instance")?;
    let last = rest.last().context("one instance only")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = (scale.calls / 50).clamp(40, 200);
    let (wakes, switches) = runtime.block_on(async {
        let wakes = wakes(*first, *last, count).await?;
        Ok::<_, anyhow::Error>((wakes, switches(*first, rest, count / 10).await?))
    })?;
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    section.line(&format!(
        "\n{name}: a follower on another instance has a row {} (p50) and {} (p99) after its act was answered; aim {}. After \
         `POST /kill-switch` was answered, no act sent to another instance was permitted in {} tries, and the last \
         instance refused after {} (p50) and {} (longest); aim {}.",
        time(micros(quantile(&wakes, 0.5))),
        aimed(&time(micros(quantile(&wakes, 0.99))), quantile(&wakes, 0.99) < WAKE),
        time(micros(WAKE)),
        switches.len(),
        time(micros(quantile(&switches, 0.5))),
        aimed(&time(micros(quantile(&switches, 1.0))), quantile(&switches, 1.0) < SWITCH),
        time(micros(SWITCH)),
    ));
    Ok(())
}

/// The times from the response to an act on one instance to its event on another.
async fn wakes(
    writer: SocketAddr,
    follower: SocketAddr,
    count: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = watch::subscribe(follower).await?;
    let mut acting = TcpStream::connect(writer).await?;
    acting.set_nodelay(true)?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        tokio::time::sleep(PAUSE).await;
        // The event may come before the response.
        let (answered, seen) = tokio::join!(
            async {
                watch::act(&mut acting, 0).await?;
                anyhow::Ok(Instant::now())
            },
            timeout(PATIENCE, next_event(&mut stream)),
        );
        times.push(seen??.saturating_duration_since(answered?));
    }
    times.sort_unstable();
    Ok(times)
}

/// The time of the next event's arrival.
async fn next_event(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Instant> {
    let mut line = Vec::new();
    while !line.starts_with(b"id: ") {
        line.clear();
        anyhow::ensure!(stream.read_until(b'\n', &mut line).await? > 0, "the stream ended");
    }
    Ok(Instant::now())
}

/// The times from the response to a switch on one instance until all others have refused an act.
async fn switches(
    first: SocketAddr,
    others: &[SocketAddr],
    count: usize,
) -> anyhow::Result<Vec<Duration>> {
    let act = r#"{"agent_id":"late","action":"rest"}"#;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        tokio::time::sleep(PAUSE).await;
        let status = post(first, "/kill-switch", r#"{"on":true,"reason":"a measurement"}"#).await?;
        anyhow::ensure!(status == "200", "the switch was answered with {status}");
        let begun = Instant::now();
        for other in others {
            let status = post(*other, "/act", act).await?;
            anyhow::ensure!(status == "503", "an act after the switch was answered with {status}");
        }
        times.push(begun.elapsed());
        post(first, "/kill-switch", r#"{"on":false,"reason":"a measurement"}"#).await?;
    }
    times.sort_unstable();
    Ok(times)
}

/// The status of a response.
async fn post(to: SocketAddr, path: &str, body: &str) -> anyhow::Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(to).await?);
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut line = String::new();
    timeout(PATIENCE, stream.read_line(&mut line)).await??;
    Ok(line.split(' ').nth(1).context("no status")?.to_owned())
}

fn quantile(sorted: &[Duration], q: f64) -> Duration {
    let at = ((sorted.len() as f64 * q) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}
