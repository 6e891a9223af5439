//! The settings of a client: address, key, deadlines and limits.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::error::ChatError;
pub use crate::meters::KnownModels;

/// Groq's OpenAI-compatible address.
pub const GROQ_BASE_URL: &str = "https://api.groq.com/openai/v1";

/// Everything that a client needs; [`Settings::new`] has defaults for all but the key.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The provider's address up to and without `/chat/completions`. Plain `http` is accepted for
    /// servers on the same machine or network; the key then travels unencrypted.
    pub base_url: String,
    /// The provider's key. `Debug` does not print it.
    pub api_key: SecretString,
    /// The deadlines of the service's own calls.
    pub timeouts: Timeouts,
    /// The deadlines of forwarded calls; `whole` does not apply to them.
    pub forward_timeouts: Timeouts,
    /// When and how often to retry.
    pub retries: Retries,
    /// When to stop calling a model that fails.
    pub breaker: BreakerSettings,
    /// Calls in flight; a further call waits for `queue_wait` and is then [`ChatError::Overloaded`].
    pub max_concurrent: usize,
    /// How long a call waits for a place among the calls in flight.
    pub queue_wait: Duration,
    /// Longest answer read, in bytes; streams count in whole.
    pub max_answer_bytes: usize,
    /// Models that metrics may name; all others count as `other`.
    pub known_models: KnownModels,
    /// The header that carries the key.
    pub key_header: KeyHeader,
    /// Certificates in PEM that are trusted in addition to those of the system.
    pub extra_ca: Option<Vec<u8>>,
}

/// The header that carries the provider's key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`, as at OpenAI and Groq.
    #[default]
    Bearer,
    /// `x-api-key: KEY`, as at Anthropic.
    XApiKey,
}

/// The deadlines of a call.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// From sending a request to the headers of its response. A provider that does not stream sends
    /// them when the answer is complete.
    pub first_byte: Duration,
    /// Between two reads of a response.
    pub between_bytes: Duration,
    /// For a whole call of the service's own, with all retries and pauses. Forwarded calls have no
    /// such deadline.
    pub whole: Duration,
}

/// When and how often to retry.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Attempts for one call, the first included; at least 1.
    pub attempts: u32,
    /// The first pause is drawn from zero to this; each further one from twice as much.
    pub base: Duration,
    /// The longest pause drawn.
    pub cap: Duration,
    /// A provider that asks for a longer pause than this is not asked again.
    pub retry_after_max: Duration,
    /// What each call adds to the budget of retries: 0.1 allows one retry for ten calls.
    pub budget_ratio: f64,
    /// What the budget holds at most and at first, in retries.
    pub budget_reserve: f64,
}

/// When to stop calling a model that fails.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Failures in a row that open it; at least 1.
    pub failures: u32,
    /// How long it stays open before one call may probe.
    pub open_for: Duration,
}

impl Settings {
    /// Groq with this key and the defaults.
    pub fn new(api_key: SecretString) -> Self {
        Self {
            base_url: GROQ_BASE_URL.to_owned(),
            api_key,
            timeouts: Timeouts {
                connect: Duration::from_secs(5),
                first_byte: Duration::from_secs(25),
                between_bytes: Duration::from_secs(10),
                whole: Duration::from_secs(30),
            },
            forward_timeouts: Timeouts {
                connect: Duration::from_secs(5),
                first_byte: Duration::from_secs(300),
                between_bytes: Duration::from_secs(60),
                whole: Duration::MAX,
            },
            retries: Retries {
                attempts: 3,
                base: Duration::from_millis(250),
                cap: Duration::from_secs(4),
                retry_after_max: Duration::from_secs(10),
                budget_ratio: 0.1,
                budget_reserve: 10.0,
            },
            breaker: BreakerSettings { failures: 5, open_for: Duration::from_secs(10) },
            max_concurrent: 256,
            queue_wait: Duration::from_secs(2),
            max_answer_bytes: 2 * 1024 * 1024,
            known_models: KnownModels::default(),
            key_header: KeyHeader::default(),
            extra_ca: None,
        }
    }

    /// The address without a trailing slash, if it is one that can be asked.
    pub(crate) fn checked_base_url(&self) -> Result<String, ChatError> {
        let bad = || {
            ChatError::refused(
                "`GROQ_BASE_URL` must be an absolute http or https URL without a user, a query \
                 and a fragment",
            )
        };
        let url = reqwest::Url::parse(self.base_url.trim()).map_err(|_| bad())?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !plain {
            return Err(bad());
        }
        let url = url.as_str().trim_end_matches('/');
        // People copy the address of the endpoint as often as that of the API.
        let url = ["/chat/completions", "/messages", "/responses"]
            .iter()
            .find_map(|endpoint| url.strip_suffix(endpoint))
            .unwrap_or(url);
        Ok(url.trim_end_matches('/').to_owned())
    }

    /// The key without the white space that files and shells leave around it.
    pub(crate) fn checked_key(&self) -> Result<&str, ChatError> {
        let key = self.api_key.expose_secret().trim();
        if key.is_empty() {
            return Err(ChatError::refused(
                "`GROQ_API_KEY` is empty; set it to the provider's key",
            ));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ChatError::refused("`GROQ_API_KEY` holds a character that no key has"));
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(base_url: &str, key: &str) -> Settings {
        Settings { base_url: base_url.to_owned(), ..Settings::new(key.into()) }
    }

    #[test]
    fn an_address_that_cannot_be_asked_is_refused() {
        for bad in
            ["", "api.groq.com", "ftp://x/", "https://u:p@x/v1", "https://x/v1?k=1", "https://x/#a"]
        {
            let refused = settings(bad, "k").checked_base_url();
            assert!(matches!(refused, Err(ChatError::Refused { .. })), "{bad}");
        }
        let slash = settings(" http://127.0.0.1:9/v1/ ", "k").checked_base_url();
        assert_eq!(slash.unwrap(), "http://127.0.0.1:9/v1");
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_refused_without_being_told() {
        for bad in ["", "  \n", "gsk_ab cd", "gsk_\u{e4}", "gsk_a\r\nX-Evil: 1"] {
            let message = settings(GROQ_BASE_URL, bad).checked_key().unwrap_err().to_string();
            assert!(!message.contains("gsk_"), "{message}");
        }
        assert_eq!(settings(GROQ_BASE_URL, "gsk_abc\n").checked_key().unwrap(), "gsk_abc");
    }

    #[test]
    fn debug_of_the_settings_hides_the_key() {
        assert!(!format!("{:?}", settings(GROQ_BASE_URL, "gsk_hidden")).contains("hidden"));
    }
}
