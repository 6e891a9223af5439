//! Rates on shared counters, and what happens while the counters do not respond.

use std::sync::Arc;

use metrics::{Counter, counter};

use super::{Bucket, CountersStatus, SharedCounters, Taken};

/// What applies to rates while the shared counters do not respond. Budgets refuse in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RateFallback {
    /// Each instance counts for itself, with the rate divided by the number of instances last seen.
    #[default]
    Local,
    /// Requests that a rate applies to are refused.
    Deny,
}

impl RateFallback {
    /// The name in settings and responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Deny => "deny",
        }
    }
}

/// The shared counters with their fallback. Clones share them.
#[derive(Clone)]
pub struct SharedLimits {
    counters: Arc<dyn SharedCounters>,
    fallback: RateFallback,
    fell_back: Counter,
}

/// The decision about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedVerdict {
    /// The counters decided.
    Counted(Taken),
    /// The counters do not respond: count here, with the rate divided by this number.
    Local {
        /// At least 1.
        instances: u32,
    },
    /// The counters do not respond, and the fallback refuses.
    Refused,
}

impl SharedLimits {
    /// Counters with a fallback.
    pub fn new(counters: Arc<dyn SharedCounters>, fallback: RateFallback) -> Self {
        let fell_back = counter!("rate_limit_fallback_total", "mode" => fallback.as_str());
        Self { counters, fallback, fell_back }
    }

    /// The counters.
    pub fn counters(&self) -> &dyn SharedCounters {
        &*self.counters
    }

    /// The fallback.
    pub fn fallback(&self) -> RateFallback {
        self.fallback
    }

    /// See [`SharedCounters::status`].
    pub fn status(&self) -> CountersStatus {
        self.counters.status()
    }

    /// Takes one request out of a bucket.
    pub async fn take(&self, bucket: &Bucket) -> SharedVerdict {
        if let Ok(taken) = self.counters.take(bucket).await {
            return SharedVerdict::Counted(taken);
        }
        self.fell_back.increment(1);
        match self.fallback {
            RateFallback::Deny => SharedVerdict::Refused,
            RateFallback::Local => {
                let seen = u32::try_from(self.status().instances.len()).unwrap_or(u32::MAX);
                SharedVerdict::Local { instances: seen.max(1) }
            }
        }
    }
}

impl std::fmt::Debug for SharedLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedLimits").field("fallback", &self.fallback).finish_non_exhaustive()
    }
}
