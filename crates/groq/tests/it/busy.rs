//! Limits of our own: calls at once, the budget of retries, the breaker.

use std::time::Duration;

use futures_util::future::{Either, select};
use life_agent_groq::testing::{Answer, StandIn};
use life_agent_groq::{BreakerSettings, BreakerState, ChatError, Model, Overload, Settings};

use crate::support::{client, request, settings, status_of};

fn cause(error: &ChatError) -> Option<Overload> {
    match error {
        ChatError::Overloaded { cause, .. } => Some(*cause),
        _ => None,
    }
}

#[tokio::test]
async fn one_call_too_many_is_turned_away_at_once() {
    let provider = StandIn::start(vec![Answer::silence()]).await.unwrap();
    let client = client(Settings { max_concurrent: 1, ..settings(&provider) });
    let asked = request();
    let first = client.chat(&asked);
    let second = client.chat(&asked);
    // The first is polled first and never answers.
    let Either::Right((answer, first)) = select(first, second).await else {
        panic!("a silent provider has answered");
    };
    assert_eq!(cause(&answer.unwrap_err()), Some(Overload::Calls));
    assert_eq!(client.status().under_way, 1);
    drop(first);
    assert_eq!(client.status().under_way, 0);
}

#[tokio::test]
async fn a_stream_keeps_its_place_until_it_ends() {
    let provider = StandIn::start(vec![Answer::stream(&["a"])]).await.unwrap();
    let client = client(Settings { max_concurrent: 1, ..settings(&provider) });
    let deltas = client.stream(&request()).await.unwrap();
    let refused = client.stream(&request()).await.err().unwrap();
    assert_eq!(cause(&refused), Some(Overload::Calls));
    drop(deltas);
    assert!(client.stream(&request()).await.is_ok());
}

#[tokio::test]
async fn retries_of_all_calls_share_a_budget() {
    let provider = StandIn::start(vec![Answer::new(500, "text/plain", "")]).await.unwrap();
    let mut settings = settings(&provider);
    settings.retries.budget_reserve = 1.0;
    settings.breaker.failures = 100;
    let client = client(settings);
    for requests in [2, 3, 4] {
        assert_eq!(status_of(&client.chat(&request()).await.unwrap_err()), Some(500));
        assert_eq!(provider.seen().len(), requests);
    }
}

#[tokio::test]
async fn a_provider_that_keeps_failing_is_left_alone() {
    let provider = StandIn::start(vec![Answer::new(200, "text/html", "<html>")]).await.unwrap();
    let open_for = Duration::from_secs(600);
    let breaker = BreakerSettings { failures: 2, open_for };
    let client = client(Settings { breaker, ..settings(&provider) });
    for _ in 0..2 {
        assert_eq!(status_of(&client.chat(&request()).await.unwrap_err()), Some(200));
    }
    assert_eq!(client.status().breaker, BreakerState::Open);
    assert_eq!(cause(&client.chat(&request()).await.unwrap_err()), Some(Overload::Breaker));
    assert_eq!(cause(&client.stream(&request()).await.err().unwrap()), Some(Overload::Breaker));
    assert_eq!(provider.seen().len(), 2);
}

#[tokio::test]
async fn retries_stop_when_the_breaker_opens_and_tell_the_cause() {
    let provider = StandIn::start(vec![Answer::new(500, "text/plain", "")]).await.unwrap();
    let breaker = BreakerSettings { failures: 2, open_for: Duration::from_secs(600) };
    let client = client(Settings { breaker, ..settings(&provider) });
    assert_eq!(status_of(&client.chat(&request()).await.unwrap_err()), Some(500));
    assert_eq!(provider.seen().len(), 2);
}

#[tokio::test]
async fn a_probe_that_goes_well_lets_calls_pass_again() {
    let ill = Answer::new(200, "text/html", "<html>");
    let script = vec![ill.clone(), ill, Answer::text("well"), Answer::text("well")];
    let provider = StandIn::start(script).await.unwrap();
    let breaker = BreakerSettings { failures: 2, open_for: Duration::ZERO };
    let client = client(Settings { breaker, ..settings(&provider) });
    for _ in 0..2 {
        client.chat(&request()).await.unwrap_err();
    }
    assert_eq!(client.status().breaker, BreakerState::Open);
    assert_eq!(client.chat(&request()).await.unwrap().content, "well");
    assert_eq!(client.status().breaker, BreakerState::Closed);
}

#[tokio::test]
async fn refused_requests_do_not_open_the_breaker() {
    let gone = Answer::error(404, "model_not_found", "gone");
    let provider = StandIn::start(vec![gone]).await.unwrap();
    let breaker = BreakerSettings { failures: 1, open_for: Duration::from_secs(600) };
    let client = client(Settings { breaker, ..settings(&provider) });
    for _ in 0..3 {
        assert_eq!(status_of(&client.chat(&request()).await.unwrap_err()), Some(404));
    }
    assert_eq!(client.status().breaker, BreakerState::Closed);
}

#[tokio::test]
async fn streams_that_keep_breaking_open_the_breaker() {
    let hello = life_agent_groq::testing::chunk(
        &serde_json::json!({"content": "a"}),
        &serde_json::Value::Null,
    );
    let provider = StandIn::start(vec![Answer::events(&[hello]).cut_off()]).await.unwrap();
    let breaker = BreakerSettings { failures: 2, open_for: Duration::from_secs(600) };
    let client = client(Settings { breaker, ..settings(&provider) });
    for _ in 0..2 {
        let deltas = client.stream(&request()).await.unwrap();
        let items: Vec<_> = futures_util::StreamExt::collect(deltas).await;
        assert!(matches!(items.last(), Some(Err(ChatError::Cut { .. }))));
    }
    assert_eq!(client.status().breaker, BreakerState::Open);
}
