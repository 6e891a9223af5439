//! What the tests share: a client of a stand-in, and a redactor that knows one secret.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use life_agent_domain::governance::redaction::Redact;
use life_agent_groq::testing::{Answer, StandIn};
use life_agent_groq::{ChatError, ChatMessage, ChatRequest, Client, Retries, Settings, Timeouts};

pub(crate) const KEY: &str = "gsk_0123456789abcdef";
pub(crate) const SECRET: &str = "hunter2-hunter2";

/// Knows one secret.
pub(crate) struct Stars;

impl Redact for Stars {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.contains(SECRET) {
            text.replace(SECRET, "[redacted:test]").into()
        } else {
            text.into()
        }
    }
}

/// Settings that never time out in a test and pause for no time a person would notice.
pub(crate) fn settings(provider: &StandIn) -> Settings {
    let defaults = Settings::new(KEY.into());
    let long = Duration::from_secs(60);
    Settings {
        base_url: provider.base_url().to_owned(),
        timeouts: Timeouts { connect: long, first_byte: long, between_bytes: long, whole: long },
        retries: Retries { base: Duration::from_millis(1), ..defaults.retries },
        known_models: vec!["openai/gpt-oss-120b".to_owned()].into(),
        queue_wait: Duration::ZERO,
        ..defaults
    }
}

pub(crate) fn client(settings: Settings) -> Client {
    Client::with_jitter(settings, Arc::new(Stars), Box::new(|| 0.5)).unwrap()
}

/// A stand-in with a script, and a client of it.
pub(crate) async fn pair(script: Vec<Answer>) -> (StandIn, Client) {
    let provider = StandIn::start(script).await.unwrap();
    let client = client(settings(&provider));
    (provider, client)
}

pub(crate) fn request() -> ChatRequest {
    ChatRequest {
        model: "openai/gpt-oss-120b".to_owned(),
        messages: vec![ChatMessage::new("user", "who goes there?")],
        temperature: Some(0.0),
        seed: Some(7),
        ..ChatRequest::default()
    }
}

pub(crate) fn status_of(error: &ChatError) -> Option<u16> {
    match error {
        ChatError::Failed { status, .. } => *status,
        other => panic!("{other:?}"),
    }
}
