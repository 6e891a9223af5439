//! The engine's metrics, with their handles resolved once.

mod labels;

use std::time::Instant;

use life_agent_domain::governance::command::Kind;
use life_agent_domain::governance::event::Fallback;
use life_agent_domain::governance::gate::{Effect, GateObserver, Reason, Trace};
use metrics::{Counter, Histogram, Label, counter, histogram};

pub use labels::MetricLabels;
use labels::Selected;
pub(crate) use labels::{BoundedValues, Whose};

/// The reasons for which requests go on without the model, for the series that exist from the start.
const FALLBACKS: [(Kind, &str); 7] = [
    (Kind::Turn, "llm_failed"),
    (Kind::Turn, "timeout"),
    (Kind::Turn, "overloaded"),
    (Kind::Plan, "llm_failed"),
    (Kind::Plan, "timeout"),
    (Kind::Plan, "overloaded"),
    (Kind::Plan, "plan_invalid"),
];

/// The metrics of every request.
pub(crate) struct Meters {
    allowed: [Requests; Kind::ALL.len()],
    refused: [Requests; Kind::ALL.len()],
    denied: [Counter; Reason::ALL.len()],
    would_deny: [Counter; Reason::ALL.len()],
    /// Duration of plan requests.
    pub(crate) plan_seconds: Histogram,
    /// Counts in place of the counters above if the operator selects further labels.
    selected: Option<Selected>,
}

/// The counters that may have further labels.
const ACTIONS: &str = "actions_total";
const DENIALS: &str = "policy_denied_total";
/// The outcomes of requests.
const ALLOWED: &str = "allowed";
const DENIED: &str = "denied";

/// The requests of one kind with one outcome.
struct Requests {
    count: Counter,
    seconds: Histogram,
}

impl Requests {
    fn new(kind: Kind, outcome: &'static str) -> Self {
        let kind = kind.as_str();
        Self {
            count: counter!(ACTIONS, "kind" => kind, "outcome" => outcome),
            seconds: histogram!("act_seconds", "kind" => kind, "outcome" => outcome),
        }
    }
}

impl Meters {
    pub(crate) fn new(labels: MetricLabels) -> Self {
        for (kind, code) in FALLBACKS {
            fallbacks(kind, code).increment(0);
        }
        Self {
            allowed: Kind::ALL.map(|kind| Requests::new(kind, ALLOWED)),
            refused: Kind::ALL.map(|kind| Requests::new(kind, DENIED)),
            denied: Reason::ALL.map(|reason| counter!(DENIALS, "reason" => reason.as_str())),
            would_deny: Reason::ALL
                .map(|reason| counter!("policy_would_deny_total", "reason" => reason.as_str())),
            plan_seconds: histogram!("plan_seconds"),
            selected: Selected::new(labels),
        }
    }

    /// Counts a completed request of this kind that started at `started`.
    pub(crate) fn done(&self, kind: Kind, whose: Whose<'_>, started: Instant) {
        self.add(&self.allowed[kind as usize], (kind, ALLOWED), whose, started);
    }

    /// Counts a request of this kind that arrived at `started` and whose denial is recorded.
    pub(crate) fn refused(&self, kind: Kind, whose: Whose<'_>, started: Instant) {
        self.add(&self.refused[kind as usize], (kind, DENIED), whose, started);
    }

    fn add(
        &self,
        requests: &Requests,
        of: (Kind, &'static str),
        whose: Whose<'_>,
        started: Instant,
    ) {
        requests.seconds.record(started.elapsed());
        match &self.selected {
            None => requests.count.increment(1),
            Some(selected) => selected.counter(ACTIONS, labels_of(of), whose).increment(1),
        }
    }

    /// Counts a request that was carried out without the model.
    pub(crate) fn fell_back(&self, kind: Kind, fallback: &Fallback) {
        fallbacks(kind, &fallback.code).increment(1);
    }

    /// Counts the acts of the model in a turn. The turn is timed as a whole.
    pub(crate) fn acts_in_turn(&self, acts: usize, whose: Whose<'_>) {
        let acts = acts as u64;
        match &self.selected {
            None => self.allowed[Kind::Act as usize].count.increment(acts),
            Some(_) if acts == 0 => {}
            Some(selected) => {
                selected.counter(ACTIONS, labels_of((Kind::Act, ALLOWED)), whose).increment(acts);
            }
        }
    }

    /// Counts a request that passed the gates.
    pub(crate) fn permitted(&self, trace: &Trace) {
        if let Some(reason) = would_deny(trace) {
            self.would_deny[reason as usize].increment(1);
        }
    }

    /// Counts a refusal, whether or not it can be recorded.
    pub(crate) fn denied(&self, reason: Reason, whose: Whose<'_>) {
        match &self.selected {
            None => self.denied[reason as usize].increment(1),
            Some(selected) => {
                let labels = vec![Label::from_static_parts("reason", reason.as_str())];
                selected.counter(DENIALS, labels, whose).increment(1);
            }
        }
    }
}

fn labels_of((kind, outcome): (Kind, &'static str)) -> Vec<Label> {
    vec![
        Label::from_static_parts("kind", kind.as_str()),
        Label::from_static_parts("outcome", outcome),
    ]
}

fn fallbacks(kind: Kind, code: &str) -> Counter {
    counter!("llm_fallbacks_total", "kind" => kind.as_str(), "reason" => code.to_owned())
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
