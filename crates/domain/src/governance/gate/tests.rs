//! What a chain promises: order, no way around a refusal, and no secret behind it.

use std::borrow::Cow;

use super::*;
use crate::governance::command::{Kind, Turn};
use crate::governance::ids::{AgentId, Principal};
use crate::governance::redaction::Redact;

struct Says(&'static str, Option<Reason>);

impl Gate for Says {
    fn name(&self) -> &'static str {
        self.0
    }
    fn check(&self, _: &Subject<'_>, _: &GateInputs) -> Verdict {
        let refusal = self.1.map(|reason| Refusal {
            reason,
            rule: None,
            message: String::new(),
            retry_after: None,
        });
        Verdict { applied: vec![self.0.to_owned()], refusal, ..Verdict::default() }
    }
}

struct Stars;

impl Redact for Stars {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.contains("hunter2") { text.replace("hunter2", "*").into() } else { text.into() }
    }
}

fn turn() -> Turn {
    Turn { agent: AgentId::new("a").unwrap(), input: "pass hunter2".to_owned() }
}

fn run(gates: Vec<Says>) -> Result<Permit<Turn>, Box<Denial<Turn>>> {
    let mut gates = gates.into_iter().map(|gate| Box::new(gate) as Box<dyn Gate>);
    let chain = Chain::new(gates.next().unwrap(), gates.collect(), Box::new(Stars));
    evaluate(&chain, Principal::new("p"), turn(), &GateInputs::default(), &NoopObserver)
}

#[test]
fn a_permit_holds_the_command_without_its_secrets() {
    let permit = run(vec![Says("one", None), Says("two", None)]).unwrap();
    assert_eq!(permit.command().input, "pass *");
    assert_eq!(permit.trace().applied_policies, ["one", "two"]);
}

#[test]
fn the_first_refusal_ends_the_chain() {
    let gates = vec![Says("one", None), Says("two", Some(Reason::RuleDeny)), Says("three", None)];
    let denial = run(gates).unwrap_err();
    assert_eq!((denial.gate, denial.refusal.reason), ("two", Reason::RuleDeny));
    assert_eq!(denial.trace.applied_policies, ["one", "two"]);
    assert_eq!(denial.command.input, "pass *");
}

#[test]
fn a_denial_outranks_an_approval_in_either_order() {
    let (ask, deny) = (Some(Reason::ApprovalRequired), Some(Reason::RuleDeny));
    for (one, two, gate, reason) in [
        (ask, deny, "two", Reason::RuleDeny),
        (deny, ask, "one", Reason::RuleDeny),
        (ask, ask, "one", Reason::ApprovalRequired),
        (ask, None, "one", Reason::ApprovalRequired),
        (None, ask, "two", Reason::ApprovalRequired),
    ] {
        let denial = run(vec![Says("one", one), Says("two", two)]).unwrap_err();
        assert_eq!((denial.gate, denial.refusal.reason), (gate, reason));
    }
}

#[test]
fn a_tool_call_has_one_code_for_every_judgment() {
    let codes = Reason::ALL.map(|reason| reason.code_for(Kind::Tool));
    let expected = [
        "tool_denied",
        "tool_denied",
        "tool_denied",
        "tool_denied",
        "rate_limited",
        "budget_exceeded",
        "kill_switch",
        "stopped",
        "plan_invalid",
        "tool_denied",
        "approval_required",
        "tool_changed",
        "gate_unavailable",
    ];
    assert_eq!(codes, expected);
    assert_eq!(Reason::RiskPattern.code_for(Kind::Turn), "prompt_risky");
}

#[test]
fn what_a_gate_says_about_a_secret_does_not_repeat_it() {
    struct Tells;
    impl Gate for Tells {
        fn name(&self) -> &'static str {
            "tells"
        }
        fn check(&self, _: &Subject<'_>, _: &GateInputs) -> Verdict {
            let finding = Finding {
                gate: "",
                category: "secrets",
                rule: "password".to_owned(),
                effect: Effect::Deny,
                field: "payload/hunter2".to_owned(),
                start: 0,
                end: 7,
                weight: 1.0,
            };
            let refusal = Refusal {
                reason: Reason::RiskPattern,
                rule: Some("hunter2".to_owned()),
                message: "`payload/hunter2` is risky".to_owned(),
                retry_after: None,
            };
            Verdict { findings: vec![finding], refusal: Some(refusal), ..Verdict::default() }
        }
    }
    let chain = Chain::new(Box::new(Tells), vec![], Box::new(Stars));
    let denial =
        evaluate(&chain, Principal::new("p"), turn(), &GateInputs::default(), &NoopObserver);
    assert!(!format!("{:?}", denial.unwrap_err()).contains("hunter2"));
}

#[test]
fn an_observer_that_runs_no_gate_gets_no_permit() {
    struct Lazy;
    impl GateObserver for Lazy {
        fn gate(&self, _: &'static str, _: &mut dyn FnMut()) {}
    }
    let chain = Chain::new(Box::new(Says("one", None)), vec![], Box::new(Stars));
    let outcome = evaluate(&chain, Principal::new("p"), turn(), &GateInputs::default(), &Lazy);
    let denial = outcome.unwrap_err();
    assert_eq!((denial.gate, denial.refusal.reason), ("one", Reason::GateUnavailable));
}

#[test]
fn a_gate_that_panics_refuses() {
    struct Panics;
    impl Gate for Panics {
        fn name(&self) -> &'static str {
            "panics"
        }
        fn check(&self, _: &Subject<'_>, _: &GateInputs) -> Verdict {
            panic!("on purpose")
        }
    }
    let chain = Chain::new(Box::new(Panics), vec![Box::new(Says("two", None))], Box::new(Stars));
    let outcome =
        evaluate(&chain, Principal::new("p"), turn(), &GateInputs::default(), &NoopObserver);
    let denial = outcome.unwrap_err();
    assert_eq!((denial.gate, denial.refusal.reason), ("panics", Reason::GateUnavailable));
    assert_eq!(denial.command.input, "pass *");
}

#[test]
fn seams_are_redacted_unless_a_gate_found_them_clean() {
    use crate::governance::command::Plan;
    struct Looks(bool);
    impl Gate for Looks {
        fn name(&self) -> &'static str {
            "looks"
        }
        fn check(&self, subject: &Subject<'_>, _: &GateInputs) -> Verdict {
            if self.0 {
                subject.report_free_of_credentials();
            }
            Verdict::pass()
        }
    }
    struct Across;
    impl Redact for Across {
        fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
            text.into()
        }
        fn redact_across(&self, texts: &mut [&mut String]) {
            texts.iter_mut().for_each(|text| **text = "*".to_owned());
        }
    }
    for (is_clean, intent) in [(true, "hun"), (false, "*")] {
        let chain = Chain::new(Box::new(Looks(is_clean)), vec![], Box::new(Across));
        let plan = Plan { intent: "hun".into(), context: "ter2".into(), targets: vec![] };
        let inputs = GateInputs::default();
        let permit = evaluate(&chain, Principal::new("p"), plan, &inputs, &NoopObserver).unwrap();
        assert_eq!(permit.command().intent, intent);
    }
}
