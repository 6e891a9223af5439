//! The parsed commands of a call, for its row and its response.

use std::sync::Arc;

use life_agent_domain::governance::command::{Gated, Tool};
use life_agent_gates::tool::ToolView;
use serde_json::value::{RawValue, to_raw_value};

use super::{Governor, MAX_ON_WORKER};
use crate::error::EngineError;
use crate::policy::ActivePolicy;

impl Governor {
    /// The parsed commands of a redacted call. `known` is the view of the gates, if they judged this call as it is.
    pub(crate) async fn commands(
        &self,
        policy: &Arc<ActivePolicy>,
        tool: &Tool,
        known: Option<&ToolView>,
    ) -> Result<Option<Box<RawValue>>, EngineError> {
        if let Some(view) = known {
            return Ok(shown(policy, view));
        }
        if tool.view().weight() <= MAX_ON_WORKER {
            return Ok(shown(policy, &ToolView::of(&policy.snapshot, tool)));
        }
        let (policy, tool) = (Arc::clone(policy), tool.clone());
        self.apart(move || shown(&policy, &ToolView::of(&policy.snapshot, &tool))).await
    }
}

fn shown(policy: &ActivePolicy, view: &ToolView) -> Option<Box<RawValue>> {
    if view.commands.is_empty() {
        return None;
    }
    to_raw_value(&view.commands_without_secrets(policy.chain.redactor())).ok()
}
