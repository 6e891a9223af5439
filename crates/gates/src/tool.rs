//! Tool calls: the meaning of their fields, and the gates that judge a tool as such and its commands.

mod command_gate;
mod matcher;
mod tools_gate;
mod view;

pub use command_gate::CommandGate;
pub(crate) use matcher::{Matcher, Matchers};
pub use tools_gate::ToolsGate;
pub use view::{CommandField, ToolView};

use life_agent_domain::governance::gate::{Effect, Reason};
use life_agent_policy::document::ActionEffect;

/// The effect of a finding; `None` where there is nothing to record.
pub(crate) fn finding_effect(effect: ActionEffect) -> Option<Effect> {
    match effect {
        ActionEffect::Allow => None,
        ActionEffect::Observe => Some(Effect::Observe),
        ActionEffect::Ask => Some(Effect::Ask),
        ActionEffect::Deny => Some(Effect::Deny),
    }
}

/// The reason of a refusal; `None` where the request may proceed.
pub(crate) fn refusal_reason(effect: Effect, denied: Reason) -> Option<Reason> {
    match effect {
        Effect::Deny => Some(denied),
        Effect::Ask => Some(Reason::ApprovalRequired),
        Effect::Observe => None,
    }
}

/// The severity of an effect, for comparisons.
pub(crate) fn severity(effect: Effect) -> u8 {
    match effect {
        Effect::Observe => 0,
        Effect::Ask => 1,
        Effect::Deny => 2,
    }
}

#[cfg(test)]
mod tests;
