//! The engine's metrics, with their handles resolved once.

use std::time::Instant;

use life_agent_domain::governance::command::Kind;
use life_agent_domain::governance::gate::{Effect, GateObserver, Reason, Trace};
use metrics::{Counter, Histogram, counter, histogram};

/// The metrics of every request.
pub(crate) struct Meters {
    actions: [Counter; Kind::ALL.len()],
    seconds: [Histogram; Kind::ALL.len()],
    denied: [Counter; Reason::ALL.len()],
    would_deny: [Counter; Reason::ALL.len()],
    /// Duration of plan requests.
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

    /// Counts a completed request of this kind that started at `started`.
    pub(crate) fn done(&self, kind: Kind, started: Instant) {
        self.actions[kind as usize].increment(1);
        self.seconds[kind as usize].record(started.elapsed());
    }

    /// Counts the acts of the model in a turn. The turn is timed as a whole.
    pub(crate) fn acts_in_turn(&self, acts: usize) {
        self.actions[Kind::Act as usize].increment(acts as u64);
    }

    /// Counts a request that passed the gates.
    pub(crate) fn permitted(&self, trace: &Trace) {
        if let Some(reason) = would_deny(trace) {
            self.would_deny[reason as usize].increment(1);
        }
    }

    /// Counts a refused request.
    pub(crate) fn denied(&self, reason: Reason) {
        self.denied[reason as usize].increment(1);
    }
}

/// The reason for which a permitted request would be refused if all observed findings were enforced. The
/// first finding decides.
fn would_deny(trace: &Trace) -> Option<Reason> {
    let observed = trace.findings.iter().find(|finding| finding.effect == Effect::Observe)?;
    Some(if observed.category == "rule" { Reason::RuleDeny } else { Reason::RiskPattern })
}

/// Measures `gate_seconds{gate}` for the gates of one chain.
pub(crate) struct GateTimer {
    gates: Vec<(&'static str, Histogram)>,
}

impl GateTimer {
    pub(crate) fn new(gates: impl Iterator<Item = &'static str>) -> Self {
        let timed = |name| (name, histogram!("gate_seconds", "gate" => name));
        Self { gates: gates.map(timed).collect() }
    }
}

impl GateObserver for GateTimer {
    fn gate(&self, name: &'static str, check: &mut dyn FnMut()) {
        let begun = Instant::now();
        check();
        if let Some((_, seconds)) = self.gates.iter().find(|(gate, _)| *gate == name) {
            seconds.record(begun.elapsed());
        }
    }
}
