//! The engine's own metrics, with their handles resolved once.

use std::time::Instant;

use life_agent_domain::governance::command::Kind;
use life_agent_domain::governance::gate::{Effect, Reason, Trace, Watch};
use metrics::{Counter, Histogram, counter, histogram};

/// Handles of what is counted on every request.
pub(crate) struct Meters {
    actions: [Counter; Kind::ALL.len()],
    seconds: [Histogram; Kind::ALL.len()],
    denied: [Counter; Reason::ALL.len()],
    would_deny: [Counter; Reason::ALL.len()],
    /// Time from the call of `plan` to its answer.
    pub(crate) plan_seconds: Histogram,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            actions: Kind::ALL.map(|kind| counter!("actions_total", "kind" => kind.as_str())),
            seconds: Kind::ALL.map(|kind| histogram!("act_seconds", "kind" => kind.as_str())),
            denied: Reason::ALL
                .map(|reason| counter!("policy_denied_total", "reason" => reason.as_str())),
            would_deny: Reason::ALL
                .map(|reason| counter!("policy_would_deny_total", "reason" => reason.as_str())),
            plan_seconds: histogram!("plan_seconds"),
        }
    }

    /// A request of this kind was carried out, begun at `begun`.
    pub(crate) fn done(&self, kind: Kind, begun: Instant) {
        self.actions[kind as usize].increment(1);
        self.seconds[kind as usize].record(begun.elapsed());
    }

    /// So many acts were done by the model in a turn, which is timed as a whole.
    pub(crate) fn acts_in_turn(&self, acts: usize) {
        self.actions[Kind::Act as usize].increment(acts as u64);
    }

    /// A request passed the gates.
    pub(crate) fn permitted(&self, trace: &Trace) {
        if let Some(reason) = would_deny(trace) {
            self.would_deny[reason as usize].increment(1);
        }
    }

    /// A request was refused.
    pub(crate) fn denied(&self, reason: Reason) {
        self.denied[reason as usize].increment(1);
    }
}

/// Why a request that passed would have been refused if everything observed were enforced; the first
/// finding decides, as it would.
fn would_deny(trace: &Trace) -> Option<Reason> {
    let observed = trace.findings.iter().find(|finding| finding.effect == Effect::Observe)?;
    Some(if observed.category == "rule" { Reason::RuleDeny } else { Reason::RiskPattern })
}

/// `gate_seconds{gate}`: times every gate of a chain, whose names are known when it is made.
pub(crate) struct GateTimer {
    gates: Vec<(&'static str, Histogram)>,
}

impl GateTimer {
    pub(crate) fn new(gates: impl Iterator<Item = &'static str>) -> Self {
        let timed = |name| (name, histogram!("gate_seconds", "gate" => name));
        Self { gates: gates.map(timed).collect() }
    }
}

impl Watch for GateTimer {
    fn gate(&self, name: &'static str, check: &mut dyn FnMut()) {
        let begun = Instant::now();
        check();
        if let Some((_, seconds)) = self.gates.iter().find(|(gate, _)| *gate == name) {
            seconds.record(begun.elapsed());
        }
    }
}
