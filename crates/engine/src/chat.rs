//! `chat`: talk to the model, once one is configured.

use life_agent_domain::command::Chat;

use crate::engine::{Caller, Engine};
use crate::error::EngineError;

/// Whether a model answers.
#[derive(Debug, Clone, serde::Serialize)]
pub struct LlmStatus {
    /// Whether a provider and a key are configured.
    pub configured: bool,
    /// The first characters of the key, the rest masked; none without a key.
    pub key_prefix: Option<String>,
    /// The model that the policy names.
    pub model_default: String,
}

impl Engine {
    /// Sends a conversation through the gates. No provider can be configured yet, so what passes them
    /// is answered with [`EngineError::LlmUnconfigured`].
    pub async fn chat(&self, caller: &Caller, chat: Chat) -> Result<std::convert::Infallible, EngineError> {
        let policy = self.policy.in_force();
        self.permit(caller, &policy, chat).await?;
        Err(EngineError::LlmUnconfigured)
    }

    /// Whether a model answers, and which.
    pub fn llm_status(&self) -> LlmStatus {
        let policy = self.policy.in_force();
        LlmStatus {
            configured: false,
            key_prefix: None,
            model_default: policy.snapshot.policy.llm.model.clone(),
        }
    }
}
