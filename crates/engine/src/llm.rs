//! The model behind chats: the provider's client, and the exchanges with it that are under way.

mod completion;
mod dialogue;
mod draft;
mod exchange;
mod prompt;
mod retell;
mod stream;
mod task;
mod tell;
mod telling;
mod texts;
mod tools;
mod underway;
mod window;

use std::borrow::Cow;
use std::time::Duration;

use life_agent_domain::governance::redaction::{Redact, redact_owned};
use life_agent_gates::SecretRedactor;
use life_agent_groq::{ChatError, Client, ClientStatus, GROQ_BASE_URL, Settings};
use life_agent_policy::document::{Llm as Defaults, Policy};
use secrecy::{ExposeSecret, SecretString};

pub use completion::{Completion, CompletionEvent, CompletionEvents};
pub(crate) use dialogue::MAX_CALLS;
pub(crate) use draft::{Drafted, Undrafted};
pub(crate) use exchange::{Answered, Exchange};
pub(crate) use retell::{Again, Difference, retell};
pub(crate) use stream::{Piece, Pieces};
pub(crate) use telling::{Done, Telling};
pub(crate) use texts::body_of;
pub(crate) use underway::Exchanges;

use crate::config::LlmConfig;
use crate::error::{EngineError, OpenError};
use crate::policy::InForce;

/// A provider that can be asked.
pub(crate) struct Llm {
    pub(crate) client: Client,
    /// Host and port of its address.
    pub(crate) base_host: String,
    /// What seeds of requests are derived from.
    pub(crate) seed: u64,
    /// How long one call may take, further attempts included.
    pub(crate) timeout: Duration,
    key: OwnKey,
}

impl Llm {
    pub(crate) fn open(config: &LlmConfig, policy: &Policy, seed: u64) -> Result<Self, OpenError> {
        let base_url = config.base_url.clone().unwrap_or_else(|| GROQ_BASE_URL.to_owned());
        let mut settings = Settings::new(config.api_key.clone());
        if let Some(timeout) = config.timeout {
            let timeouts = &mut settings.timeouts;
            timeouts.whole = timeout;
            // What thinks long before it answers may take nearly all of the time for that.
            timeouts.first_byte = timeout.mul_f64(5.0 / 6.0);
        }
        settings.known_models = vec![policy.llm.model.clone(), Defaults::default().model];
        settings.base_url = base_url;
        let host = reqwest::Url::parse(settings.base_url.trim()).ok().and_then(|url| {
            let host = url.host_str()?.to_owned();
            Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
        });
        let timeout = settings.timeouts.whole;
        let client = Client::new(settings, std::sync::Arc::new(SecretRedactor))
            .map_err(|error| OpenError::Llm(error.to_string()))?;
        let key = OwnKey(config.api_key.expose_secret().trim().into());
        Ok(Self { client, base_host: host.unwrap_or_default(), seed, timeout, key })
    }

    pub(crate) fn status(&self) -> ClientStatus {
        self.client.status()
    }

    /// What takes credentials out of answers, the provider's own key included.
    fn redactor<'r>(&'r self, policy: &'r InForce) -> Both<'r> {
        Both(&self.key, policy.chain.redactor())
    }
}

/// Takes the provider's own key out of its answers: it need not have a shape that a pattern knows.
struct OwnKey(SecretString);

impl Redact for OwnKey {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let key = self.0.expose_secret();
        if text.contains(key) {
            Cow::Owned(text.replace(key, "[redacted:api_key]"))
        } else {
            Cow::Borrowed(text)
        }
    }
}

/// One redactor after the other.
struct Both<'r>(&'r dyn Redact, &'r dyn Redact);

impl Redact for Both<'_> {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.0.redact(text) {
            Cow::Borrowed(same) => self.1.redact(same),
            Cow::Owned(changed) => Cow::Owned(redact_owned(changed, self.1)),
        }
    }
}

/// A call of the model that came to nothing.
struct Failure {
    /// One of a fixed few, for the row.
    label: &'static str,
    /// Whether the provider was asked at all.
    asked: bool,
    error: EngineError,
}

impl Failure {
    fn stopping() -> Self {
        let message = "the service is stopping; ask again in a moment".to_owned();
        let error = EngineError::LlmBusy { message, retry_after: 1 };
        Self { label: "stopped", asked: true, error }
    }

    fn late(whole: Duration) -> Self {
        let message =
            format!("the model took longer than {} s; ask for less, or again", whole.as_secs());
        Self { label: "timeout", asked: true, error: EngineError::LlmTimeout { message } }
    }

    fn cancelled() -> Self {
        let error = EngineError::Conflict("the turn was cancelled".to_owned());
        Self { label: "cancelled", asked: true, error }
    }

    fn unusable(message: &str) -> Self {
        let error = EngineError::LlmFailed { message: message.to_owned() };
        Self { label: "failed", asked: true, error }
    }
}

impl From<ChatError> for Failure {
    fn from(error: ChatError) -> Self {
        let (label, message) = (error.label(), error.to_string());
        let asked = match &error {
            ChatError::Overloaded { cause, .. } => *cause == life_agent_groq::Overload::Provider,
            ChatError::Refused { .. } | ChatError::NotRecorded => false,
            _ => true,
        };
        let error = match error {
            ChatError::Overloaded { retry_after, .. } => {
                let seconds = retry_after.as_secs_f64().ceil().max(1.0) as u64;
                EngineError::LlmBusy { message, retry_after: seconds }
            }
            ChatError::Timeout { .. } => EngineError::LlmTimeout { message },
            ChatError::Refused { .. } => EngineError::LlmRefused { message },
            ChatError::Failed { status: Some(400 | 422), .. } => {
                EngineError::LlmUnsuited { message }
            }
            _ => EngineError::LlmFailed { message },
        };
        Self { label, asked, error }
    }
}
