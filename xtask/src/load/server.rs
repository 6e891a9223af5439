//! The release build, run in a folder of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use tempfile::TempDir;

use crate::root;

/// The key that it takes.
pub(crate) const KEY: &str = "a-key-for-measurements";

/// A running server; ends when it is dropped.
pub(crate) struct Server {
    child: Child,
    _folder: TempDir,
    pub(crate) addr: SocketAddr,
}

impl Server {
    /// Starts it with the shipped policy and without a rate limit.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let binary = root().join("target/release/life-agent").canonicalize();
        let binary = binary.context("build it: `cargo build --release -p life-agent-server`")?;
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("plans"))?;
        let settings = [("PORT", "0"), ("API_KEY", KEY), ("RATE_LIMIT_RPS", "0")];
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

    /// `/metrics`, head and all.
    pub(crate) fn metrics(&self) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.addr)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// A line of `/proc/<pid>/status`, in KB.
    pub(crate) fn memory(&self, name: &str) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find(|line| line.starts_with(name)).context("no such line")?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
    }

    /// User and system time so far; the ticks of `/proc/<pid>/stat` are hundredths of a second.
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
