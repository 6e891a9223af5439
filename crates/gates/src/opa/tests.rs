//! Only a clear `true` passes, whatever the modules do; and the shipped module holds its own cases.

use life_agent_domain::governance::command::Turn;
use life_agent_domain::governance::ids::{AgentId, Principal};

use regorus::Value;

use super::*;

fn module(body: &str) -> Vec<Module> {
    vec![Module {
        name: "a.rego".to_owned(),
        text: format!("package agent\nimport rego.v1\n{body}"),
    }]
}

fn decide(body: &str) -> OpaAnswer {
    OpaPolicy::compile(&module(body)).ok().unwrap().decide(json!({"kind": "act", "n": 7}))
}

#[test]
fn everything_but_a_clear_true_denies() {
    assert_eq!(decide("allow if input.kind == \"act\""), OpaAnswer::Allow);
    for body in [
        "default allow := false",
        "allow if input.kind == \"turn\"",
        "allow := \"true\"",
        "allow := 1",
        "allow := [true]",
        "allow if input.missing.deeply",
        "allow if to_number(input.kind) == 1",
        "allow := true\nallow := false if input.n == 7",
    ] {
        assert!(matches!(decide(body), OpaAnswer::Deny { .. }), "{body}");
    }
}

#[test]
fn what_would_run_on_and_on_is_ended_and_denied() {
    let endless = "xs := [1,2,3,4,5,6,7,8,9,10]\n\
        allow if { some a in xs; some b in xs; some c in xs; some d in xs; some e in xs; a*b*c*d*e == 0 }";
    assert!(matches!(decide(endless), OpaAnswer::Deny { .. }));
    let tens = |n: usize| {
        format!(
            "a{n} := concat(\"\", [a{0},a{0},a{0},a{0},a{0},a{0},a{0},a{0},a{0},a{0}])\n",
            n - 1
        )
    };
    let growing: String = (1..8).map(tens).collect();
    let growing = format!("a0 := \"0123456789\"\n{growing}allow if count(a7) > 0");
    assert!(matches!(decide(&growing), OpaAnswer::Deny { .. }));
}

#[test]
fn a_policy_that_decided_once_decides_the_same_again() {
    let policy = OpaPolicy::compile(&module("allow if input.n > 5")).ok().unwrap();
    for n in [7, 3, 9, 5, 6, 0] {
        let allowed = policy.decide(json!({"n": n})) == OpaAnswer::Allow;
        assert_eq!(allowed, n > 5, "{n}");
    }
}

#[test]
fn modules_that_cannot_hold_are_refused_with_their_names() {
    let faults = |modules: &[Module]| OpaPolicy::compile(modules).err().unwrap();
    assert_eq!(faults(&module("allow if {"))[0].path, "opa.a.rego");
    assert!(faults(&module("other := 1"))[0].message.contains("data.agent.allow"));
    assert!(faults(&[])[0].message.contains("data.agent.allow"));
    for body in [
        "allow if numbers.range(1, 2)",
        "allow if numbers.range_step(1, 2, 1)",
        "allow if bits.lsh(1, 2)",
        "allow if net.cidr_expand(\"10.0.0.0/8\")",
        "allow if units.parse(input.size) < 100",
        "allow if units.parse_bytes(input.size) < 100",
        "allow if graph.reachable_paths({}, {\"a\"})",
        "allow if opa.runtime()",
        "allow if time.now_ns() > 1",
        "allow if rand.intn(\"a\", 2) == 1",
        "allow if uuid.rfc4122(\"a\")",
        "allow if sprintf(input.f, [1]) == \"1\"",
    ] {
        let name =
            body.split(['(', ' ']).find(|word| word.contains('.') || *word == "sprintf").unwrap();
        let faults = faults(&module(body));
        assert!(faults.iter().any(|fault| fault.message.contains(name)), "{body}: {faults:?}");
    }
}

#[test]
fn rules_that_call_themselves_are_refused_by_name() {
    for body in [
        "allow if a\na if b\nb if a",
        "allow if allow",
        "f(x) := f(x)\nallow if f(1)",
        "f(x) := g(x)\ng(x) := f(x)\nallow if f(input.n) == 1",
        "reasons contains r if { some r in reasons }\nallow if count(reasons) == 0",
        "allow if data.agent[input.rule]",
    ] {
        // The compiler may notice by itself.
        let faults = OpaPolicy::compile(&module(body)).err();
        assert!(faults.is_some(), "{body}");
    }
    let honest = "a if b\nb if c\nc if input.n == 7\nf(x) := x + 1\nallow if { a; f(input.n) == 8; f(f(1)) == 3 }";
    assert_eq!(decide(honest), OpaAnswer::Allow);
}

#[test]
fn deeply_nested_modules_are_refused_before_they_are_compiled() {
    let nested = format!("x := {}1{}\nallow if x", "[".repeat(24), "]".repeat(24));
    let faults = OpaPolicy::compile(&module(&nested)).err().unwrap();
    assert!(faults[0].message.contains("nested deeper"), "{faults:?}");
}

#[test]
fn an_evaluation_that_panics_denies() {
    let policy =
        OpaPolicy::compile(&module("allow if glob.match(input.pattern, [], \"a\")")).ok().unwrap();
    let answer = policy.decide(json!({"pattern": "{".repeat(18_000)}));
    assert!(matches!(answer, OpaAnswer::Deny { .. }), "{answer:?}");
    assert!(matches!(policy.decide(json!({"pattern": "a"})), OpaAnswer::Allow));
}

#[test]
fn the_gate_sees_what_the_contract_names() {
    let principal = Principal::new("ci");
    let turn = Turn { agent: AgentId::new("hero").unwrap(), input: "look around".to_owned() };
    let subject = Subject::new(&principal, Command::Turn(&turn));
    let facts = GateInputs { intent: Some("explore".to_owned()), ..GateInputs::default() };
    assert_eq!(
        input(&subject, &facts, "abc"),
        json!({
            "kind": "turn", "principal": "ci", "agent_id": "hero", "intent": "explore", "context": null,
            "targets": [], "action": null, "input": "look around", "payload": null, "findings": [],
            "policy_hash": "abc",
        })
    );
}

#[test]
fn without_an_answer_the_gate_denies() {
    let principal = Principal::new("ci");
    let turn = Turn { agent: AgentId::new("hero").unwrap(), input: "hello".to_owned() };
    let subject = Subject::new(&principal, Command::Turn(&turn));
    let check = |opa: Opa, facts: &GateInputs| {
        OpaGate { opa, policy_hash: String::new() }.check(&subject, facts)
    };
    let answered = |answer| GateInputs { opa: Some(answer), ..GateInputs::default() };
    assert!(check(Opa::Remote, &answered(OpaAnswer::Allow)).refusal.is_none());
    for (opa, facts) in [
        (Opa::Remote, GateInputs::default()),
        (Opa::Remote, answered(deny("no"))),
        (Opa::Broken, answered(OpaAnswer::Allow)),
    ] {
        assert_eq!(check(opa, &facts).refusal.unwrap().reason, Reason::OpaDeny);
    }
}

/// Every rule of `policies/*_test.rego` whose name begins with `test_` must be true.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the shipped module is a file; the crate itself reads none"
)]
fn the_shipped_module_passes_its_own_cases() {
    let read = |name: &str| Module {
        name: name.to_owned(),
        text: std::fs::read_to_string(format!(
            "{}/../../policies/{name}",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap(),
    };
    let (shipped, cases) = (read("agent.rego"), read("agent_test.rego"));
    assert!(OpaPolicy::compile(std::slice::from_ref(&shipped)).is_ok());
    let names: Vec<_> = cases
        .text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| word.starts_with("test_"))
        .collect();
    assert!(names.len() >= 6, "{names:?}");
    let mut engine = regorus::Engine::new();
    engine.add_policy(shipped.name, shipped.text).unwrap();
    engine.add_policy(cases.name, cases.text.clone()).unwrap();
    for name in names {
        let value = engine.eval_rule(format!("data.agent_test.{name}")).unwrap();
        assert_eq!(value, Value::Bool(true), "{name}");
    }
}

#[test]
fn modules_in_the_older_language_are_accepted() {
    let allows = |text: &str| {
        let module = Module { name: "agent.rego".to_owned(), text: text.to_owned() };
        OpaPolicy::compile(&[module]).map(|policy| policy.decide(json!({"kind": "act"})))
    };
    for text in [
        "package agent\ndefault allow = false\nallow { input.kind == \"act\" }\n",
        "package agent\nimport future.keywords\nallow if input.kind == \"act\"\n",
        "package agent\nimport future.keywords.in\nallow { input.kind in {\"act\", \"turn\"} }\n",
        "package agent\nimport rego.v1\nallow if input.kind == \"act\"\n",
        "\u{feff}package agent\nallow if input.kind == \"act\"\n",
    ] {
        assert_eq!(allows(text), Ok(OpaAnswer::Allow), "{text}");
    }
    let broken = "package agent\nallow if {\n";
    assert!(allows(broken).is_err());
}
