//! The servers: instances with different clocks, each behind proxies of its own, and what they share.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use life_agent_counters_redis::testing::Server as Redis;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::checker::Row;
use super::frames::Side;
use super::http::{KEY, REVIEWER, Request, request};
use super::model::Model;
use super::proxy::Proxy;
use super::rng::Rng;
use super::tools::Tools;

/// The longest time until every instance acts again.
const RECOVERY: Duration = Duration::from_secs(60);
/// The longest wait for a start.
const START: Duration = Duration::from_secs(60);

/// What the clock of each instance adds to the time: more than the day that records are kept.
const CLOCKS: [&str; 3] = ["+0", "+26h", "-26h"];

pub(super) struct Instance {
    pub(super) child: Child,
    pub(super) addr: SocketAddr,
}

/// Several instances, their database and their counters.
pub(super) struct World {
    pub(super) tools: Arc<Tools>,
    database: String,
    folder: TempDir,
    pub(super) redis: Option<Mutex<Redis>>,
    pub(super) model: Model,
    /// Before the database, one for each instance.
    pub(super) proxies: Vec<Proxy>,
    /// The same before Redis.
    pub(super) redis_proxies: Vec<Proxy>,
    instances: Vec<Mutex<Instance>>,
    /// Where the follower must get to; 0 before the end.
    target: AtomicU64,
}

impl World {
    /// Starts everything anew. Without Redis, each instance counts for itself.
    pub(super) fn start(tools: &Arc<Tools>, with_redis: bool) -> anyhow::Result<Self> {
        let address = tools.cluster.database();
        let database = address.rsplit('/').next().context("no name")?.to_owned();
        let redis = match with_redis {
            true => Some(Redis::start().context(
                "no Redis server is installed; on Debian: apt-get install redis-server",
            )?),
            false => None,
        };
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("policy.yaml"), super::model::policy())?;
        let proxies = CLOCKS.map(|_| Proxy::start(tools.cluster.port(), Side::Postgres));
        let of_redis = redis.iter().flat_map(|redis| CLOCKS.map(|_| redis.port()));
        let redis_proxies = of_redis.map(|port| Proxy::start(port, Side::Other));
        let mut world = Self {
            tools: Arc::clone(tools),
            database,
            folder,
            model: Model::start()?,
            proxies: proxies.into_iter().collect::<anyhow::Result<_>>()?,
            redis_proxies: redis_proxies.collect::<anyhow::Result<_>>()?,
            redis: redis.map(Mutex::new),
            instances: Vec::new(),
            target: AtomicU64::new(0),
        };
        for number in 0..CLOCKS.len() {
            let instance = world.spawn(number)?;
            world.instances.push(Mutex::new(instance));
        }
        Ok(world)
    }

    /// The program with its settings. An instance reaches the database through its proxy, with its own clock.
    fn command(&self, instance: Option<usize>) -> anyhow::Result<Command> {
        let folder = self.folder.path().join(instance.unwrap_or_default().to_string());
        std::fs::create_dir_all(folder.join("plans"))?;
        let mut command = Command::new(&self.tools.binary);
        command.env_clear().current_dir(&folder).envs([
            ("PORT", "0"),
            ("RATE_LIMIT_RPS", "0"),
            ("REDIS_TIMEOUT_MS", "500"),
            ("GROQ_API_KEY", "storm-key-of-the-provider"),
            ("GROQ_BASE_URL", self.model.base_url()),
            ("LOG_LEVEL", "WARN"),
            ("LOG_FILE", "-"),
        ]);
        command.env("API_TOKENS", format!("storm={KEY},reviewer={REVIEWER}"));
        command.env("POLICY_PATH", self.folder.path().join("policy.yaml"));
        let port = instance.map_or(self.tools.cluster.port(), |number| self.proxies[number].port());
        let database = &self.database;
        command.env("DATABASE_URL", format!("postgres://postgres@127.0.0.1:{port}/{database}"));
        if let Some(number) = instance {
            if let Some(proxy) = self.redis_proxies.get(number) {
                command.env("REDIS_URL", format!("redis://127.0.0.1:{}", proxy.port()));
            }
            command.env("LD_PRELOAD", &self.tools.faketime).env("FAKETIME", CLOCKS[number]);
            // Only the time of day differs.
            command.envs([("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("NO_FAKE_STAT", "1")]);
        }
        Ok(command)
    }

    /// Starts an instance.
    pub(super) fn spawn(&self, number: usize) -> anyhow::Result<Instance> {
        let until = Instant::now() + START;
        loop {
            let log = self.folder.path().join(format!("{number}.log"));
            let log = std::fs::File::options().create(true).append(true).open(log)?;
            let mut command = self.command(Some(number))?;
            let mut child = command.stdout(Stdio::piped()).stderr(log).spawn()?;
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

    /// The number of instances.
    pub(super) fn size(&self) -> usize {
        self.instances.len()
    }

    pub(super) fn instance(&self, number: usize) -> MutexGuard<'_, Instance> {
        self.instances[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of a random instance.
    pub(super) fn any(&self, rng: &mut Rng) -> SocketAddr {
        self.instance(rng.below(self.size())).addr
    }

    /// Waits until every instance acts or refuses for a reason of its own, and counts in Redis again.
    pub(super) fn until_all_act(&self) -> anyhow::Result<()> {
        let until = Instant::now() + RECOVERY;
        for number in 0..self.size() {
            loop {
                let addr = self.instance(number).addr;
                let body = json!({"agent_id": "probe", "action": "rest"});
                let answer = Request::post("/act", &body).send(addr);
                let is_stopped = |body: &Value| body["error"]["code"] == "kill_switch";
                let acts =
                    answer.is_ok_and(|answer| answer.status == 200 || is_stopped(&answer.body));
                if acts && self.counts(addr) {
                    break;
                }
                anyhow::ensure!(Instant::now() < until, "instance {number} does not act again");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    fn counts(&self, addr: SocketAddr) -> bool {
        let ready = |answer: super::http::Response| answer.body["limits"]["redis"] == "connected";
        self.redis.is_none() || Request::get("/readyz").send(addr).is_ok_and(ready)
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
            let answer = request(self.instance(0).addr, &path)?;
            let page: Page = serde_json::from_value(answer)?;
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

    /// `audit verify` and `replay`, at the same time.
    pub(super) fn audit(&self) -> anyhow::Result<()> {
        let mut running = Vec::new();
        for arguments in [["audit", "verify"].as_slice(), ["replay"].as_slice()] {
            let mut command = self.command(None)?;
            command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
            running.push((arguments.join(" "), command.spawn()?));
        }
        for (name, child) in running {
            let output = child.wait_with_output()?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            anyhow::ensure!(output.status.success(), "`{name}`: {said} {error}");
        }
        Ok(())
    }

    /// Keeps the logs of the instances.
    pub(super) fn keep_logs(&self) -> PathBuf {
        let logs = std::env::temp_dir().join(format!("storm-{}", std::process::id()));
        for number in 0..self.size() {
            let name = format!("{number}.log");
            let _ = std::fs::create_dir_all(&logs)
                .and_then(|()| std::fs::copy(self.folder.path().join(&name), logs.join(&name)));
        }
        logs
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
