//! Many readers of `/events` under a steady rate of acts: each must receive every row once and in order.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::server::{KEY, Server};

/// The time that readers may take for outstanding rows.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections of the acts.
const CALLERS: u64 = 50;

/// Measures and prints the results.
pub(crate) fn run(readers: usize, rate: u64, seconds: u64) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(readers, rate, seconds))
}

async fn measure(readers: usize, rate: u64, seconds: u64) -> anyhow::Result<()> {
    let server = Server::start()?;
    // One act first, so that the server's own memory is not attributed to the readers.
    act(&mut TcpStream::connect(server.addr).await?, 0).await?;
    let before = server.memory("VmRSS")?;
    let events = rate * seconds;
    let mut watching = JoinSet::new();
    for _ in 0..readers {
        let stream = subscribe(server.addr).await?;
        watching.spawn(timeout(PATIENCE + Duration::from_secs(seconds), watch(stream, events)));
    }
    let idle = server.memory("VmRSS")?;
    let (begun, processor) = (Instant::now(), server.processor_seconds()?);
    let mut acting = JoinSet::new();
    for caller in 0..CALLERS {
        acting.spawn(act_steadily(server.addr, caller, rate, seconds));
    }
    while let Some(acted) = acting.join_next().await {
        acted??;
    }
    let acted = begun.elapsed();
    let mut whole = 0;
    while let Some(watched) = watching.join_next().await {
        whole += usize::from(matches!(watched?, Ok(Ok(true))));
    }
    let last = begun.elapsed() - acted.min(begun.elapsed());
    println!("{events} acts in {acted:.1?}, {readers} readers:");
    println!(
        "  {whole} received every row once and in order, the last row {last:.2?} after the last act"
    );
    let each = |kilobytes: u64| kilobytes.saturating_sub(before) as f64 / readers as f64;
    println!(
        "  memory for each: {:.1} KB idle, {:.1} KB at most",
        each(idle),
        each(server.memory("VmHWM")?)
    );
    println!("  processor time of the server: {:.1} s", server.processor_seconds()? - processor);
    Ok(())
}

pub(crate) async fn subscribe(addr: SocketAddr) -> anyhow::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET /events HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut stream = BufReader::with_capacity(16 * 1024, stream);
    let mut line = Vec::new();
    while line != b"event: ready\n" {
        line.clear();
        anyhow::ensure!(stream.read_until(b'\n', &mut line).await? > 0, "the stream ended");
    }
    Ok(stream)
}

/// Whether this number of rows arrives, numbered without gaps.
async fn watch(mut stream: BufReader<TcpStream>, events: u64) -> anyhow::Result<bool> {
    let (mut line, mut last, mut seen) = (Vec::new(), None, 0);
    while seen < events {
        line.clear();
        anyhow::ensure!(stream.read_until(b'\n', &mut line).await? > 0, "the stream ended");
        let Some(id) = line.strip_prefix(b"id: ") else { continue };
        let id: u64 = std::str::from_utf8(id)?.trim().parse()?;
        if last.is_some_and(|last| id != last + 1) {
            return Ok(false);
        }
        (last, seen) = (Some(id), seen + 1);
    }
    Ok(true)
}

async fn act_steadily(
    addr: SocketAddr,
    caller: u64,
    rate: u64,
    seconds: u64,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(addr).await?;
    let mut ticks =
        interval(Duration::from_secs(1) * u32::try_from(CALLERS)? / u32::try_from(rate)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..rate * seconds / CALLERS {
        ticks.tick().await;
        act(&mut stream, caller).await?;
    }
    Ok(())
}

pub(crate) async fn act(stream: &mut TcpStream, caller: u64) -> anyhow::Result<()> {
    let body = format!(r#"{{"agent_id":"agent-{caller}","action":"rest"}}"#);
    let request = format!(
        "POST /act HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !is_whole(&answer) {
        anyhow::ensure!(
            stream.read_buf(&mut answer).await? > 0,
            "the server closed the connection"
        );
    }
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Whether head and body are complete.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length
        .and_then(|length| length.parse().ok())
        .context("no length")
        .is_ok_and(|n: usize| body.len() >= n)
}
