//! The recorder behind `/metrics`: buckets and upkeep. The [`catalog`] has the names.

pub mod catalog;

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use catalog::{Kind, METRICS};

/// Seconds, from the duration of a gate to that of a model call.
const SECONDS: [f64; 16] = [
    0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.5, 1.0, 5.0, 30.0,
];
/// Rows per commit; the journal commits up to 512 at a time.
const ROWS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Tokens per call, as OpenTelemetry recommends for generative models.
const TOKENS: [f64; 10] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0];

/// Installs the recorder, once per process, and runs its upkeep until `stopping`.
pub fn start(stopping: &CancellationToken) -> PrometheusHandle {
    let handle = installed();
    let (upkeep, stopping) = (handle.clone(), stopping.clone());
    actix_web::rt::spawn(async move {
        // Samples accumulate until upkeep, up to a quarter of a million in a busy second.
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => upkeep.run_upkeep(),
            }
        }
    });
    handle
}

/// The metrics in the Prometheus format, with fresh process metrics.
pub fn render(handle: &PrometheusHandle) -> String {
    process::collect();
    handle.render()
}

/// The metrics of the process.
#[cfg(feature = "process-metrics")]
mod process {
    use std::sync::OnceLock;

    use metrics_process::Collector;

    fn collector() -> &'static Collector {
        static COLLECTOR: OnceLock<Collector> = OnceLock::new();
        COLLECTOR.get_or_init(Collector::default)
    }

    pub(super) fn describe() {
        collector().describe();
    }

    pub(super) fn collect() {
        collector().collect();
    }
}

/// The build leaves the metrics of the process out.
#[cfg(not(feature = "process-metrics"))]
mod process {
    pub(super) fn describe() {}
    pub(super) fn collect() {}
}

fn installed() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install).clone()
}

fn install() -> PrometheusHandle {
    // Invalid bounds would be the only error, and these are valid.
    let recorder = builder().unwrap_or_default().build_recorder();
    let handle = recorder.handle();
    // Only an embedding program can have installed a recorder first, and then its recorder counts.
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics recorder is installed; `/metrics` stays empty");
    }
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.meaning),
            Kind::Gauge => describe_gauge!(metric.name, metric.meaning),
            Kind::Histogram if metric.name.ends_with("_seconds") => {
                describe_histogram!(metric.name, Unit::Seconds, metric.meaning);
            }
            Kind::Histogram => describe_histogram!(metric.name, metric.meaning),
        }
    }
    gauge!("sse_subscribers").set(0);
    process::describe();
    handle
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    // Without buckets, histograms are exported as summaries, which cannot be aggregated across servers.
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full("journal_batch_rows".to_owned()), &ROWS)?
        .set_buckets_for_metric(Matcher::Full("gen_ai_client_token_usage".to_owned()), &TOKENS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_exported_as_histograms_next_to_the_process_metrics() {
        let handle = installed();
        metrics::histogram!("act_seconds", "kind" => "act").record(0.002);
        metrics::histogram!("journal_batch_rows").record(3.0);
        let text = render(&handle);
        for line in [
            "# TYPE act_seconds histogram",
            "act_seconds_bucket{kind=\"act\",le=\"0.0025\"} 1",
            "# TYPE journal_batch_rows histogram",
            "sse_subscribers 0",
        ] {
            assert!(text.contains(line), "`{line}` is not in:\n{text}");
        }
        for line in ["process_resident_memory_bytes", "process_open_fds"] {
            let expected = cfg!(feature = "process-metrics");
            assert_eq!(text.contains(line), expected, "`{line}`:\n{text}");
        }
    }
}
