//! Attempts: one signed request, whose response counts by its status only.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, StatusCode, Url};

use super::message::Message;
use super::signature::WebhookSecrets;
use crate::trace::Span;

/// Time limit of an attempt.
const LIMIT: Duration = Duration::from_secs(10);

/// The result of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The receiver accepted the message.
    Delivered { status: u16 },
    /// The attempt failed.
    Failed {
        /// A fixed label for the row.
        error: &'static str,
        status: Option<u16>,
        /// The wait that the receiver asks for, in milliseconds.
        asked: Option<u64>,
    },
}

impl Attempt {
    /// An attempt that was not made, or that got no response.
    pub(super) fn failed(error: &'static str) -> Self {
        Attempt::Failed { error, status: None, asked: None }
    }
}

/// The client. It follows no redirect: the policy names the receiver.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    // Whichever of the process's crates comes first installs it; a second attempt changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(LIMIT).build()
}

/// Sends a message once. `now` is in seconds since 1970.
pub(super) async fn attempt(
    client: Client,
    url: String,
    secrets: &WebhookSecrets,
    message: &Message,
    now: i64,
    span: &mut Span,
) -> Attempt {
    let Ok(url) = Url::parse(&url) else { return Attempt::failed("bad_url") };
    let signature = secrets.sign(&message.id, now, &message.body);
    let mut request = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("life-agent/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", now)
        .header("webhook-signature", signature)
        .body(message.body.clone());
    for (name, value) in span.trace().map(|trace| trace.headers()).unwrap_or_default() {
        request = request.header(name, value);
    }
    let made = outcome(request.send().await);
    match &made {
        Attempt::Delivered { status } => span.set("http.response.status_code", *status),
        Attempt::Failed { error, .. } => span.fail(*error),
    }
    made
}

fn outcome(sent: Result<reqwest::Response, reqwest::Error>) -> Attempt {
    match sent {
        Ok(response) if response.status().is_success() => {
            Attempt::Delivered { status: response.status().as_u16() }
        }
        Ok(response) => {
            let status = response.status();
            let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let asked = asked.and_then(|seconds| seconds.trim().parse::<u64>().ok());
            Attempt::Failed {
                error: if status == StatusCode::GONE { "gone" } else { "status" },
                status: Some(status.as_u16()),
                asked: asked.map(|seconds| seconds.saturating_mul(1000)),
            }
        }
        Err(error) if error.is_timeout() => Attempt::failed("timeout"),
        Err(_) => Attempt::failed("connection"),
    }
}
