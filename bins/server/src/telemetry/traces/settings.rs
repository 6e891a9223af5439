//! What an export needs, and which traces it gets.

use std::time::Duration;

use life_agent_engine::TraceId;
use reqwest::header::{HeaderName, HeaderValue};

/// The collector and what it gets. The values of the headers are sensitive and not printed.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The full URL for traces.
    pub endpoint: String,
    /// Headers of every export.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Time limit of an export.
    pub timeout: Duration,
    /// The name of the service in the traces.
    pub service: String,
    /// Further attributes of the service.
    pub resource: Vec<(String, String)>,
    /// Which traces are exported.
    pub sampler: Sampler,
    /// How long spans are gathered before they are sent.
    pub delay: Duration,
    /// Spans that may wait.
    pub queue: usize,
}

/// Which traces are exported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether the caller decides about its trace.
    pub follows_caller: bool,
    /// The part of the other traces.
    pub ratio: f64,
    /// Whether `OTEL_TRACES_SAMPLER_ARG` sets the part.
    pub has_ratio: bool,
}

impl Sampler {
    /// The sampler with the part that the operator set.
    pub fn with_ratio(self, ratio: Option<f64>) -> Self {
        match ratio.filter(|_| self.has_ratio) {
            Some(ratio) => Self { ratio, ..self },
            None => self,
        }
    }

    /// Whether a trace of no caller is exported. Samplers of other services decide alike for one id and ratio: they
    /// compare the last 63 bits of it.
    pub fn samples(&self, trace: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace.bytes();
        let part = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        self.ratio >= 1.0 || (part as f64) < self.ratio * (1u64 << 63) as f64
    }

    /// Whether the trace of a caller is exported, which says whether it exports it.
    pub(super) fn resumes(&self, trace: TraceId, sampled: bool) -> bool {
        if self.follows_caller { sampled } else { self.samples(trace) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_decides_by_the_id_and_the_caller_by_its_flag() {
        let id = |last: u8| TraceId::new([last; 16]).unwrap();
        let sampler = |follows_caller, ratio| Sampler { follows_caller, ratio, has_ratio: true };
        for (ratio, low, high) in [(1.0, true, true), (0.5, true, false), (0.0, false, false)] {
            let sampler = sampler(true, ratio);
            let kept = (sampler.samples(id(1)), sampler.samples(id(255)));
            assert_eq!(kept, (low, high), "{ratio}");
            assert!(sampler.resumes(id(255), true) && !sampler.resumes(id(1), false));
        }
        assert!(!sampler(false, 0.5).resumes(id(255), true));
        assert!(sampler(false, 0.5).resumes(id(1), false));
    }

    #[test]
    fn only_ratio_samplers_take_the_argument() {
        let on = Sampler { follows_caller: true, ratio: 1.0, has_ratio: false };
        assert_eq!(on.with_ratio(Some(0.1)).ratio, 1.0);
        let by_ratio = Sampler { has_ratio: true, ..on };
        assert_eq!(
            (by_ratio.with_ratio(Some(0.1)).ratio, by_ratio.with_ratio(None).ratio),
            (0.1, 1.0)
        );
    }
}
