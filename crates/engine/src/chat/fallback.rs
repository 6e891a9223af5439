//! Going on without a model that failed.

use life_agent_domain::governance::event::Fallback;
use life_agent_policy::llm::OnFailure;

use crate::error::EngineError;
use crate::policy::ActivePolicy;

/// The reason to carry out a request without the model.
///
/// # Errors
/// The error itself, if the policy says `fail` or something other than the model failed.
pub(crate) fn fallback(policy: &ActivePolicy, error: EngineError) -> Result<Fallback, EngineError> {
    match error.model_failure() {
        Some(code) if goes_on(policy) => {
            let message = policy.chain.redactor().redact(&error.to_string()).into_owned();
            Ok(Fallback { code: code.to_owned(), message })
        }
        _ => Err(error),
    }
}

/// Whether turns and plans go on without a model that fails.
pub(crate) fn goes_on(policy: &ActivePolicy) -> bool {
    policy.snapshot.policy.llm.on_failure == OnFailure::Offline
}
