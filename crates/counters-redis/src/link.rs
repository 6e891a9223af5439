//! The connection with its circuit breaker: one failed call opens the circuit, and from then on calls fail without
//! waiting. A task of its own connects again, so no request pays for that.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use life_agent_engine::shared_counters::CountersUnreachable;
use metrics::{counter, gauge};
use parking_lot::{Mutex, RwLock};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisError, ScriptInvocation};
use tokio::sync::Notify;

use crate::address::RedisAddress;

/// Longest time for a connection, TLS and login included.
const CONNECT: Duration = Duration::from_secs(1);

pub(crate) struct Link {
    address: RedisAddress,
    timeout: Duration,
    open: RwLock<Option<Open>>,
    number: AtomicU64,
    /// Counters with which a call failed that may have taken effect. They are removed, and thereby rebuilt from the
    /// journal, before the circuit closes.
    uncertain: Mutex<BTreeSet<String>>,
    /// Wakes the task that connects.
    pub(crate) lost: Notify,
}

#[derive(Clone)]
struct Open {
    number: u64,
    connection: MultiplexedConnection,
}

impl Link {
    pub(crate) fn new(address: RedisAddress, timeout: Duration) -> Self {
        gauge!("redis_up").set(0);
        counter!("redis_failures_total").increment(0);
        Self {
            address,
            timeout,
            open: RwLock::new(None),
            number: AtomicU64::new(0),
            uncertain: Mutex::default(),
            lost: Notify::new(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.read().is_some()
    }

    /// Runs a script. `counters` are those of budgets.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        counters: &[String],
    ) -> Result<T, CountersUnreachable> {
        let open = self.open.read().clone();
        let failed = match open {
            None => None,
            Some(mut open) => {
                let call = script.invoke_async(&mut open.connection);
                match tokio::time::timeout(self.timeout, call).await {
                    Ok(Ok(reply)) => return Ok(reply),
                    Ok(Err(error)) => Some((open.number, error.to_string())),
                    Err(_) => Some((open.number, format!("no response in {:?}", self.timeout))),
                }
            }
        };
        self.uncertain.lock().extend(counters.iter().cloned());
        if let Some((number, why)) = failed {
            self.fail(number, &why);
        }
        Err(CountersUnreachable)
    }

    /// Opens the circuit, unless the connection that failed has been replaced already.
    fn fail(&self, number: u64, why: &str) {
        counter!("redis_failures_total").increment(1);
        let mut open = self.open.write();
        if open.as_ref().is_some_and(|open| open.number == number) {
            *open = None;
            drop(open);
            gauge!("redis_up").set(0);
            tracing::warn!(address = %self.address, why, "Redis does not respond");
            self.lost.notify_one();
        }
    }

    /// Connects. The circuit stays open if anything fails.
    pub(crate) async fn connect(&self) -> Result<(), RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(CONNECT));
        let connecting =
            self.address.client().get_multiplexed_async_connection_with_config(&config);
        let mut connection = tokio::time::timeout(CONNECT, connecting)
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        let prompt = async {
            let () = redis::cmd("PING").query_async::<String>(&mut connection).await.map(drop)?;
            let uncertain = self.uncertain.lock().clone();
            if !uncertain.is_empty() {
                let () = redis::cmd("DEL").arg(&uncertain).query_async(&mut connection).await?;
                self.uncertain.lock().retain(|counter| !uncertain.contains(counter));
            }
            Ok::<_, RedisError>(())
        };
        tokio::time::timeout(self.timeout, prompt)
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        *self.open.write() = Some(Open { number, connection });
        gauge!("redis_up").set(1);
        tracing::info!(address = %self.address, "Redis responds");
        Ok(())
    }
}
