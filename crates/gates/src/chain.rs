//! The order of the gates.

use std::sync::Arc;

use life_agent_domain::governance::gate::{Chain, Gate};
use life_agent_domain::governance::redaction::Redact;
use life_agent_policy::snapshot::Snapshot;

use crate::kill_switch::KillSwitchGate;
use crate::limits::RateGate;
use crate::opa::{Opa, OpaGate};
use crate::paths::PathsGate;
use crate::redact::{PolicyRedactor, SecretRedactor};
use crate::risk::RiskGate;
use crate::rules::RulesGate;
use crate::tool::{CommandGate, ToolsGate};

/// The parts of a chain that the policy does not define.
#[derive(Clone, Default)]
pub struct ChainOptions {
    /// Who answers for the OPA gate; none leaves it out.
    pub opa: Option<Opa>,
}

/// The gates for one policy, in the order in which they judge. Cheap and total refusals come first;
/// redaction ends the chain whatever the policy says about the category `secrets`.
pub fn chain(snapshot: Arc<Snapshot>, options: ChainOptions) -> Chain {
    let policy_hash = snapshot.hash.clone();
    let own = PolicyRedactor::new(Arc::clone(&snapshot));
    let redactor: Box<dyn Redact> = match own.has_own_patterns() {
        true => Box::new(own),
        false => Box::new(SecretRedactor),
    };
    let mut rest: Vec<Box<dyn Gate>> = vec![
        Box::new(RateGate),
        Box::new(ToolsGate::new(Arc::clone(&snapshot))),
        Box::new(CommandGate::new(Arc::clone(&snapshot))),
        Box::new(RiskGate::new(Arc::clone(&snapshot))),
        Box::new(PathsGate::new(Arc::clone(&snapshot))),
        Box::new(RulesGate::new(snapshot)),
    ];
    if let Some(opa) = options.opa {
        rest.push(Box::new(OpaGate { opa, policy_hash }));
    }
    Chain::new(Box::new(KillSwitchGate), rest, redactor)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
