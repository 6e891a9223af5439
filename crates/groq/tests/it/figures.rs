//! The figures of calls, as an operator scrapes them.

use futures_util::StreamExt;
use life_agent_groq::Model;
use life_agent_groq::testing::Answer;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;

use crate::support::{pair, request};

#[tokio::test]
async fn calls_tokens_retries_and_the_breaker_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let script = vec![
        Answer::new(500, "text/plain", ""),
        Answer::text("a"),
        Answer::stream(&["a"]),
        Answer::error(404, "model_not_found", "gone"),
    ];
    let (_provider, client) = pair(script).await;
    client.chat(&request()).await.unwrap();
    client.stream(&request()).await.unwrap().collect::<Vec<_>>().await;
    client.chat_raw(json!({"model": "my-secret-model"})).await.unwrap_err();

    let text = handle.render();
    for line in [
        "llm_requests_total{model=\"openai/gpt-oss-120b\"} 2",
        "llm_requests_total{model=\"other\"} 1",
        "llm_tokens_total{type=\"prompt\"} 22",
        "llm_tokens_total{type=\"completion\"} 14",
        "llm_retries_total 1",
        "llm_breaker_state 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
    for (name, labels) in [
        ("gen_ai_client_operation_duration_seconds_count", "error_type=\"failed\""),
        ("gen_ai_client_operation_duration_seconds_count", "gen_ai_request_model=\"other\""),
        ("gen_ai_server_time_to_first_token_seconds_count", "gen_ai_operation_name=\"chat\""),
        ("gen_ai_client_token_usage_sum", "gen_ai_token_type=\"output\""),
    ] {
        let found = text.lines().any(|line| line.starts_with(name) && line.contains(labels));
        assert!(found, "{name} with {labels} is not in:\n{text}");
    }
    assert!(!text.contains("my-secret-model"));
}
