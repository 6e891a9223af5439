//! Gates, the chain that orders them, and the permit that only a passed chain issues.

mod chain;
pub(crate) mod finding;
mod inputs;
mod permit;
mod reason;

pub use chain::{Chain, GateObserver, NoopObserver};
pub use finding::{Effect, Finding, GateNotes, Trace};
pub use inputs::{GateInputs, KillSwitch, OpaAnswer, Rate, RateLimit, TargetFact};
pub use permit::{Denial, Permit, evaluate};
pub use reason::{RESPONSE_WITHHELD, Reason, Refusal};

use crate::governance::command::Subject;

/// One check in the chain. Gates are pure: everything that the subject does not show is in the
/// [`GateInputs`].
///
/// ```
/// use life_agent_domain::governance::command::{Command, Subject};
/// use life_agent_domain::governance::gate::{Gate, GateInputs, Reason, Refusal, Verdict};
///
/// /// Refuses turns that shout.
/// struct NoShouting;
///
/// impl Gate for NoShouting {
///     fn name(&self) -> &'static str {
///         "no_shouting"
///     }
///     fn check(&self, subject: &Subject<'_>, _: &GateInputs) -> Verdict {
///         match subject.command {
///             Command::Turn(turn) if turn.input.ends_with("!!!") => {
///                 Verdict::refuse(Refusal::new(Reason::RuleDeny, "end the sentence with a period"))
///             }
///             _ => Verdict::pass(),
///         }
///     }
/// }
/// ```
pub trait Gate: Send + Sync {
    /// The name in rows, responses and `gate_seconds{gate}`.
    fn name(&self) -> &'static str;
    /// Judges the subject.
    fn check(&self, subject: &Subject<'_>, inputs: &GateInputs) -> Verdict;
}

impl<G: Gate + ?Sized> Gate for std::sync::Arc<G> {
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn check(&self, subject: &Subject<'_>, inputs: &GateInputs) -> Verdict {
        (**self).check(subject, inputs)
    }
}

/// The result of one gate. The default passes without findings.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Findings, enforced or observed.
    pub findings: Vec<Finding>,
    /// Ids of the policy rules that matched.
    pub applied: Vec<String>,
    /// Set if the gate refuses the request.
    pub refusal: Option<Refusal>,
}

impl Verdict {
    /// Passes the request to the next gate.
    pub fn pass() -> Self {
        Self::default()
    }

    /// Refuses the request without a finding in a text.
    pub fn refuse(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), ..Self::default() }
    }
}

#[cfg(test)]
mod tests;
