//! Which provider serves a request, and the clients of all providers.

use std::collections::HashMap;
use std::sync::Arc;

use life_agent_gates::SecretRedactor;
use life_agent_groq::{
    Client, ForwardError, ForwardRequest, Forwarded, KeyHeader, KnownModels, Settings,
};
use life_agent_policy::llm::{Dialect, Provider};
use parking_lot::Mutex;

use super::endpoint::Endpoint;
use super::service::ProxyService;
use crate::chat::{DEFAULT_PROVIDER, OwnKey, with_version};
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
    /// The API that it speaks.
    pub(super) dialect: Dialect,
    /// Fields without a counterpart that translated requests leave out.
    pub(super) drop: Arc<[String]>,
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
        settings.base_url = with_version(&provider.base_url, provider.dialect);
        self.limits.apply(&mut settings);
        settings.known_models = self.known_models.clone();
        if provider.dialect == Dialect::Anthropic {
            settings.key_header = KeyHeader::XApiKey;
        }
        let client = Client::new(settings, Arc::new(SecretRedactor)).map_err(|error| {
            let message = format!("the provider `{}` cannot be called: {error}", provider.name);
            EngineError::LlmFailed { message }
        })?;
        let upstream = Upstream {
            name: provider.name.as_str().into(),
            client,
            key: own,
            dialect: provider.dialect,
            drop: provider.drop.as_slice().into(),
        };
        let mut clients = self.clients.lock();
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(provider.clone(), upstream.clone());
        Ok(upstream)
    }
}

impl ProxyService {
    /// The provider for a model: the first of the policy that serves it in the endpoint's API, else the
    /// first whose API requests are translated to, else that of `GROQ_BASE_URL`.
    pub(crate) fn upstream(
        &self,
        policy: &ActivePolicy,
        endpoint: Endpoint,
        model: &str,
    ) -> Result<Upstream, EngineError> {
        let providers = &policy.snapshot.policy.llm.providers;
        let serving = || providers.iter().filter(|provider| provider.serves(model));
        let same = |provider: &&Provider| provider.dialect.serves(endpoint.dialect());
        let other = || serving().next().filter(|_| endpoint.is_conversation());
        if let Some(provider) = serving().find(same).or_else(other) {
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
        Some(Upstream {
            name: DEFAULT_PROVIDER.into(),
            client,
            key: Arc::clone(&provider.key),
            dialect: provider.dialect,
            drop: Arc::default(),
        })
    }
}
