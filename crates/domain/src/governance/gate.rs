//! Gates, the chain that puts them in order, and the permit that only a passed chain gives.

use serde::Serialize;

use crate::governance::command::{Gated, Kind, Subject};
use crate::governance::ids::Principal;
use crate::governance::redaction::{Redact, redact_owned};
use crate::governance::score;

/// One judge. Gates are pure: whatever they cannot see in the subject is in the [`GateInputs`].
pub trait Gate: Send + Sync {
    /// The name that rows, answers and `gate_seconds{gate}` show.
    fn name(&self) -> &'static str;
    /// What it found, and whether it refuses.
    fn check(&self, subject: &Subject<'_>, facts: &GateInputs) -> Verdict;
}

/// What a gate says. The default is "nothing found, go on".
#[derive(Debug, Default)]
pub struct Verdict {
    /// What it found, refusing or only observed.
    pub findings: Vec<Finding>,
    /// Ids of the policy rules that matched.
    pub applied: Vec<String>,
    /// Set when the request must not go on.
    pub refusal: Option<Refusal>,
}

impl Verdict {
    /// Nothing found; the next gate decides.
    pub fn pass() -> Self {
        Self::default()
    }

    /// Refused without a finding in a text.
    pub fn refuse(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), ..Self::default() }
    }
}

/// Why a request was refused: the label that metrics count and the code that answers carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A risk pattern in an enforced category was found.
    RiskPattern,
    /// A target lies outside what the policy allows.
    PathForbidden,
    /// The OPA gate did not say a clear yes.
    OpaDeny,
    /// A rule with the effect `deny` matched.
    RuleDeny,
    /// The caller asks more often than the limit allows.
    RateLimited,
    /// The kill switch is on.
    KillSwitch,
    /// A plan is larger than the policy allows.
    PlanLimit,
    /// The policy denies this tool call.
    ToolDenied,
    /// The policy asks a person before the request may proceed.
    ApprovalRequired,
}

impl Reason {
    /// All of them, so that counters exist before the first denial.
    pub const ALL: [Reason; 9] = [
        Reason::RiskPattern,
        Reason::PathForbidden,
        Reason::OpaDeny,
        Reason::RuleDeny,
        Reason::RateLimited,
        Reason::KillSwitch,
        Reason::PlanLimit,
        Reason::ToolDenied,
        Reason::ApprovalRequired,
    ];

    /// The label of `policy_denied_total{reason}`.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::RiskPattern => "risk_pattern",
            Reason::PathForbidden => "path_forbidden",
            Reason::OpaDeny => "opa_deny",
            Reason::RuleDeny => "rule_deny",
            Reason::RateLimited => "rate_limited",
            Reason::KillSwitch => "kill_switch",
            Reason::PlanLimit => "plan_limit",
            Reason::ToolDenied => "tool_denied",
            Reason::ApprovalRequired => "approval_required",
        }
    }

    /// The error code that the caller of a request of this kind gets. Every judgment of a tool call has
    /// the code `tool_denied`; the label still names the kind of judgment.
    pub fn code_for(self, kind: Kind) -> &'static str {
        let judged = matches!(
            self,
            Reason::RiskPattern | Reason::PathForbidden | Reason::OpaDeny | Reason::RuleDeny
        );
        if kind == Kind::Tool && judged { Reason::ToolDenied.code() } else { self.code() }
    }

    /// The error code that the caller gets, tool calls aside.
    pub fn code(self) -> &'static str {
        match self {
            Reason::RiskPattern => "prompt_risky",
            Reason::PlanLimit => "plan_invalid",
            other => other.as_str(),
        }
    }
}

/// A gate's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why, as a label and a code.
    pub reason: Reason,
    /// The rule, pattern or glob that decided, where one did.
    pub rule: Option<String>,
    /// What the caller may do instead; never repeats a secret.
    pub message: String,
    /// Seconds after which a retry may pass.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// Gates repeat no secret, but may name a field or a path that is one.
    fn redacted(self, redactor: &dyn Redact) -> Self {
        Self {
            rule: self.rule.map(|rule| redact_owned(rule, redactor)),
            message: redact_owned(self.message, redactor),
            ..self
        }
    }
}

/// What a policy wants done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Effect {
    /// It refuses the request.
    Deny,
    /// It refuses the request until a person approves it.
    Ask,
    /// It is only recorded: this is what would have been denied.
    Observe,
}

/// Something a gate found in a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// The risk category, or `rule` for the policy's own rules.
    pub category: &'static str,
    /// The id of the pattern or rule.
    pub rule: String,
    /// What the policy does about it.
    pub effect: Effect,
    /// The field of the request that it is in; see [`Command::field_name`].
    pub field: String,
    /// Where it starts in that field, in characters (Unicode scalar values).
    pub start: usize,
    /// Where it ends, exclusive.
    pub end: usize,
    /// How much it adds to the score, 0 to 1.
    #[serde(skip)]
    pub weight: f64,
}

/// What gates cannot see for themselves. A fact that is missing denies.
#[derive(Debug, Clone, Default)]
pub struct GateInputs {
    /// Whether the kill switch is on.
    pub kill_switch: Option<KillSwitch>,
    /// Whether the caller is within its rate.
    pub rate: Option<Rate>,
    /// Each target of a plan as the file system shows it, in the order of the targets.
    pub targets: Option<Vec<TargetFact>>,
    /// What a remote policy engine answered.
    pub opa: Option<OpaAnswer>,
    /// The intent that the profile finds in a turn's input. Absent for other kinds.
    pub intent: Option<String>,
}

/// The state of the kill switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillSwitch {
    /// Requests may go on.
    Off,
    /// Everything that acts is refused, for this reason.
    On {
        /// What the operator gave as the reason; may be empty.
        reason: String,
    },
}

/// What the limiter says about this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Within the limit, or not counted (a check, a limit of 0).
    Within,
    /// Over it; a retry may pass after so many seconds.
    Exceeded {
        /// Seconds, at least 1.
        retry_after: u64,
    },
}

/// One target path against the real file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetFact {
    /// Symlinks followed as far as the path exists, it is this path relative to the workspace.
    Inside {
        /// Relative, with `/` between components.
        resolved: String,
    },
    /// Symlinks followed, it leaves the workspace.
    Outside,
    /// It could not be looked at.
    Unreadable,
}

/// What a policy engine outside of this process said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpaAnswer {
    /// A clear `true`.
    Allow,
    /// Anything else.
    Deny {
        /// Why, in words for the caller.
        why: String,
    },
}

/// The gates in their order, never none, and the redactor that ends them.
pub struct Chain {
    first: Box<dyn Gate>,
    rest: Vec<Box<dyn Gate>>,
    redactor: Box<dyn Redact>,
}

impl Chain {
    /// A chain of at least one gate.
    pub fn new(first: Box<dyn Gate>, rest: Vec<Box<dyn Gate>>, redactor: Box<dyn Redact>) -> Self {
        Self { first, rest, redactor }
    }

    /// The gates, in the order in which they judge.
    pub fn gates(&self) -> impl Iterator<Item = &dyn Gate> {
        std::iter::once(self.first.as_ref()).chain(self.rest.iter().map(|gate| gate.as_ref()))
    }

    /// What takes the secrets out of texts.
    pub fn redactor(&self) -> &dyn Redact {
        self.redactor.as_ref()
    }
}

/// Sees every gate run, for its timing; this crate has no clock.
pub trait Watch {
    /// Must call `check` exactly once.
    fn gate(&self, name: &'static str, check: &mut dyn FnMut());
}

/// Watches nothing.
pub struct Unwatched;

impl Watch for Unwatched {
    fn gate(&self, _name: &'static str, check: &mut dyn FnMut()) {
        check();
    }
}

/// What all gates together found out about a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Trace {
    /// 0 for harmless to 1 for surely hostile, out of the findings.
    pub score: f64,
    /// Everything found, in the order of the gates.
    pub findings: Vec<Finding>,
    /// Ids of the rules that matched.
    pub applied_policies: Vec<String>,
}

impl Trace {
    /// A field's name holds keys that the caller chose, and so may be a credential itself.
    fn redacted(mut self, redactor: &dyn Redact) -> Self {
        for finding in &mut self.findings {
            finding.field = redact_owned(std::mem::take(&mut finding.field), redactor);
        }
        self
    }

    /// What would have been denied if every observed finding were enforced: each rule once.
    pub fn would_deny(&self) -> Vec<&str> {
        let mut rules = Vec::new();
        for finding in self.findings.iter().filter(|finding| finding.effect == Effect::Observe) {
            if !rules.contains(&finding.rule.as_str()) {
                rules.push(&finding.rule);
            }
        }
        rules
    }
}

/// Proof that this very command passed the chain. Owns the command, redacted, so that a permit can
/// never be used for another one; has no constructor outside of this module.
#[derive(Debug)]
pub struct Permit<C> {
    principal: Principal,
    command: C,
    trace: Trace,
}

impl<C> Permit<C> {
    /// Who asked.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What was permitted, without its secrets.
    pub fn command(&self) -> &C {
        &self.command
    }

    /// What the gates found.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

/// Proof that this very command was refused.
#[derive(Debug)]
pub struct Denial<C> {
    /// Who asked.
    pub principal: Principal,
    /// What was refused, without its secrets.
    pub command: C,
    /// The gate that refused.
    pub gate: &'static str,
    /// Its words.
    pub refusal: Refusal,
    /// What was found up to there.
    pub trace: Trace,
}

/// Sends a command through the chain. The first denial ends it; a gate that asks for an approval lets
/// the later gates judge first. The outcome, permit or denial, holds only the redacted command.
pub fn evaluate<C: Gated>(
    chain: &Chain,
    principal: Principal,
    command: C,
    facts: &GateInputs,
    watch: &dyn Watch,
) -> Result<Permit<C>, Box<Denial<C>>> {
    let subject = Subject { principal: &principal, command: command.view() };
    let (trace, refused) = judge(chain, &subject, facts, watch);
    let redactor = chain.redactor();
    let (command, trace) = (command.redacted(redactor), trace.redacted(redactor));
    match refused {
        None => Ok(Permit { principal, command, trace }),
        Some((gate, refusal)) => {
            let refusal = refusal.redacted(redactor);
            Err(Box::new(Denial { principal, command, gate, refusal, trace }))
        }
    }
}

fn judge(
    chain: &Chain,
    subject: &Subject<'_>,
    facts: &GateInputs,
    watch: &dyn Watch,
) -> (Trace, Option<(&'static str, Refusal)>) {
    let mut trace = Trace::default();
    let mut refused = None;
    for gate in chain.gates() {
        // A gate that the watch never ran has not said yes.
        let mut verdict = None;
        watch.gate(gate.name(), &mut || verdict = Some(gate.check(subject, facts)));
        let verdict = verdict.unwrap_or_else(|| Verdict::refuse(unrun()));
        trace.findings.extend(verdict.findings);
        trace.applied_policies.extend(verdict.applied);
        match verdict.refusal {
            // A later gate may deny, and a denial outranks an approval whatever their order.
            Some(refusal) if refusal.reason == Reason::ApprovalRequired => {
                refused.get_or_insert((gate.name(), refusal));
            }
            Some(refusal) => {
                refused = Some((gate.name(), refusal));
                break;
            }
            None => {}
        }
    }
    trace.score = score::of(&trace.findings);
    (trace, refused)
}

fn unrun() -> Refusal {
    Refusal {
        reason: Reason::KillSwitch,
        rule: None,
        message: "a gate did not run; tell the operator".to_owned(),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests;
