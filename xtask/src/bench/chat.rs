//! The latency that the service, and LiteLLM's proxy, add to a model call: the same stand-in provider and
//! prompt, in alternating runs.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Scale;
use super::report::{Section, aimed, time};
use super::wrk::{Measured, Run, all_granted, median};
use crate::load::histogram::Histogram;
use crate::load::server::Server;
use crate::root;

/// The proxy's key; LiteLLM does not start with a guessable key.
const PROXY_KEY: &str = "sk-4c1b0f6a92d7e35880ab6cf1d29e7743b5f0189ac64e2d7f";
/// The longest start of the proxy.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn measure(scale: Scale) -> anyhow::Result<Section> {
    let provider = Server::bare()?;
    let base = format!("http://{}/v1", provider.addr);
    let ours = Server::with(&[("GROQ_API_KEY", "a-key-of-nobody"), ("GROQ_BASE_URL", &base)])?;
    let proxy = Proxy::start(&base);
    let mut section = Section::new("chat");
    section.line(&format!(
        "`POST /v1/chat/completions` with 1 KB each way, medians of {} alternating runs of {} s each. \"Added\" is \
         the latency minus the provider's own, and for the service minus the commit.",
        scale.runs, scale.seconds
    ));
    let mut rows = Vec::new();
    for connections in [1, 8] {
        let run = Run { kind: "chat", agents: 8, connections, seconds: scale.seconds, pause: 0 };
        let through = proxy.as_ref().ok().map(|proxy| proxy.addr);
        rows.extend(compared(run, scale.runs, provider.addr, &ours, through)?);
    }
    let head = [
        "connections",
        "through",
        "p50",
        "p99",
        "added p50",
        "added p99",
        "target",
        "multiple of the service",
    ];
    section.table(&head, &rows);
    if let Err(why) = proxy {
        section.line(&format!("\nLiteLLM's proxy was not measured: {why:#}."));
    }
    Ok(section)
}

fn compared(
    run: Run<'_>,
    runs: usize,
    provider: SocketAddr,
    ours: &Server,
    proxy: Option<SocketAddr>,
) -> anyhow::Result<Vec<Vec<String>>> {
    let (mut direct, mut served, mut proxied) = (Vec::new(), Vec::new(), Vec::new());
    let warm_up = Run { seconds: 1, ..run };
    let warm_ups = [warm_up.on(provider), warm_up.on(ours.addr)]
        .into_iter()
        .chain(proxy.map(|addr| warm_up.with_key(addr, PROXY_KEY)));
    for warm in warm_ups {
        all_granted(run.kind, &[warm?])?;
    }
    let commits = || Histogram::read(&ours.metrics()?, "journal_commit_seconds");
    let before = commits()?;
    for _ in 0..runs {
        direct.push(run.on(provider)?);
        served.push(run.on(ours.addr)?);
        proxied.extend(proxy.map(|addr| run.with_key(addr, PROXY_KEY)).transpose()?);
    }
    let commits = commits()?.since(&before);
    let commit = |q| commits.quantile(q) * 1e6;
    let (direct, served) = (median(&direct), median(&served));
    let connections = run.connections.to_string();
    let added = (
        (served.p50 - direct.p50 - commit(0.5)).max(0.0),
        (served.p99 - direct.p99 - commit(0.99)).max(0.0),
    );
    let row = |name: &str, measured: Measured, rest: [String; 4]| {
        let shown = [connections.clone(), name.to_owned(), time(measured.p50), time(measured.p99)];
        shown.into_iter().chain(rest).collect::<Vec<_>>()
    };
    let mut rows = vec![
        row("direct", direct, Default::default()),
        row(
            &format!("life-agent (commit {}, {})", time(commit(0.5)), time(commit(0.99))),
            served,
            [
                aimed(&time(added.0), added.0 < 300.0),
                aimed(&time(added.1), added.1 < 1_000.0),
                "300 µs, 1 ms".to_owned(),
                String::new(),
            ],
        ),
    ];
    if !proxied.is_empty() {
        let proxied = median(&proxied);
        let (p50, p99) = (proxied.p50 - direct.p50, proxied.p99 - direct.p99);
        // Including the commit, because callers wait for it.
        let times = p50 / (served.p50 - direct.p50).max(1.0);
        let rest =
            [time(p50), time(p99), String::new(), aimed(&format!("{times:.0} ×"), times >= 30.0)];
        rows.push(row("LiteLLM's proxy", proxied, rest));
    }
    Ok(rows)
}

/// LiteLLM's proxy in a Python environment below `target`; it ends when dropped.
struct Proxy {
    child: Child,
    addr: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Proxy {
    fn start(base: &str) -> anyhow::Result<Self> {
        let binary = installed()?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("litellm.yaml");
        std::fs::write(
            &config,
            format!(
                "model_list:\n  - model_name: openai/gpt-oss-120b\n    litellm_params:\n      \
                 model: openai/gpt-oss-120b\n      api_base: {base}\n      api_key: nobody\n"
            ),
        )?;
        // Freed for the proxy, which cannot choose a free port itself.
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(binary);
        command.arg("--config").arg(&config).args(["--host", "127.0.0.1", "--port"]);
        command.arg(addr.port().to_string()).current_dir(folder.path());
        command.env("LITELLM_MASTER_KEY", PROXY_KEY);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut proxy = Self { child, addr, _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(addr).is_err() {
            anyhow::ensure!(proxy.child.try_wait()?.is_none(), "the proxy ended during its start");
            anyhow::ensure!(begun.elapsed() < PATIENCE, "the proxy does not serve");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Creates the environment once.
fn installed() -> anyhow::Result<std::path::PathBuf> {
    let folder = root().join("target/litellm");
    let binary = folder.join("bin/litellm");
    if !binary.exists() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status();
        anyhow::ensure!(made.is_ok_and(|made| made.success()), "`python3 -m venv` failed");
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "litellm[proxy]"]);
        let installed = pip.status().context("`pip` does not start")?;
        anyhow::ensure!(installed.success(), "`pip install 'litellm[proxy]'` failed");
    }
    Ok(binary.canonicalize()?)
}
