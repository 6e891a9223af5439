//! Which provider serves a request, and the clients of all providers.

use std::collections::HashMap;
use std::sync::Arc;

use life_agent_gates::SecretRedactor;
use life_agent_groq::{
    Client, ForwardError, ForwardRequest, Forwarded, KeyHeader, KnownModels, Settings,
};
use life_agent_policy::llm::{Dialect, Provider};
use parking_lot::Mutex;

use super::service::ProxyService;
use crate::chat::{DEFAULT_PROVIDER, OwnKey};
use crate::config::{CallLimits, KeySource};
use crate::error::EngineError;
use crate::policy::ActivePolicy;

/// Clients that are kept; a policy has at most 32 providers.
const MAX_CLIENTS: usize = 64;
/// What a provider without a key gets in its place: servers on the same machine want none.
const NO_KEY: &str = "none";

/// A provider that is ready to be called.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) name: Arc<str>,
    pub(crate) client: Client,
    /// Removes the provider's own key from its responses.
    pub(crate) key: Arc<OwnKey>,
}

impl Upstream {
    pub(super) async fn forward(
        &self,
        request: &ForwardRequest,
    ) -> Result<Forwarded, ForwardError> {
        self.client.forward(request).await
    }
}

/// The clients of the policy's providers, which outlive reloads that do not change them.
pub(crate) struct Providers {
    limits: CallLimits,
    known_models: KnownModels,
    clients: Mutex<HashMap<Provider, Upstream>>,
}

impl Providers {
    pub(crate) fn new(limits: CallLimits, known_models: KnownModels) -> Self {
        Self { limits, known_models, clients: Mutex::default() }
    }

    fn upstream(&self, provider: &Provider) -> Result<Upstream, EngineError> {
        if let Some(known) = self.clients.lock().get(provider) {
            return Ok(known.clone());
        }
        let source = match (&provider.key_env, &provider.key_file) {
            (Some(name), _) => Some(KeySource::Env(name.clone())),
            (None, Some(path)) => Some(KeySource::File(path.into())),
            (None, None) => None,
        };
        let key = match &source {
            Some(source) => (self.limits.read_key)(source).ok_or_else(|| {
                let place = match source {
                    KeySource::Env(name) => format!("the environment variable `{name}`"),
                    KeySource::File(path) => format!("the file `{}`", path.display()),
                };
                let message = format!("the provider `{}` has no key; set {place}", provider.name);
                EngineError::LlmFailed { message }
            })?,
            None => NO_KEY.into(),
        };
        let own = Arc::new(OwnKey::new(&key));
        let mut settings = Settings::new(key);
        settings.base_url = base_url(provider);
        self.limits.apply(&mut settings);
        settings.known_models = self.known_models.clone();
        if provider.dialect == Dialect::Anthropic {
            settings.key_header = KeyHeader::XApiKey;
        }
        let client = Client::new(settings, Arc::new(SecretRedactor)).map_err(|error| {
            let message = format!("the provider `{}` cannot be called: {error}", provider.name);
            EngineError::LlmFailed { message }
        })?;
        let upstream = Upstream { name: provider.name.as_str().into(), client, key: own };
        let mut clients = self.clients.lock();
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(provider.clone(), upstream.clone());
        Ok(upstream)
    }
}

/// Anthropic's own SDKs take the address without the version.
fn base_url(provider: &Provider) -> String {
    let url = provider.base_url.trim().trim_end_matches('/');
    let bare = url.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
    if provider.dialect == Dialect::Anthropic && bare {
        format!("{url}/v1")
    } else {
        url.to_owned()
    }
}

impl ProxyService {
    /// The provider for a model: the first of the policy that serves it, else that of `GROQ_BASE_URL`.
    pub(crate) fn upstream(
        &self,
        policy: &ActivePolicy,
        dialect: Dialect,
        model: &str,
    ) -> Result<Upstream, EngineError> {
        let providers = &policy.snapshot.policy.llm.providers;
        let serves =
            |provider: &&Provider| provider.dialect.serves(dialect) && provider.serves(model);
        if let Some(provider) = providers.iter().find(serves) {
            return self.providers.upstream(provider);
        }
        self.default_upstream().ok_or(EngineError::LlmUnconfigured)
    }

    /// All providers of a policy that can be called, for the list of models.
    pub(super) fn upstreams(&self, policy: &ActivePolicy) -> Vec<Upstream> {
        let providers = policy.snapshot.policy.llm.providers.iter();
        let named = providers.filter_map(|provider| self.providers.upstream(provider).ok());
        named.chain(self.default_upstream()).collect()
    }

    /// The provider of the settings; none for a model of an embedding program, which speaks no HTTP.
    fn default_upstream(&self) -> Option<Upstream> {
        let provider = self.calls.provider.as_ref()?;
        let client = provider.client.clone()?;
        Some(Upstream { name: DEFAULT_PROVIDER.into(), client, key: Arc::clone(&provider.key) })
    }
}
