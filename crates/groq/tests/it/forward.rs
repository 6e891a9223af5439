//! Requests that are forwarded byte for byte.

use std::time::Duration;

use life_agent_groq::testing::{Answer, StandIn, chunk};
use life_agent_groq::{
    BreakerSettings, BreakerState, ChatError, Client, ForwardError, ForwardRequest, ForwardedBody,
    Settings, Timeouts,
};
use serde_json::{Value, json};

use crate::support::{KEY, client, pair, settings};

fn request(body: &str) -> ForwardRequest {
    ForwardRequest {
        path: "/chat/completions".to_owned(),
        body: Some(body.to_owned().into()),
        headers: Vec::new(),
        model: "m".to_owned(),
    }
}

/// The bytes of a response, streamed or not.
async fn read(client: &Client, request: &ForwardRequest) -> Result<Vec<u8>, ForwardError> {
    match client.forward(request).await?.body {
        ForwardedBody::Whole(body) => Ok(body),
        ForwardedBody::Stream(mut frames) => {
            let mut out = Vec::new();
            while let Some(frame) = frames.next().await {
                out.extend(frame?.raw);
            }
            Ok(out)
        }
    }
}

#[tokio::test]
async fn every_byte_arrives_in_both_directions() {
    let sent = "{ \"z\": 1.0,\"a\":[1e2, {}], \"model\":\"m\"}\n";
    let stream = ": hi\r\n\r\nevent: x\nid: 7\ndata: {\"b\":1,\"a\":1.50}\n\ndata: [DONE]\n\n";
    for (kind, body) in
        [("application/json", "{ \"b\":1, \"a\":1.50 }"), ("text/event-stream", stream)]
    {
        let (provider, client) = pair(vec![Answer::new(200, kind, body)]).await;
        let mut request = request(sent);
        request.headers.push(("anthropic-beta".to_owned(), "x".to_owned()));
        assert_eq!(read(&client, &request).await.unwrap(), body.as_bytes());
        let seen = &provider.seen()[0];
        assert_eq!(seen.raw, sent.as_bytes());
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        assert_eq!(seen.header("anthropic-beta"), Some("x"));
        assert_eq!(client.status().under_way, 0);
    }
}

#[tokio::test]
async fn a_rejection_keeps_its_status_and_is_not_repeated() {
    let body = json!({"error": {"message": format!("too long {KEY}"), "type": "t", "param": "messages",
        "code": "context_length_exceeded"}});
    for status in [400, 401, 403, 404, 413, 422] {
        let answer = Answer::json(status, &body).header("x-ratelimit-remaining-tokens", "3");
        let (provider, client) = pair(vec![answer]).await;
        let rejection = read(&client, &request("{}")).await.unwrap_err().rejection.unwrap();
        assert_eq!(rejection.status, status);
        assert_eq!(rejection.code, json!("context_length_exceeded"));
        assert_eq!(rejection.param, json!("messages"));
        assert_eq!(rejection.kind.as_deref(), Some("t"));
        // What a provider says about the service's own key is not the caller's to read.
        let expected = match status {
            401 => "the model provider refuses the key of this service (status 401)".to_owned(),
            _ => "too long [redacted:api_key]".to_owned(),
        };
        assert_eq!(rejection.message, expected);
        let limit = ("x-ratelimit-remaining-tokens".to_owned(), "3".to_owned());
        assert_eq!(rejection.headers, [limit]);
        assert_eq!(provider.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_error_as_the_first_event_is_a_rejection_and_opens_no_breaker() {
    let error = json!({"error": {"message": "context too long", "code": 400}});
    let provider = StandIn::start(vec![Answer::events(&[error])]).await.unwrap();
    let breaker = BreakerSettings { failures: 1, open_for: Duration::from_secs(600) };
    let client = client(Settings { breaker, ..settings(&provider) });
    for requests in 1..4 {
        let rejection = read(&client, &request("{}")).await.unwrap_err().rejection.unwrap();
        assert_eq!((rejection.status, rejection.message.as_str()), (400, "context too long"));
        assert_eq!(provider.seen().len(), requests);
    }
    assert_eq!(client.status().breaker, BreakerState::Closed);
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_an_error_after_its_frames() {
    let some = chunk(&json!({"content": "a"}), &Value::Null);
    let (_provider, client) = pair(vec![Answer::events(&[some.clone(), some])]).await;
    let ForwardedBody::Stream(mut frames) = client.forward(&request("{}")).await.unwrap().body
    else {
        panic!("not a stream");
    };
    assert!(frames.next().await.unwrap().is_ok());
    assert!(frames.next().await.unwrap().is_ok());
    let error = frames.next().await.unwrap().unwrap_err().error;
    assert!(matches!(error, ChatError::Cut { .. }), "{error:?}");
    assert!(frames.next().await.is_none());
}

#[tokio::test]
async fn only_silence_ends_a_forwarded_call() {
    let text = "data: {}\n\ndata: [DONE]\n\n";
    let slow = Answer::new(200, "text/event-stream", text).slowly(Duration::from_millis(10));
    let provider = StandIn::start(vec![slow, Answer::silence()]).await.unwrap();
    let limit = Duration::from_millis(150);
    let timeouts = Timeouts {
        whole: Duration::from_millis(1),
        first_byte: limit,
        between_bytes: limit,
        connect: Duration::from_secs(60),
    };
    let client = client(Settings { forward_timeouts: timeouts, ..settings(&provider) });
    assert_eq!(read(&client, &request("{}")).await.unwrap(), text.as_bytes());
    let error = read(&client, &request("{}")).await.unwrap_err().error;
    assert!(matches!(error, ChatError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn dropping_a_stream_ends_the_providers_call_and_frees_its_place() {
    let some = chunk(&json!({"content": "a"}), &Value::Null);
    let (mut provider, client) = pair(vec![Answer::events(&[some]).stalling()]).await;
    let forwarded = client.forward(&request("{}")).await.unwrap();
    assert_eq!(client.status().under_way, 1);
    drop(forwarded);
    provider.until_open(0).await;
    assert_eq!(client.status().under_way, 0);
}
