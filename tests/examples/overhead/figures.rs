//! Times in milliseconds, and means from Prometheus text.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// The durations of many calls, in milliseconds.
pub(crate) struct Times {
    pub(crate) count: usize,
    mean: f64,
    p50: f64,
    p99: f64,
}

impl Times {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let ms = |time: &Duration| time.as_secs_f64() * 1000.0;
        let at = |percent: usize| times.get(times.len() * percent / 100).map_or(0.0, ms);
        let mean = times.iter().map(ms).sum::<f64>() / times.len().max(1) as f64;
        Self { count: times.len(), mean, p50: at(50), p99: at(99) }
    }

    /// The difference of each figure. A difference of percentiles is not a percentile itself.
    pub(crate) fn less(&self, other: &Self) -> Self {
        Self {
            count: self.count,
            mean: self.mean - other.mean,
            p50: self.p50 - other.p50,
            p99: self.p99 - other.p99,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({"mean_ms": self.mean, "p50_ms": self.p50, "p99_ms": self.p99})
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:7.3} {:7.3} {:7.3}", self.mean, self.p50, self.p99)
    }
}

/// The mean of a histogram without labels, times 1,000.
pub(crate) fn mean_ms(metrics: &str, name: &str) -> Option<f64> {
    let value = |what: &str| {
        let start = format!("{name}_{what} ");
        metrics.lines().find_map(|line| line.strip_prefix(&start))?.trim().parse::<f64>().ok()
    };
    Some(value("sum")? / value("count")? * 1000.0)
}
