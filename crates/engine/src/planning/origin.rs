//! The author of a plan's edits, or the reason why there are none.

use life_agent_domain::governance::event::{Fallback, ModelTurn};
use life_agent_plans::record::DraftedBy;

use crate::chat::goes_on;
use crate::error::{EngineError, counted};
use crate::policy::ActivePolicy;

/// The author of a plan's edits; the caller if neither field is set.
#[derive(Default)]
pub(super) struct Origin {
    /// The model that wrote them.
    pub(super) drafted_by: Option<DraftedBy>,
    /// Why the model wrote none, so that the plan is a statement of intent.
    pub(super) fallback: Option<Fallback>,
    /// The turn of the model that asked for the plan.
    pub(super) asked_by: Option<ModelTurn>,
}

impl Origin {
    /// The origin of a plan without the draft that it asked for.
    pub(super) fn without(fallback: Fallback) -> Self {
        Self { fallback: Some(fallback), ..Self::default() }
    }
}

/// The reason to make a plan without a draft after the last draft of the model had faults.
///
/// # Errors
/// The error itself, if the policy says `fail`, or if the faults are the caller's.
pub(super) fn no_valid_draft(
    policy: &ActivePolicy,
    error: EngineError,
) -> Result<Fallback, EngineError> {
    match &error {
        EngineError::PlanInvalid { code, rounds, faults } if *rounds > 0 && goes_on(policy) => {
            let mut codes: Vec<_> = faults.iter().map(|fault| fault.code.as_str()).collect();
            codes.sort_unstable();
            codes.dedup();
            // The faults themselves quote the draft, which has no place in the plan.
            let message = format!(
                "none of the {rounds} drafts of the model is valid; the last one has {}: `{}`",
                counted(faults.len()),
                codes.join("`, `")
            );
            Ok(Fallback { code: (*code).to_owned(), message })
        }
        _ => Err(error),
    }
}
