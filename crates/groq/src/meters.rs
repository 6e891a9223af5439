//! The metrics of each call: the contract's names, and OpenTelemetry's for generative models
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>).

use metrics::{counter, histogram};
use tokio::time::Instant;

use crate::error::ChatError;
use crate::wire::Usage;

/// The label of every model that is not in the settings.
const OTHER: &str = "other";

/// The metrics of one call, from its start.
#[derive(Debug)]
pub(crate) struct Call {
    model: String,
    started: Instant,
}

impl Call {
    /// Counts the start of a call to this model.
    pub(crate) fn begin(model: &str, known_models: &[String]) -> Self {
        let known = known_models.iter().find(|known| known.as_str() == model);
        let model = known.map_or_else(|| OTHER.to_owned(), String::clone);
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
