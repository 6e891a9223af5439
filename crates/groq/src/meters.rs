//! The metrics of each call: the contract's names, and OpenTelemetry's for generative models
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>).

use std::fmt;
use std::sync::Arc;

use metrics::{counter, histogram};
use tokio::time::Instant;

use crate::error::ChatError;
use crate::wire::Usage;

/// The label of every model that is not known.
const OTHER: &str = "other";

/// Which models metrics may name. Every other model would be a series of its own, and callers choose models.
#[derive(Clone)]
pub struct KnownModels(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl KnownModels {
    /// Asks `is_known` at each call, so that the answer may change.
    pub fn new(is_known: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_known))
    }

    fn contain(&self, model: &str) -> bool {
        (self.0)(model)
    }
}

impl Default for KnownModels {
    fn default() -> Self {
        Self::new(|_| false)
    }
}

impl From<Vec<String>> for KnownModels {
    fn from(models: Vec<String>) -> Self {
        Self::new(move |model| models.iter().any(|known| known == model))
    }
}

impl fmt::Debug for KnownModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownModels")
    }
}

/// The metrics of one call, from its start.
#[derive(Debug)]
pub(crate) struct Call {
    model: String,
    started: Instant,
}

impl Call {
    /// Counts the start of a call to this model.
    pub(crate) fn begin(model: &str, known_models: &KnownModels) -> Self {
        let model = if known_models.contain(model) { model } else { OTHER }.to_owned();
        counter!("llm_requests_total", "model" => model.clone()).increment(1);
        Self { model, started: Instant::now() }
    }

    /// Records the arrival of a stream's first token.
    pub(crate) fn first_token(&self) {
        histogram!(
            "gen_ai_server_time_to_first_token_seconds",
            "gen_ai_operation_name" => "chat", "gen_ai_request_model" => self.model.clone()
        )
        .record(self.started.elapsed());
    }

    /// Records the end of the call.
    pub(crate) fn end(&self, usage: Option<Usage>, error: Option<&ChatError>) {
        let outcome = error.map_or("", ChatError::label);
        histogram!(
            "gen_ai_client_operation_duration_seconds",
            "gen_ai_operation_name" => "chat", "gen_ai_request_model" => self.model.clone(),
            "error_type" => outcome
        )
        .record(self.started.elapsed());
        let Some(usage) = usage else { return };
        for (ours, theirs, tokens) in [
            ("prompt", "input", usage.prompt_tokens),
            ("completion", "output", usage.completion_tokens),
        ] {
            counter!("llm_tokens_total", "type" => ours).increment(tokens);
            histogram!(
                "gen_ai_client_token_usage",
                "gen_ai_operation_name" => "chat", "gen_ai_request_model" => self.model.clone(),
                "gen_ai_token_type" => theirs
            )
            .record(tokens as f64);
        }
    }
}

/// Counts a retry.
pub(crate) fn retried() {
    counter!("llm_retries_total").increment(1);
}
