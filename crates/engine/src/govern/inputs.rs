//! The inputs of the gates: for live requests from the service, for a replay from constants.

use life_agent_domain::governance::command::Command;
use life_agent_domain::governance::gate::{GateInputs, KillSwitch, Rate, TargetFact};
use life_agent_domain::governance::ids::Principal;

use crate::policy::ActivePolicy;

/// Whether a request counts against its caller's rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metered {
    Yes,
    No,
}

/// The facts that depend on the moment.
pub(crate) trait InputSource {
    /// The kill switch, or the stop of the request's principal or agent.
    fn kill_switch(&self, principal: &Principal, command: Command<'_>) -> KillSwitch;
}

/// A replay: the decision must not depend on the moment.
pub(crate) struct ReplayInputs;

impl InputSource for ReplayInputs {
    fn kill_switch(&self, _: &Principal, _: Command<'_>) -> KillSwitch {
        KillSwitch::Off
    }
}

/// Gathers the inputs for a command that was counted and whose targets have been looked up. The answer of a remote OPA is
/// not among them, because it is queried last.
pub(crate) fn gather(
    source: &impl InputSource,
    policy: &ActivePolicy,
    principal: &Principal,
    command: Command<'_>,
    rate: Rate,
    targets: Vec<TargetFact>,
) -> GateInputs {
    let intent = match command {
        Command::Turn(turn) => Some(policy.profile.intents.of(&turn.input).to_owned()),
        _ => None,
    };
    GateInputs {
        kill_switch: Some(source.kill_switch(principal, command)),
        rate: Some(rate),
        targets: Some(targets),
        opa: None,
        intent,
    }
}
