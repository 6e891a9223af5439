//! The kill switch gate: while the switch is on, nothing that acts passes.

use life_agent_domain::governance::command::Subject;
use life_agent_domain::governance::gate::{Gate, GateInputs, KillSwitch, Reason, Refusal, Verdict};

/// Refuses everything while the kill switch is on, or when nobody knows whether it is.
#[derive(Debug, Clone, Copy)]
pub struct KillSwitchGate;

impl Gate for KillSwitchGate {
    fn name(&self) -> &'static str {
        "kill_switch"
    }

    fn check(&self, _subject: &Subject<'_>, facts: &GateInputs) -> Verdict {
        let message = match &facts.kill_switch {
            Some(KillSwitch::Off) => return Verdict::pass(),
            Some(KillSwitch::On { reason }) if reason.is_empty() => {
                "the kill switch is on; reading still works, acting does again once it is off"
                    .to_owned()
            }
            Some(KillSwitch::On { reason }) => format!(
                "the kill switch is on ({reason}); reading still works, acting does again once it is off"
            ),
            None => {
                let message = "the state of the kill switch is unknown; contact the operator";
                return Verdict::refuse(Refusal::new(Reason::GateUnavailable, message));
            }
        };
        Verdict::refuse(Refusal {
            reason: Reason::KillSwitch,
            rule: None,
            message,
            retry_after: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::testing::{subject, turn};

    #[test]
    fn only_a_switch_known_to_be_off_lets_anything_pass() {
        let on = |reason: &str| Some(KillSwitch::On { reason: reason.to_owned() });
        for (kill_switch, said) in [
            (Some(KillSwitch::Off), None),
            (on(""), Some("the kill switch is on;")),
            (on("drill"), Some("the kill switch is on (drill)")),
            (None, Some("is unknown")),
        ] {
            let facts = GateInputs { kill_switch: kill_switch.clone(), ..GateInputs::default() };
            let refusal = KillSwitchGate.check(&subject(&turn("hello")), &facts).refusal;
            match (refusal, said) {
                (None, None) => {}
                (Some(refusal), Some(said)) => {
                    let reason = if kill_switch.is_some() {
                        Reason::KillSwitch
                    } else {
                        Reason::GateUnavailable
                    };
                    assert_eq!(refusal.reason, reason);
                    assert!(refusal.message.contains(said), "{}", refusal.message);
                }
                (refusal, _) => panic!("{kill_switch:?}: {refusal:?}"),
            }
        }
    }
}
