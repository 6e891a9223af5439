//! The counters.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use life_agent_engine::domain::governance::budget::{LimitKind, Limits, Picodollars, Use};
use life_agent_engine::shared_counters::{
    Bucket, BudgetLimits, Charge, Counted, CountersStatus, CountersUnreachable, Counting, Instance,
    RebuiltUse, Reserved, Settlement, SharedCounters, SharedReservation, Taken,
};
use metrics::gauge;
use parking_lot::Mutex;
use redis::ScriptInvocation;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::address::RedisAddress;
use crate::link::Link;
use crate::scripts::Scripts;

/// Between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// An instance without a sign of life for this time is dead.
const LEASE: Duration = Duration::from_secs(5);
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(200);
/// The largest whole number that scripts compute with exactly.
const MAX: u64 = (1 << 53) - 1;
/// Picodollars in a nanodollar, the unit of the counters.
const NANO: Picodollars = 1_000;

/// Limits of the connection.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Longest wait for a response.
    pub timeout: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_millis(100) }
    }
}

/// Counters in Redis. They run on a thread of their own, which ends when they are dropped.
pub struct RedisCounters {
    inner: Arc<Inner>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

struct Inner {
    link: Link,
    scripts: Scripts,
    /// The start of all keys; set once the journal is known. The braces keep the keys on one node of a cluster.
    prefix: OnceLock<String>,
    id: String,
    started_ms: u64,
    instances: Mutex<Vec<Instance>>,
    stopping: watch::Sender<bool>,
}

impl RedisCounters {
    /// Connects. Returns after the first attempt, whether it succeeds or not: the service starts without Redis, and
    /// the attempts go on.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub async fn start(address: RedisAddress, options: RedisOptions) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("redis")
            .enable_all()
            .build()?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let inner = Arc::new(Inner {
            link: Link::new(address, options.timeout),
            scripts: Scripts::new(),
            prefix: OnceLock::new(),
            id: uuid::Uuid::new_v4().simple().to_string(),
            started_ms: u64::try_from(since.as_millis()).unwrap_or_default(),
            instances: Mutex::default(),
            stopping: watch::Sender::new(false),
        });
        let own = Instance { id: inner.id.clone(), started_ms: inner.started_ms, is_own: true };
        inner.seen(vec![own]);
        let first = Arc::clone(&inner);
        let connected = runtime.spawn(async move {
            if let Err(error) = first.link.connect().await {
                tracing::warn!(%error, "Redis does not respond; the fallback applies until it does");
            }
        });
        let _ = connected.await;
        runtime.spawn(Arc::clone(&inner).keep());
        Ok(Self { inner, runtime: Some(runtime) })
    }

    /// Takes this instance off the list of live ones.
    pub async fn close(&self) {
        self.inner.stopping.send_replace(true);
        if let Ok(key) = self.inner.key("instances") {
            let script = redis::Script::new("return redis.call('ZREM', KEYS[1], ARGV[1])");
            let mut call = script.key(key);
            call.arg(self.inner.member());
            let _: Result<i64, _> = self.inner.link.run(&call, &[]).await;
        }
    }
}

impl Drop for RedisCounters {
    fn drop(&mut self) {
        self.inner.stopping.send_replace(true);
        // The last owner may be async, where waiting for the runtime would panic.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for RedisCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCounters").field("id", &self.inner.id).finish_non_exhaustive()
    }
}

impl Inner {
    fn key(&self, name: &str) -> Result<String, CountersUnreachable> {
        Ok(format!("{}{name}", self.prefix.get().ok_or(CountersUnreachable)?))
    }

    fn member(&self) -> String {
        format!("{} {}", self.id, self.started_ms)
    }

    /// Keeps the connection and the sign of life, until the service stops.
    async fn keep(self: Arc<Self>) {
        let mut stopping = self.stopping.subscribe();
        loop {
            match self.link.is_open() {
                true => self.heartbeat().await,
                false => {
                    if let Err(error) = self.link.connect().await {
                        tracing::debug!(%error, "Redis still does not respond");
                    } else {
                        self.heartbeat().await;
                    }
                }
            }
            let pause = if self.link.is_open() { HEARTBEAT } else { RETRY };
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(pause) => {}
                () = self.link.lost.notified() => {}
            }
        }
    }

    async fn heartbeat(&self) {
        let Ok(key) = self.key("instances") else { return };
        let mut call = self.scripts.heartbeat.key(key);
        call.arg(self.member()).arg(millis(LEASE));
        let members: Result<Vec<String>, _> = self.link.run(&call, &[]).await;
        // Silent failures leave the instances that were seen last.
        if let Ok(members) = members {
            self.seen(members.iter().filter_map(|member| self.instance(member)).collect());
        }
    }

    fn instance(&self, member: &str) -> Option<Instance> {
        let (id, started) = member.split_once(' ')?;
        let is_own = id == self.id;
        Some(Instance { id: id.to_owned(), started_ms: started.parse().ok()?, is_own })
    }

    fn seen(&self, mut instances: Vec<Instance>) {
        instances.sort_by(|a, b| (a.started_ms, &a.id).cmp(&(b.started_ms, &b.id)));
        gauge!("instances_live").set(f64::from(u32::try_from(instances.len()).unwrap_or(u32::MAX)));
        *self.instances.lock() = instances;
    }

    /// The keys of counters of budgets.
    fn counters<'i>(
        &self,
        ids: impl Iterator<Item = &'i String>,
    ) -> Result<Vec<String>, CountersUnreachable> {
        ids.map(|id| self.key(&format!("budget:{id}"))).collect()
    }

    async fn decide(
        &self,
        call: &ScriptInvocation<'_>,
        keys: &[String],
        charge: Charge,
        at: Option<u64>,
    ) -> Result<Reserved, CountersUnreachable> {
        let reply: Vec<String> = self.link.run(call, keys).await?;
        decision(&reply, charge, at).ok_or(CountersUnreachable)
    }
}

/// Reads the decision about a reservation that was made at `at`, or now.
fn decision(reply: &[String], charge: Charge, at: Option<u64>) -> Option<Reserved> {
    let now = reply.get(1)?.parse().ok()?;
    Some(match reply.first()?.as_str() {
        "held" => Reserved::Held(SharedReservation {
            at: at.unwrap_or(now),
            generations: reply.get(2..)?.to_vec(),
            charge,
        }),
        "exceeded" => {
            let limit = match reply.get(3)?.as_str() {
                "requests" => LimitKind::RequestsPerDay,
                "tokens" => LimitKind::TokensPerDay,
                "cost" => LimitKind::CostPerDay,
                _ => LimitKind::TokensPerMinute,
            };
            Reserved::Exceeded { budget: reply.get(2)?.parse().ok()?, limit, now }
        }
        _ => Reserved::Missing { now },
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A number of tokens that scripts compute with exactly.
fn bounded(tokens: u64) -> u64 {
    tokens.min(MAX)
}

/// Nanodollars, rounded up.
fn nanodollars(cost: Picodollars) -> u64 {
    u64::try_from(cost.div_ceil(NANO)).unwrap_or(MAX).min(MAX)
}

/// The four limits in the order of the scripts; -1 for none. An amount that was cut off at [`MAX`] exceeds each.
fn limits(limits: &Limits) -> [i64; 4] {
    let number = |limit: Option<u64>| {
        limit.map_or(-1, |limit| i64::try_from(limit.min(MAX - 1)).unwrap_or(i64::MAX))
    };
    let cost = limits.cost_per_day.map(|cost| u64::try_from(cost / NANO).unwrap_or(MAX));
    [
        number(limits.requests_per_day),
        number(limits.tokens_per_day),
        number(cost),
        number(limits.tokens_per_minute),
    ]
}

impl SharedCounters for RedisCounters {
    fn bind(&self, journal_id: &str) {
        let _ = self.inner.prefix.set(format!("life-agent:{{{journal_id}}}:"));
        // The first sign of life.
        self.inner.link.lost.notify_one();
    }

    fn take<'a>(&'a self, bucket: &'a Bucket) -> Counting<'a, Taken> {
        Box::pin(async move {
            let inner = &self.inner;
            let interval = bucket.window.as_micros() as f64 / f64::from(bucket.quota.max(1));
            let mut call = inner.scripts.take.key(inner.key(&format!("rate:{}", bucket.name))?);
            call.arg(interval).arg(bucket.burst);
            let (is_within, rest): (u8, u64) = inner.link.run(&call, &[]).await?;
            Ok(match is_within {
                0 => Taken::Exceeded { retry_after: Duration::from_micros(rest) },
                _ => Taken::Within { remaining: u32::try_from(rest).unwrap_or(u32::MAX) },
            })
        })
    }

    fn reserve<'a>(
        &'a self,
        budgets: &'a [BudgetLimits],
        charge: Charge,
    ) -> Counting<'a, Reserved> {
        Box::pin(async move {
            let inner = &self.inner;
            let keys = inner.counters(budgets.iter().map(|budget| &budget.id))?;
            let mut call = inner.scripts.reserve.prepare_invoke();
            call.key(&keys).arg(bounded(charge.tokens)).arg(nanodollars(charge.cost));
            for budget in budgets {
                call.arg(&limits(&budget.limits));
            }
            inner.decide(&call, &keys, charge, None).await
        })
    }

    fn confirm<'a>(
        &'a self,
        budgets: &'a [BudgetLimits],
        reservation: &'a SharedReservation,
        row: u64,
    ) -> Counting<'a, Reserved> {
        Box::pin(async move {
            let (inner, SharedReservation { at, generations, charge }) = (&self.inner, reservation);
            let keys = inner.counters(budgets.iter().map(|budget| &budget.id))?;
            let mut call = inner.scripts.confirm.prepare_invoke();
            call.key(&keys).arg(row).arg(at);
            call.arg(bounded(charge.tokens)).arg(nanodollars(charge.cost));
            for (budget, generation) in budgets.iter().zip(generations) {
                call.arg(generation).arg(&limits(&budget.limits));
            }
            inner.decide(&call, &keys, *charge, Some(*at)).await
        })
    }

    fn settle<'a>(&'a self, settlement: &'a Settlement) -> Counting<'a, ()> {
        Box::pin(async move {
            let (inner, Settlement { reservation, real, .. }) = (&self.inner, settlement);
            let keys = inner.counters(settlement.budgets.iter())?;
            let mut call = inner.scripts.settle.prepare_invoke();
            call.key(&keys).arg(settlement.reserved_row).arg(settlement.row).arg(reservation.at);
            call.arg(bounded(reservation.charge.tokens)).arg(nanodollars(reservation.charge.cost));
            call.arg(bounded(real.tokens)).arg(nanodollars(real.cost));
            call.arg(u8::from(settlement.released)).arg(&reservation.generations);
            let _: Vec<String> = inner.link.run(&call, &keys).await?;
            Ok(())
        })
    }

    fn rebuild<'a>(&'a self, budget: &'a str, rebuilt: RebuiltUse) -> Counting<'a, ()> {
        Box::pin(async move {
            let inner = &self.inner;
            let keys = [inner.key(&format!("budget:{budget}"))?];
            let Use { day_tokens, minute_tokens, day_requests, day_cost, .. } = rebuilt.used;
            let mut call = inner.scripts.rebuild.prepare_invoke();
            call.key(&keys).arg(uuid::Uuid::new_v4().simple().to_string());
            call.arg(rebuilt.upto).arg(rebuilt.now).arg(bounded(day_tokens));
            call.arg(day_requests).arg(nanodollars(day_cost)).arg(bounded(minute_tokens));
            let _: Vec<String> = inner.link.run(&call, &keys).await?;
            Ok(())
        })
    }

    fn used<'a>(&'a self, budgets: &'a [String]) -> Counting<'a, Counted> {
        Box::pin(async move {
            let inner = &self.inner;
            let mut call = inner.scripts.used.prepare_invoke();
            call.key(inner.counters(budgets.iter())?);
            let reply: Vec<u64> = inner.link.run(&call, &[]).await?;
            let now = *reply.first().ok_or(CountersUnreachable)?;
            let uses = reply.get(1..).unwrap_or_default().chunks_exact(5).map(|counter| {
                let [1, day_tokens, minute_tokens, day_requests, cost] = *counter else {
                    return None;
                };
                let mut used = Use::default();
                (used.day_tokens, used.minute_tokens) = (day_tokens, minute_tokens);
                (used.day_requests, used.day_cost) = (day_requests, Picodollars::from(cost) * NANO);
                Some(used)
            });
            Ok(Counted { now, uses: uses.collect() })
        })
    }

    fn status(&self) -> CountersStatus {
        CountersStatus {
            is_reachable: self.inner.link.is_open(),
            instances: self.inner.instances.lock().clone(),
        }
    }
}
