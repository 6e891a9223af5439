//! Every metric of the service: the source of the descriptions in `/metrics` and of `docs/metrics.md`.
//! The metrics of the process (`process_*`) come from a library.

/// A metric.
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub meaning: &'static str,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// The name in the Prometheus format.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

macro_rules! metrics {
    ($($kind:ident $name:literal [$($label:literal),*] $meaning:literal;)*) => {
        /// The metrics, by subject.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            meaning: $meaning,
        },)*];
    };
}

metrics! {
    Counter "http_requests_total" ["method", "route", "status"] "requests answered";
    Histogram "http_request_seconds" ["route"] "time from the head of a request to the head of its response";
    Gauge "http_requests_in_flight" ["route"] "requests in progress";
    Gauge "http_connections" [] "open connections";
    Counter "overload_refused_total" ["reason"] "connections and requests refused for lack of capacity";
    Gauge "sse_subscribers" [] "open event streams";
    Counter "auth_failures_total" ["reason"] "requests without a known key";
    Counter "actions_total" ["kind", "outcome"] "requests that act: `allowed` or `denied`";
    Histogram "act_seconds" ["kind", "outcome"] "time from the call of the engine to the durable response";
    Histogram "plan_seconds" [] "the same, for plans that were made";
    Counter "policy_denied_total" ["reason"] "requests that a gate or the caller's key refused";
    Counter "policy_would_deny_total" ["reason"] "findings that were observed and did not refuse the request";
    Histogram "gate_seconds" ["gate"] "duration of each gate";
    Gauge "kill_switch_on" [] "1 while the kill switch is on";
    Counter "policy_reload_total" ["result"] "policies activated or rejected";
    Gauge "policy_on_disk_rejected" [] "1 while the policy's file has faults and the previous policy stays active";
    Histogram "journal_commit_seconds" [] "duration of a commit";
    Histogram "journal_batch_rows" [] "rows per commit";
    Gauge "journal_queue_rows" [] "batches that wait for their commit";
    Counter "journal_errors_total" [] "commits that failed";
    Gauge "retention_held" [] "1 while retention by days waits for a confirmation";
    Gauge "turn_queue_depth" [] "queued turns that wait";
    Histogram "turn_queue_seconds" [] "time that queued turns wait before they run";
    Counter "llm_requests_total" ["model"] "model calls";
    Counter "llm_tokens_total" ["type"] "tokens that models read and wrote: `prompt`, `completion`";
    Counter "llm_retries_total" [] "retries of model calls";
    Gauge "llm_breaker_state" [] "the worst circuit breaker: 0 closed, 1 half-open, 2 open";
    Counter "llm_fallbacks_total" ["kind", "reason"] "turns and plans completed without a model that failed";
    Histogram "gen_ai_client_operation_duration_seconds" ["error_type", "gen_ai_operation_name", "gen_ai_request_model"] "duration of model calls; `error_type` is empty for successful calls";
    Histogram "gen_ai_client_token_usage" ["gen_ai_operation_name", "gen_ai_request_model", "gen_ai_token_type"] "tokens per model call";
    Histogram "gen_ai_server_time_to_first_token_seconds" ["gen_ai_operation_name", "gen_ai_request_model"] "time to the first token of a stream";
    Counter "webhook_attempts_total" ["outcome"] "attempts to send a message to the webhook: `delivered`, `retried`, `failed`";
    Counter "trace_spans_total" ["outcome"] "spans of traces: `exported`, `failed`, `dropped`";
    Gauge "redis_up" [] "1 while Redis responds; absent without Redis";
    Counter "redis_failures_total" [] "calls of Redis that failed";
    Counter "rate_limit_fallback_total" ["mode"] "requests counted without Redis: `local`, `deny`";
    Gauge "instances_live" [] "instances that share the counters in Redis";
    Counter "replica_reads_total" ["outcome"] "reads that the database's replica `served`, or left to the primary: `lagging`, `failed`, `resting`";
}
