//! The provider of the model.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use life_agent_domain::governance::redaction::{Redact, redact_owned};
use life_agent_gates::SecretRedactor;
use life_agent_groq::{
    Client, ClientStatus, GROQ_BASE_URL, KeyHeader, KnownModels, Model, Settings,
};
use life_agent_policy::llm::Dialect;
use secrecy::{ExposeSecret, SecretString};

use crate::config::{CallLimits, LlmConfig};
use crate::error::OpenError;
use crate::policy::ActivePolicy;

/// Time limit of one call of an embedding program's model.
const CUSTOM_TIMEOUT: Duration = Duration::from_secs(30);

/// A configured provider.
pub(crate) struct Provider {
    pub(crate) model: Arc<dyn Model>,
    /// The client of the configured provider; `None` for a model of an embedding program.
    pub(crate) client: Option<Client>,
    /// Host and port of its address.
    pub(crate) base_host: String,
    /// The base of the seeds of requests.
    pub(crate) seed: u64,
    /// Time limit of one call, retries included.
    pub(crate) timeout: Duration,
    pub(crate) key: Arc<OwnKey>,
    /// The API that it speaks.
    pub(crate) dialect: Dialect,
}

impl Provider {
    pub(crate) fn open(
        config: &LlmConfig,
        limits: &CallLimits,
        known_models: KnownModels,
        seed: u64,
    ) -> Result<Self, OpenError> {
        let base_url = config.base_url.clone().unwrap_or_else(|| GROQ_BASE_URL.to_owned());
        let mut settings = Settings::new(config.api_key.clone());
        limits.apply(&mut settings);
        if let Some(timeout) = config.timeout {
            let timeouts = &mut settings.timeouts;
            timeouts.whole = timeout;
            // A reasoning model may need nearly all of the time before its first byte.
            timeouts.first_byte = timeout.mul_f64(5.0 / 6.0);
        }
        settings.known_models = known_models;
        let dialect = config.dialect.unwrap_or_else(|| known_dialect(&base_url));
        settings.base_url = with_version(&base_url, dialect);
        if dialect == Dialect::Anthropic {
            settings.key_header = KeyHeader::XApiKey;
        }
        let host = reqwest::Url::parse(settings.base_url.trim()).ok().and_then(|url| {
            let host = url.host_str()?.to_owned();
            Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
        });
        let timeout = settings.timeouts.whole;
        let client = Client::new(settings, Arc::new(SecretRedactor))
            .map_err(|error| OpenError::Llm(error.to_string()))?;
        let key = Arc::new(OwnKey::new(&config.api_key));
        let model: Arc<dyn Model> = Arc::new(client.clone());
        let (client, base_host) = (Some(client), host.unwrap_or_default());
        Ok(Self { model, client, base_host, seed, timeout, key, dialect })
    }

    /// A provider around the model of an embedding program.
    pub(crate) fn custom(model: Arc<dyn Model>, seed: u64) -> Self {
        let key = Arc::new(OwnKey(SecretString::from(String::new())));
        let base_host = String::new();
        let (client, timeout, dialect) = (None, CUSTOM_TIMEOUT, Dialect::Any);
        Self { model, client, base_host, seed, timeout, key, dialect }
    }

    pub(crate) fn status(&self) -> Option<ClientStatus> {
        self.client.as_ref().map(Client::status)
    }

    /// The redactor of replies; also removes the provider's key.
    pub(crate) fn redactor<'r>(&'r self, policy: &'r ActivePolicy) -> Both<'r> {
        Both(self.key.as_ref(), policy.chain.redactor())
    }
}

/// Anthropic's own SDKs take the address without the version.
pub(crate) fn with_version(url: &str, dialect: Dialect) -> String {
    let url = url.trim().trim_end_matches('/');
    let bare = url.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
    if dialect == Dialect::Anthropic && bare { format!("{url}/v1") } else { url.to_owned() }
}

/// The API of providers that are known to have one only. Other servers have their own choice of both.
fn known_dialect(base_url: &str) -> Dialect {
    let url = reqwest::Url::parse(base_url.trim()).ok();
    match url.as_ref().and_then(reqwest::Url::host_str) {
        Some("api.groq.com" | "api.openai.com") => Dialect::Openai,
        Some("api.anthropic.com") => Dialect::Anthropic,
        _ => Dialect::Any,
    }
}

/// Removes the provider's key from its replies: no pattern may know its shape.
pub(crate) struct OwnKey(SecretString);

impl OwnKey {
    pub(crate) fn new(key: &SecretString) -> Self {
        Self(key.expose_secret().trim().into())
    }
}

impl Redact for OwnKey {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let key = self.0.expose_secret();
        if !key.is_empty() && text.contains(key) {
            Cow::Owned(text.replace(key, "[redacted:api_key]"))
        } else {
            Cow::Borrowed(text)
        }
    }
}

/// Two redactors in sequence.
pub(crate) struct Both<'r>(pub(crate) &'r dyn Redact, pub(crate) &'r dyn Redact);

impl Redact for Both<'_> {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.0.redact(text) {
            Cow::Borrowed(same) => self.1.redact(same),
            Cow::Owned(changed) => Cow::Owned(redact_owned(changed, self.1)),
        }
    }
}
