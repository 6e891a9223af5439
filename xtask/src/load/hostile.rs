//! Hostile requests under a normal load: the latency of health checks and of the kill switch, and the memory.

mod clients;
mod kinds;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::server::Server;
use clients::{Latencies, Outcome};
use kinds::{KINDS, Kind};

/// Acts per second of the normal load.
const NORMAL_RATE: u64 = 100;
/// Rego modules that read what callers send.
const MODULE: &str = "package agent\nimport rego.v1\ndefault allow := false\nallow if {\n\tnot bad\n}\nbad if {\n\t\
    some text in input.payload.texts\n\tcontains(text, \"forbidden\")\n}\nbad if count(object.keys(input)) < 3\n";

/// Options of the measurement.
#[derive(clap::Args)]
pub(crate) struct Hostile {
    /// Hostile requests of each kind.
    #[arg(long, default_value_t = 1_000)]
    requests: usize,
    /// The longest time for a kind, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Requests of a kind at the same time.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Measures only this kind; repeatable.
    #[arg(long, value_name = "KIND")]
    only: Vec<String>,
    /// The longest acceptable response of `/healthz` and of the kill switch, in milliseconds.
    #[arg(long, default_value_t = 100)]
    bound: u64,
}

/// Fails if a health check or the kill switch took longer than the bound.
pub(crate) fn run(options: &Hostile) -> anyhow::Result<()> {
    let module = tempfile::tempdir()?;
    std::fs::write(module.path().join("agent.rego"), MODULE)?;
    let folder = module.path().to_string_lossy().into_owned();
    let server = Server::with(&[("OPA_ENABLE", "true"), ("POLICY_DIR", &folder)])?;
    let chosen =
        |kind: &&Kind| options.only.is_empty() || options.only.iter().any(|name| name == kind.name);
    let kinds: Vec<_> = KINDS.iter().filter(chosen).collect();
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    anyhow::ensure!(!kinds.is_empty(), "there is no such kind: {}", names.join(", "));
    println!(
        "{:<16} {:>8} {:>24} {:>22} {:>22} {:>8}",
        "kind",
        "requests",
        "2xx/4xx/5xx/none",
        "/healthz p50/p99/max",
        "kill switch p50/max",
        "peak"
    );
    let calm = Kind { name: "none", make: |_| Vec::new() };
    let mut worst = measure(&server, &calm, options)?;
    for kind in kinds {
        worst = worst.max(measure(&server, kind, options)?);
    }
    anyhow::ensure!(server.is_ready(), "the service is not ready afterward");
    let bound = Duration::from_millis(options.bound);
    anyhow::ensure!(worst <= bound, "the longest response took {worst:.1?}, more than {bound:?}");
    Ok(())
}

/// Sends the requests of a kind; the longest response of the health checks and the kill switch.
fn measure(server: &Server, kind: &Kind, options: &Hostile) -> anyhow::Result<Duration> {
    let stop = Arc::new(AtomicBool::new(false));
    let addr = server.addr;
    let spawn = |probe: fn(std::net::SocketAddr, &AtomicBool) -> Latencies| {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || probe(addr, &stop))
    };
    let (health, switch) = (spawn(clients::health), spawn(clients::kill_switch));
    let load = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || clients::acts(addr, NORMAL_RATE, &stop))
    };
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let outcome = match kind.name {
        "none" => {
            std::thread::sleep(Duration::from_secs(5).min(Duration::from_secs(options.seconds)));
            Outcome::default()
        }
        "slow-readers" => clients::slow_readers(addr, options.requests, end),
        _ => clients::send(addr, kind, options.requests, options.connections, end),
    };
    stop.store(true, Ordering::Relaxed);
    let ended = || anyhow::anyhow!("a client panicked");
    let health = health.join().map_err(|_| ended())?;
    let switch = switch.join().map_err(|_| ended())?;
    load.join().map_err(|_| ended())?;
    let worst = health.max().max(switch.max());
    println!(
        "{:<16} {:>8} {:>24} {:>22} {:>22} {:>5} MB",
        kind.name,
        outcome.sent,
        outcome.describe(),
        format!(
            "{} / {} / {}",
            ms(health.quantile(0.5)),
            ms(health.quantile(0.99)),
            ms(health.max())
        ),
        format!("{} / {}", ms(switch.quantile(0.5)), ms(switch.max())),
        server.memory("VmHWM")? / 1024,
    );
    Ok(worst)
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}
