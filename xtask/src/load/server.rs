//! The release build, running in a temporary folder.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use tempfile::TempDir;

use crate::root;

/// The service, as cargo builds it.
const BINARY: &str = "target/release/life-agent";

/// The server's key.
pub(crate) const KEY: &str = "a-key-for-measurements";

/// A running server; it ends when dropped.
pub(crate) struct Server {
    child: Child,
    _folder: TempDir,
    pub(crate) addr: SocketAddr,
}

impl Server {
    /// Starts the server with the shipped policy and without a rate limit.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::with(&[])
    }

    /// [`Self::start`] with further settings. `LIFE_AGENT_BIN` names another binary.
    pub(crate) fn with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let usual = [("PORT", "0"), ("API_KEY", KEY), ("RATE_LIMIT_RPS", "0")];
        let binary = std::env::var("LIFE_AGENT_BIN");
        let binary = binary.as_deref().unwrap_or(BINARY);
        Self::run(binary, usual.iter().chain(settings).copied())
    }

    /// The bare echo, which is also the stand-in for a model provider.
    pub(crate) fn bare() -> anyhow::Result<Self> {
        Self::run("target/release/examples/bare_echo", std::iter::empty())
    }

    fn run<'a>(
        binary: &str,
        settings: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> anyhow::Result<Self> {
        let built = root().join(binary).canonicalize();
        let binary = built.with_context(|| {
            format!(
                "`{binary}` is not there; `cargo build --release -p life-agent-server` builds it"
            )
        })?;
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("plans"))?;
        let mut command = Command::new(binary);
        command.env_clear().envs(settings).env("POLICY_PATH", root().join("policy/policy.yaml"));
        command.current_dir(folder.path()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let addr = line.trim().rsplit('/').next().and_then(|addr| addr.parse().ok());
        let addr = addr.with_context(|| format!("no address in `{}`", line.trim()))?;
        Ok(Self { child, _folder: folder, addr })
    }

    /// `/metrics`, with the response's head.
    pub(crate) fn metrics(&self) -> anyhow::Result<String> {
        self.get("/metrics")
    }

    fn get(&self, path: &str) -> anyhow::Result<String> {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nConnection: close\r\n\r\n"
        ))
    }

    fn ask(&self, request: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.addr)?;
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Sends one act and fails if it does not succeed.
    pub(crate) fn act(&self) -> anyhow::Result<()> {
        let body = r#"{"agent_id":"one","action":"rest"}"#;
        let request = format!(
            "POST /act HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.ask(&request)?;
        anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Ok(())
    }

    /// Whether `/readyz` succeeds.
    pub(crate) fn is_ready(&self) -> bool {
        self.get("/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// The number of the journal's last row.
    pub(crate) fn rows(&self) -> anyhow::Result<u64> {
        let answer = self.get("/journal/head")?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        let head: serde_json::Value = serde_json::from_str(body)?;
        head["id"].as_u64().with_context(|| format!("no row number in `{body}`"))
    }

    /// The value of one series of `/metrics`, in Prometheus' notation.
    pub(crate) fn counted(&self, series: &str) -> anyhow::Result<f64> {
        let text = self.metrics()?;
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value).with_context(|| format!("there is no series `{series}`"))
    }

    /// A field of `/proc/<pid>/status`, in KB.
    pub(crate) fn memory(&self, name: &str) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find(|line| line.starts_with(name)).context("no such line")?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor seconds by thread name, from `/proc/<pid>/task/*/schedstat`.
    pub(crate) fn thread_seconds(&self) -> BTreeMap<String, f64> {
        let mut seconds = BTreeMap::new();
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        for task in tasks.into_iter().flatten().flatten() {
            let read = |name| std::fs::read_to_string(task.path().join(name)).ok();
            let spent =
                read("schedstat").and_then(|stat| stat.split(' ').next()?.parse::<f64>().ok());
            if let (Some(name), Some(spent)) = (read("comm"), spent) {
                *seconds.entry(name.trim().to_owned()).or_default() += spent / 1e9;
            }
        }
        seconds
    }

    /// User and system time; the ticks of `/proc/<pid>/stat` are hundredths of a second.
    pub(crate) fn processor_seconds(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = text.rsplit(") ").next().context("no fields")?.split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        Ok((ticks(11).context("no user time")? + ticks(12).context("no system time")?) / 100.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
