//! The service behind the proxy's use cases.

use std::sync::Arc;

use life_agent_groq::KnownModels;

use super::memory::RefusedTexts;
use super::providers::Providers;
use crate::chat::ModelCalls;
use crate::config::CallLimits;
use crate::govern::Governor;

/// Forwards requests to the providers. Clones share everything.
#[derive(Clone)]
pub(crate) struct ProxyService(Arc<Parts>);

/// What a proxy holds.
pub(crate) struct Parts {
    pub(super) calls: Arc<ModelCalls>,
    pub(super) governor: Arc<Governor>,
    pub(super) providers: Providers,
    pub(super) refused_texts: RefusedTexts,
    pub(super) max_messages: usize,
}

impl std::ops::Deref for ProxyService {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl ProxyService {
    pub(crate) fn new(
        calls: Arc<ModelCalls>,
        governor: Arc<Governor>,
        limits: CallLimits,
        known_models: KnownModels,
    ) -> Self {
        let max_messages = limits.max_messages;
        let providers = Providers::new(limits, known_models);
        let refused_texts = RefusedTexts::new();
        Self(Arc::new(Parts { calls, governor, providers, refused_texts, max_messages }))
    }
}
