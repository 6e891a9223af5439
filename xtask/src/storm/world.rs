//! The servers, and what strikes them.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use life_agent_observer_postgres::testing::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{KEY, REVIEWER, Request};
use super::rng::Rng;
use crate::root;

/// The longest time until every instance acts again.
const RECOVERY: Duration = Duration::from_secs(60);
/// The longest wait for a start.
const START: Duration = Duration::from_secs(60);

const POLICY: &str = "version: \"1\"\nallowed_dirs: [plans]\nrules:\n\
    - {id: ask, match: {kinds: [act], actions: [deploy]}, effect: ask}\n";

/// A row as the journal shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) kind: String,
    pub(super) agent_id: Option<String>,
    pub(super) data: Value,
    pub(super) prev_hash: String,
    pub(super) hash: String,
}

struct Instance {
    child: Child,
    addr: SocketAddr,
}

/// Several instances and their database.
pub(super) struct World {
    cluster: Cluster,
    address: String,
    binary: PathBuf,
    folder: TempDir,
    instances: Vec<Mutex<Instance>>,
    /// Where the follower must get to; 0 before the end.
    target: AtomicU64,
}

impl World {
    pub(super) fn start(instances: usize) -> anyhow::Result<Self> {
        let binary = match std::env::var_os("LIFE_AGENT_BIN") {
            Some(binary) => PathBuf::from(binary).canonicalize()?,
            None => {
                let package = ["--package", "life-agent-server", "--bin", "life-agent"];
                crate::cargo(&[&["build", "--locked", "--quiet"][..], &package].concat())?;
                root().join("target/debug/life-agent").canonicalize()?
            }
        };
        let cluster = Cluster::start()
            .context("no PostgreSQL server is installed; on Debian: apt-get install postgresql")?;
        let (address, folder) = (cluster.database(), tempfile::tempdir()?);
        std::fs::write(folder.path().join("policy.yaml"), POLICY)?;
        let (target, none) = (AtomicU64::new(0), Vec::new());
        let mut world = Self { cluster, address, binary, folder, instances: none, target };
        for number in 0..instances {
            let instance = world.spawn(number)?;
            world.instances.push(Mutex::new(instance));
        }
        Ok(world)
    }

    fn command(&self, number: usize) -> anyhow::Result<Command> {
        let folder = self.folder.path().join(number.to_string());
        std::fs::create_dir_all(folder.join("plans"))?;
        let mut command = Command::new(&self.binary);
        command.env_clear().current_dir(&folder).envs([
            ("PORT", "0"),
            ("RATE_LIMIT_RPS", "0"),
            ("DATABASE_URL", self.address.as_str()),
            ("LOG_LEVEL", "WARN"),
        ]);
        command.env("API_TOKENS", format!("storm={KEY},reviewer={REVIEWER}"));
        command.env("POLICY_PATH", self.folder.path().join("policy.yaml"));
        Ok(command)
    }

    fn spawn(&self, number: usize) -> anyhow::Result<Instance> {
        let until = Instant::now() + START;
        loop {
            let mut command = self.command(number)?;
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
            let stdout = child.stdout.take().context("no output")?;
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line)?;
            match line.trim().rsplit('/').next().and_then(|addr| addr.parse().ok()) {
                Some(addr) => return Ok(Instance { child, addr }),
                // The database may be away.
                None if Instant::now() < until => {
                    child.wait()?;
                    std::thread::sleep(Duration::from_millis(200));
                }
                None => anyhow::bail!("instance {number} does not start"),
            }
        }
    }

    fn instance(&self, number: usize) -> std::sync::MutexGuard<'_, Instance> {
        self.instances[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of a random instance.
    pub(super) fn any(&self, rng: &mut Rng) -> SocketAddr {
        self.instance(rng.below(self.instances.len())).addr
    }

    /// Kills or stops something, and starts it again.
    pub(super) fn strike(&self, rng: &mut Rng) -> anyhow::Result<&'static str> {
        let number = rng.below(self.instances.len());
        match rng.below(8) {
            0 => {
                self.cluster.stop_immediately();
                std::thread::sleep(Duration::from_millis(200));
                self.cluster.start_again();
                Ok("database stopped")
            }
            1 => {
                let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
                           AND backend_type = 'client backend'";
                self.cluster.sql("postgres", sql);
                Ok("connections cut")
            }
            // Longer than a transaction may be idle.
            2 => {
                let pid = Pid::from_child(&self.instance(number).child);
                kill_process(pid, Signal::STOP)?;
                std::thread::sleep(Duration::from_millis(1000 + 2000 * (rng.next() % 2)));
                kill_process(pid, Signal::CONT)?;
                Ok("instance frozen")
            }
            _ => {
                let mut instance = self.instance(number);
                instance.child.kill()?;
                instance.child.wait()?;
                *instance = self.spawn(number)?;
                Ok("instance killed")
            }
        }
    }

    /// Waits until every instance acts or refuses for a reason of its own.
    pub(super) fn until_all_act(&self) -> anyhow::Result<()> {
        let until = Instant::now() + RECOVERY;
        for number in 0..self.instances.len() {
            loop {
                let addr = self.instance(number).addr;
                let body = json!({"agent_id": "probe", "action": "rest"});
                let answer = Request::post("/act", &body).send(addr);
                let is_stopped = |body: &Value| body["error"]["code"] == "kill_switch";
                if answer.is_ok_and(|answer| answer.status == 200 || is_stopped(&answer.body)) {
                    break;
                }
                anyhow::ensure!(Instant::now() < until, "instance {number} does not act again");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    /// Every row.
    pub(super) fn journal(&self) -> anyhow::Result<Vec<Row>> {
        #[derive(Deserialize)]
        struct Page {
            events: Vec<Row>,
            next: Option<u64>,
        }
        let (mut rows, mut after) = (Vec::new(), 0);
        loop {
            let path = format!("/journal?after={after}&limit=500");
            let answer = Request::get(&path).send(self.instance(0).addr)?;
            anyhow::ensure!(answer.status == 200, "{answer:?}");
            let page: Page = serde_json::from_value(answer.body)?;
            rows.extend(page.events);
            match page.next {
                Some(next) if next > after => after = next,
                _ => return Ok(rows),
            }
        }
    }

    pub(super) fn let_follower_reach(&self, last: u64) {
        self.target.store(last.max(1), Ordering::SeqCst);
    }

    /// Whether the follower has seen everything.
    pub(super) fn is_reached(&self, position: u64) -> bool {
        let target = self.target.load(Ordering::SeqCst);
        target > 0 && position >= target
    }

    /// `audit verify` and `replay`.
    pub(super) fn audit(&self) -> anyhow::Result<()> {
        for arguments in [["audit", "verify"].as_slice(), ["replay"].as_slice()] {
            let output = self.command(0)?.args(arguments).output()?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            anyhow::ensure!(output.status.success(), "`{}`: {said} {error}", arguments.join(" "));
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for instance in &self.instances {
            let mut instance = instance.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = instance.child.kill();
            let _ = instance.child.wait();
        }
    }
}
