//! Stands in for the embedded policy engine in builds without the feature `opa`.

use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::gate::OpaAnswer;

use super::{Module, deny};

const MISSING: &str = "this build has no embedded policy engine";

/// Compiled modules, which this build cannot have.
pub struct OpaPolicy(());

impl OpaPolicy {
    /// Refuses every module.
    ///
    /// # Errors
    /// Always: the build lacks the feature `opa`.
    pub fn compile(_modules: &[Module]) -> Result<Self, Vec<Fault>> {
        let help = "set the address of an OPA server, or build with the feature `opa`";
        Err(vec![Fault::new("opa", format!("{MISSING}; {help}"))])
    }

    /// Denies.
    pub fn decide(&self, _input: serde_json::Value) -> OpaAnswer {
        deny(MISSING)
    }
}
