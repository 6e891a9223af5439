//! The chain's decision: a sealed permit, or a denial.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use super::Verdict;
use super::chain::{Chain, GateObserver};
use super::finding::{Finding, Trace};
use super::inputs::GateInputs;
use super::reason::{Reason, Refusal};
use crate::governance::approval::{ContentDigest, Granted};
use crate::governance::command::{Computed, Gated, Subject};
use crate::governance::principal::Principal;
use crate::governance::redaction::Redact;
use crate::governance::score;

/// Proof that exactly this command passed the chain. Owns the redacted command, so a permit cannot be
/// used for another one. Only [`evaluate`] constructs it, and [`Denial::approve`] for a command that lacked
/// nothing but an approval.
#[derive(Debug)]
pub struct Permit<C> {
    principal: Principal,
    command: C,
    trace: Trace,
    computed: KeptValue,
}

impl<C> Permit<C> {
    /// The caller.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The permitted command, redacted.
    pub fn command(&self) -> &C {
        &self.command
    }

    /// The findings of the gates.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What a gate computed of the command. Only kept if the redaction changed nothing, so that it holds no more
    /// than the redacted command.
    pub fn computed<T: Any>(&self) -> Option<&T> {
        self.computed.get()
    }

    /// Turns the permit into a denial: a judge outside this process refused the command after the chain
    /// had passed it.
    pub fn refuse(self, gate: &'static str, refusal: Refusal) -> Box<Denial<C>> {
        let Self { principal, command, trace, computed } = self;
        Box::new(Denial { principal, command, gate, refusal, trace, content: None, computed })
    }
}

/// Proof that exactly this command was refused.
#[derive(Debug)]
pub struct Denial<C> {
    /// The caller.
    pub principal: Principal,
    /// The refused command, redacted.
    pub command: C,
    /// The gate that refused.
    pub gate: &'static str,
    /// The gate's refusal.
    pub refusal: Refusal,
    /// The findings up to the refusal.
    pub trace: Trace,
    /// The command before its secrets were removed, if it lacks nothing but an approval.
    content: Option<ContentDigest>,
    computed: KeptValue,
}

impl<C> Denial<C> {
    /// A denial by a judge other than the chain.
    pub fn new(
        principal: Principal,
        command: C,
        gate: &'static str,
        refusal: Refusal,
        trace: Trace,
    ) -> Self {
        let computed = KeptValue::default();
        Self { principal, command, gate, refusal, trace, content: None, computed }
    }

    /// The content that an approval is bound to; `None` if an approval would not permit the command.
    pub fn approvable(&self) -> Option<&ContentDigest> {
        self.content.as_ref().filter(|_| self.refusal.reason == Reason::ApprovalRequired)
    }

    /// Turns the denial into a permit, if the approval is for exactly this command of this caller.
    pub fn approve(self: Box<Self>, granted: &Granted) -> Result<Permit<C>, Box<Self>> {
        let approval = granted.approval();
        let is_this = self.approvable() == Some(granted.content())
            && self.principal.as_str() == approval.principal;
        if !is_this {
            return Err(self);
        }
        let Self { principal, command, mut trace, computed, .. } = *self;
        trace.approval_id = Some(approval.id);
        Ok(Permit { principal, command, trace, computed })
    }

    /// The same as [`Permit::computed`].
    pub fn computed<T: Any>(&self) -> Option<&T> {
        self.computed.get()
    }

    /// The gate and its rule: `gate/rule`, or `gate` if no rule decided.
    pub fn decided_by(&self) -> String {
        match &self.refusal.rule {
            Some(rule) => format!("{}/{rule}", self.gate),
            None => self.gate.to_owned(),
        }
    }
}

/// A value that the gates computed, or none.
#[derive(Default)]
struct KeptValue(Option<Computed>);

impl KeptValue {
    fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for KeptValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(..)" } else { "None" })
    }
}

/// A redactor that notes whether it removed anything.
struct Noting<'r> {
    inner: &'r dyn Redact,
    changed: AtomicBool,
}

impl Noting<'_> {
    fn note<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        if matches!(text, Cow::Owned(_)) {
            self.changed.store(true, Ordering::Relaxed);
        }
        text
    }
}

impl Redact for Noting<'_> {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.note(self.inner.redact(text))
    }

    fn redact_under<'t>(&self, key: &str, text: &'t str) -> Cow<'t, str> {
        self.note(self.inner.redact_under(key, text))
    }

    fn redact_across(&self, texts: &mut [&mut String]) {
        self.changed.store(true, Ordering::Relaxed);
        self.inner.redact_across(texts);
    }
}

/// What the gates said.
struct Judged {
    trace: Trace,
    refused: Option<(&'static str, Refusal)>,
    /// Whether a gate read all texts and found no credential.
    seams_are_clean: bool,
    computed: Option<Computed>,
}

/// Sends a command through the chain. The first denial ends it; a gate that asks for an approval lets
/// the later gates judge first. The result, permit or denial, contains only the redacted command.
pub fn evaluate<C: Gated>(
    chain: &Chain,
    principal: Principal,
    mut command: C,
    inputs: &GateInputs,
    observer: &dyn GateObserver,
) -> Result<Permit<C>, Box<Denial<C>>> {
    let subject = Subject::new(&principal, command.view());
    let Judged { trace, refused, seams_are_clean, computed } =
        judge(chain, subject, inputs, observer);
    let asks = |(_, refusal): &(_, Refusal)| refusal.reason == Reason::ApprovalRequired;
    let content = refused.as_ref().filter(|refused| asks(refused));
    let content = content.and_then(|_| ContentDigest::of(command.view()));
    let redactor = chain.redactor();
    if !seams_are_clean {
        redactor.redact_across(&mut command.adjoining());
    }
    let noting = Noting { inner: redactor, changed: AtomicBool::new(!seams_are_clean) };
    let (command, trace) = (command.redacted(&noting), trace.redacted(redactor));
    let unchanged = !noting.changed.into_inner();
    let computed = KeptValue(computed.filter(|_| unchanged));
    match refused {
        None => Ok(Permit { principal, command, trace, computed }),
        Some((gate, refusal)) => {
            let refusal = refusal.redacted(redactor);
            Err(Box::new(Denial { principal, command, gate, refusal, trace, content, computed }))
        }
    }
}

fn judge(
    chain: &Chain,
    mut subject: Subject<'_>,
    inputs: &GateInputs,
    observer: &dyn GateObserver,
) -> Judged {
    let mut refused = None;
    for gate in chain.gates() {
        // A gate that the observer never ran has not passed the request.
        let mut verdict = None;
        // Nor has one that panicked. The refusal is recorded like any other.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            observer.gate(gate.name(), &mut || verdict = Some(gate.check(&subject, inputs)));
        }));
        let verdict = verdict.filter(|_| ran.is_ok());
        let verdict = verdict.unwrap_or_else(|| Verdict::refuse(not_run()));
        let trace = &mut subject.trace;
        let findings = verdict.findings.into_iter();
        trace.findings.extend(findings.map(|finding| Finding { gate: gate.name(), ..finding }));
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
    let seams_are_clean = subject.is_free_of_credentials();
    let (mut trace, computed) = subject.into_parts();
    trace.score = score::of(&trace.findings);
    Judged { trace, refused, seams_are_clean, computed }
}

fn not_run() -> Refusal {
    Refusal::new(Reason::GateUnavailable, "a gate did not run; contact the operator")
}
