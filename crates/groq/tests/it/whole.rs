//! Whole answers: what arrives, what is tried again, what is refused.

use std::time::Duration;

use life_agent_groq::testing::{Answer, StandIn};
use life_agent_groq::{ChatError, Model, Overload, Phase, Settings, Timeouts};
use serde_json::json;

use crate::support::{KEY, client, pair, request, settings, status_of};

#[tokio::test]
async fn a_request_arrives_as_it_was_meant_and_the_answer_keeps_every_field() {
    let (provider, client) =
        pair(vec![Answer::text("a friend").header("x-ratelimit-reset-tokens", "2m59.56s")]).await;
    let mut asked = request();
    asked.extra.insert("reasoning_effort".to_owned(), json!("low"));
    let reply = client.chat(&asked).await.unwrap();
    assert_eq!(reply.content, "a friend");
    assert_eq!(reply.usage.unwrap().total_tokens, 18);
    assert_eq!(reply.raw["service_tier"], "on_demand");
    assert_eq!(reply.raw["x_groq"]["id"], "req_1");
    assert_eq!(client.status().limits.unwrap().reset_tokens_s, Some(179.56));

    let seen = &provider.seen()[0];
    assert_eq!(seen.line, "POST /v1/chat/completions");
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(
        seen.body,
        json!({
            "model": "openai/gpt-oss-120b", "temperature": 0.0, "seed": 7, "reasoning_effort": "low",
            "messages": [{"role": "user", "content": "who goes there?"}],
        })
    );
}

#[tokio::test]
async fn raw_requests_and_answers_pass_through_untouched() {
    let answer = json!({"choices": [], "odd": {"deep": [1, null]}, "service_tier": "on_demand"});
    let (provider, client) = pair(vec![Answer::json(200, &answer)]).await;
    let body = json!({"messages": [], "stream": true, "n": 2, "user": "u"});
    assert_eq!(client.chat_raw(body).await.unwrap(), answer);
    assert_eq!(provider.seen()[0].body, json!({"messages": [], "n": 2, "user": "u"}));
}

#[tokio::test]
async fn what_may_pass_later_is_tried_again() {
    let limited = || Answer::error(429, "rate_limit_exceeded", "slow down");
    for (failures, requests) in [
        (vec![Answer::new(500, "text/plain", "oops"), Answer::new(503, "text/html", "<b>")], 3),
        (vec![limited().header("retry-after", "0")], 2),
        (vec![limited()], 2),
        (vec![Answer::error(498, "capacity_exceeded", "flex tier is full")], 2),
        (vec![Answer::error(400, "tool_use_failed", "bad call")], 2),
        (vec![Answer::new(408, "text/plain", "")], 2),
        (vec![Answer::hang_up(), Answer::text("half").cut_off()], 3),
    ] {
        let script: Vec<_> = failures.into_iter().chain([Answer::text("well")]).collect();
        let (provider, client) = pair(script).await;
        assert_eq!(client.chat(&request()).await.unwrap().content, "well");
        assert_eq!(provider.seen().len(), requests);
    }
}

#[tokio::test]
async fn a_provider_that_stays_full_is_named_with_its_wait() {
    let limited = Answer::error(429, "rate_limit_exceeded", "slow down");
    for (answer, wait, requests) in
        [(limited.clone().header("retry-after", "60"), 60, 1), (limited, 5, 3)]
    {
        let (provider, client) = pair(vec![answer]).await;
        let retry_after = Duration::from_secs(wait);
        let expected = ChatError::Overloaded { cause: Overload::Provider, retry_after };
        assert_eq!(client.chat(&request()).await.unwrap_err(), expected);
        assert_eq!(provider.seen().len(), requests);
    }
}

#[tokio::test]
async fn a_refused_request_is_not_repeated() {
    let gone = Answer::error(404, "model_not_found", "the model `x` does not exist");
    let (provider, client) = pair(vec![gone]).await;
    let error = client.chat(&request()).await.unwrap_err();
    assert_eq!(
        error,
        ChatError::Failed {
            status: Some(404),
            code: Some("model_not_found".to_owned()),
            message:
                "the model provider refused the request (status 404): the model `x` does not exist"
                    .to_owned(),
        }
    );
    assert_eq!(provider.seen().len(), 1);
}

#[tokio::test]
async fn what_is_no_answer_is_a_failure() {
    for answer in [
        Answer::new(200, "application/json", "{\"choices\": [{\"mess"),
        Answer::new(200, "text/html", "<html>login</html>"),
        Answer::new(200, "application/json", ""),
        Answer::new(200, "application/json", "[".repeat(100_000)),
        Answer::new(200, "application/json", format!("{}{}", "[".repeat(200), "]".repeat(200))),
        Answer::new(200, "application/json", b"{\"choices\": \"\xff\"}".to_vec()),
        Answer::json(200, &json!({"error": {"message": "nope"}})),
        Answer::json(200, &json!({"choices": []})),
        Answer::json(200, &json!({"choices": [{"message": "x"}]})),
    ] {
        let (provider, client) = pair(vec![answer.clone()]).await;
        let error = client.chat(&request()).await.unwrap_err();
        assert_eq!(status_of(&error), Some(200), "{answer:?}");
        assert_eq!(provider.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_of_ten_megabytes_is_not_read() {
    let huge = || Answer::text(&"x".repeat(10 * 1024 * 1024));
    for answer in [huge(), huge().unmeasured()] {
        let (_provider, client) = pair(vec![answer]).await;
        let error = client.chat(&request()).await.unwrap_err();
        assert!(error.to_string().contains("longer than 2097152 bytes"), "{error}");
    }
}

#[tokio::test]
async fn each_wait_has_its_end() {
    let short = Duration::from_millis(100);
    let long = Duration::from_secs(60);
    let timeouts = Timeouts { connect: long, first_byte: long, between_bytes: long, whole: long };
    for (answer, timeouts, phase) in [
        (Answer::silence(), Timeouts { first_byte: short, ..timeouts }, Phase::FirstByte),
        (Answer::silence(), Timeouts { whole: short, ..timeouts }, Phase::Whole),
        (
            Answer::text("half").stalling(),
            Timeouts { between_bytes: short, ..timeouts },
            Phase::BetweenBytes,
        ),
        (
            Answer::text("slow").slowly(Duration::from_secs(1)),
            Timeouts { whole: short, ..timeouts },
            Phase::Whole,
        ),
    ] {
        let provider = StandIn::start(vec![answer]).await.unwrap();
        let client = client(Settings { timeouts, ..settings(&provider) });
        let error = client.chat(&request()).await.unwrap_err();
        assert_eq!(error, ChatError::Timeout { phase });
        assert_eq!(provider.seen().len(), 1);
    }
}

#[tokio::test]
async fn waits_without_end_are_taken_as_very_long() {
    let provider = StandIn::start(vec![Answer::text("well")]).await.unwrap();
    let never = Duration::MAX;
    let timeouts =
        Timeouts { connect: never, first_byte: never, between_bytes: never, whole: never };
    let client = client(Settings { timeouts, ..settings(&provider) });
    assert_eq!(client.chat(&request()).await.unwrap().content, "well");
}

#[tokio::test]
async fn a_pause_that_would_outlast_the_call_is_not_begun() {
    let provider =
        StandIn::start(vec![Answer::new(503, "text/plain", "").header("retry-after", "9")])
            .await
            .unwrap();
    let mut settings = settings(&provider);
    settings.timeouts.whole = Duration::from_secs(8);
    assert_eq!(status_of(&client(settings).chat(&request()).await.unwrap_err()), Some(503));
    assert_eq!(provider.seen().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = StandIn::start(vec![Answer::text("mine now")]).await.unwrap();
    for status in [301, 302, 307, 308] {
        let redirect =
            Answer::new(status, "text/plain", "").header("location", elsewhere.base_url());
        let (_provider, client) = pair(vec![redirect]).await;
        assert_eq!(status_of(&client.chat(&request()).await.unwrap_err()), Some(status));
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_a_failure_without_a_status() {
    let provider = StandIn::start(vec![Answer::hang_up()]).await.unwrap();
    let hung_up = client(settings(&provider)).chat(&request()).await.unwrap_err();
    assert_eq!(status_of(&hung_up), None);
    // Port 1 of the loopback address: nothing listens there.
    let nobody = Settings { base_url: "http://127.0.0.1:1/v1".to_owned(), ..settings(&provider) };
    let error = client(nobody).chat(&request()).await.unwrap_err();
    assert_eq!(status_of(&error), None);
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn a_tool_call_with_broken_arguments_is_passed_on_as_it_is() {
    let (_provider, client) = pair(vec![Answer::tool_call("act", "{\"action\": \"rest\"")]).await;
    let reply = client.chat(&request()).await.unwrap();
    assert_eq!(reply.tool_calls[0].function.name, "act");
    assert_eq!(reply.tool_calls[0].function.arguments, "{\"action\": \"rest\"");
    assert_eq!(reply.finish_reason.as_deref(), Some("tool_calls"));
}

#[tokio::test]
async fn a_request_that_no_provider_takes_is_not_sent() {
    let (provider, client) = pair(vec![Answer::text("never")]).await;
    let mut schema = request();
    schema.response_format = Some(json!({"type": "json_schema", "json_schema": {}}));
    assert!(client.chat(&schema).await.is_ok());
    assert!(matches!(client.stream(&schema).await.err(), Some(ChatError::Refused { .. })));
    let list = client.chat_raw(json!([])).await;
    assert!(matches!(list, Err(ChatError::Refused { .. })));
    assert_eq!(provider.seen().len(), 1);
}
