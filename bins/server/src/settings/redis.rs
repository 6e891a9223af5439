//! The settings of counters in Redis.

use std::collections::BTreeMap;
use std::time::Duration;

use life_agent_engine::shared_counters::{RateFallback, SharedLimits};

use super::{Found, SettingError};

/// The counters that several instances share.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `REDIS_URL`
    #[cfg(feature = "redis")]
    address: life_agent_counters_redis::RedisAddress,
    /// `REDIS_TIMEOUT_MS`
    #[cfg(feature = "redis")]
    timeout: Duration,
    /// `RATE_LIMIT_FALLBACK`
    #[cfg(feature = "redis")]
    fallback: RateFallback,
}

impl RedisSettings {
    /// The settings; none without `REDIS_URL`.
    #[cfg(feature = "redis")]
    pub(super) fn of(
        found: &BTreeMap<&'static str, Found>,
        timeout: Duration,
        fallback: RateFallback,
    ) -> Result<Option<Self>, SettingError> {
        let Some(url) = found.get("REDIS_URL") else { return Ok(None) };
        // The address holds a password, so the sentence does not repeat it.
        let unusable =
            |why| SettingError::Sentence(format!("REDIS_URL ({}) is not usable: {why}", url.from));
        let address = life_agent_counters_redis::RedisAddress::parse(&url.text);
        let address = address.map_err(unusable)?;
        Ok(Some(Self { address, timeout, fallback }))
    }

    #[cfg(not(feature = "redis"))]
    pub(super) fn of(
        found: &BTreeMap<&'static str, Found>,
        _: Duration,
        _: RateFallback,
    ) -> Result<Option<Self>, SettingError> {
        match found.contains_key("REDIS_URL") {
            false => Ok(None),
            true => Err(SettingError::Sentence(
                "REDIS_URL is set, but this build has no Redis; unset it, or build with the feature `redis`"
                    .to_owned(),
            )),
        }
    }

    /// Connects to the counters.
    #[cfg(feature = "redis")]
    pub(crate) async fn start(&self) -> std::io::Result<Started> {
        use life_agent_counters_redis::{RedisCounters, RedisOptions};
        if self.address.is_exposed() {
            tracing::warn!(
                address = %self.address,
                "the connection to Redis is not encrypted; use `rediss://` outside of a trusted network"
            );
        }
        let options = RedisOptions { timeout: self.timeout };
        let counters = RedisCounters::start(self.address.clone(), options).await?;
        let counters = std::sync::Arc::new(counters);
        let limits =
            SharedLimits::new(std::sync::Arc::<RedisCounters>::clone(&counters), self.fallback);
        Ok(Started { limits, counters })
    }

    /// A build without Redis has no such settings.
    #[cfg(not(feature = "redis"))]
    pub(crate) async fn start(&self) -> std::io::Result<Started> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// Counters in use.
pub(crate) struct Started {
    pub(crate) limits: SharedLimits,
    #[cfg(feature = "redis")]
    counters: std::sync::Arc<life_agent_counters_redis::RedisCounters>,
}

impl Started {
    /// Takes this instance off the list of live ones.
    pub(crate) async fn close(&self) {
        #[cfg(feature = "redis")]
        self.counters.close().await;
    }
}
