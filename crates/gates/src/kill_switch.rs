//! The kill switch gate: while the switch is on, nothing that acts passes.

use life_agent_domain::governance::command::Subject;
use life_agent_domain::governance::gate::{Gate, GateInputs, KillSwitch, Reason, Refusal, Verdict};

/// The name of the gate.
pub const NAME: &str = "kill_switch";

/// Refuses everything while the kill switch is on, or when its state is unknown.
#[derive(Debug, Clone, Copy)]
pub struct KillSwitchGate;

impl Gate for KillSwitchGate {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self, _subject: &Subject<'_>, facts: &GateInputs) -> Verdict {
        let Some(state) = &facts.kill_switch else {
            let message = "the state of the kill switch is unknown; contact the operator";
            return Verdict::refuse(Refusal::new(Reason::GateUnavailable, message));
        };
        refusal(state).map_or_else(Verdict::pass, Verdict::refuse)
    }
}

/// The refusal of a request in this state of the switch; `None` if it is off.
pub fn refusal(state: &KillSwitch) -> Option<Refusal> {
    let reason = match state {
        KillSwitch::Off => return None,
        KillSwitch::On { .. } => Reason::KillSwitch,
        KillSwitch::Stopped { .. } => Reason::Stopped,
    };
    Some(Refusal { reason, rule: None, message: state.message(), retry_after: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::testing::{subject, turn};

    #[test]
    fn only_a_switch_known_to_be_off_lets_anything_pass() {
        let on = |reason: &str| Some(KillSwitch::On { reason: reason.to_owned() });
        let stopped = |reason: &str| {
            let what = "the agent `a`".to_owned();
            Some(KillSwitch::Stopped { what, reason: reason.to_owned() })
        };
        for (kill_switch, said) in [
            (Some(KillSwitch::Off), None),
            (on(""), Some("the kill switch is on;")),
            (on("drill"), Some("the kill switch is on (drill)")),
            (stopped("drill"), Some("the agent `a` is stopped (drill)")),
            (None, Some("is unknown")),
        ] {
            let facts = GateInputs { kill_switch: kill_switch.clone(), ..GateInputs::default() };
            let refusal = KillSwitchGate.check(&subject(&turn("hello")), &facts).refusal;
            match (refusal, said) {
                (None, None) => {}
                (Some(refusal), Some(said)) => {
                    let reason = match kill_switch {
                        Some(KillSwitch::Stopped { .. }) => Reason::Stopped,
                        Some(_) => Reason::KillSwitch,
                        None => Reason::GateUnavailable,
                    };
                    assert_eq!(refusal.reason, reason);
                    assert!(refusal.message.contains(said), "{}", refusal.message);
                }
                (refusal, _) => panic!("{kill_switch:?}: {refusal:?}"),
            }
        }
    }
}
