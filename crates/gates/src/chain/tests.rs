//! The order of the gates, and that nothing is permitted without all of them.

use life_agent_domain::governance::command::Gated;
use life_agent_domain::governance::gate::{
    GateInputs, KillSwitch, NoopObserver, Rate, RateLimit, Reason, evaluate,
};
use life_agent_domain::governance::ids::Principal;

use super::testing::{facts, plan, policy, turn};
use super::*;

const EVERYTHING_WRONG: &str = "rules:\n  - {id: no-plans, match: {kinds: [plan]}, effect: deny}\n";

#[test]
fn the_gates_stand_in_the_documented_order() {
    let chain = chain(policy(""), ChainOptions::default());
    let names: Vec<_> = chain.gates().map(|gate| gate.name()).collect();
    assert_eq!(names, ["kill_switch", "rate", "tools", "command", "risk", "paths", "rules"]);
}

#[test]
fn of_several_reasons_the_first_in_the_order_is_given() {
    let chain = chain(policy(EVERYTHING_WRONG), ChainOptions::default());
    let bad = || plan("x; rm -rf /home", "", &["../etc/passwd"]);
    let good = || plan("tidy up", "nothing else", &["docs/a.md"]);
    let fine = facts(bad().view());
    let on = KillSwitch::On { reason: String::new() };
    let exceeded = Some(Rate::Exceeded { limit: RateLimit::Agent, retry_after: 1 });
    let cases = [
        (
            bad(),
            GateInputs { kill_switch: Some(on), rate: exceeded, ..fine.clone() },
            Reason::KillSwitch,
        ),
        (bad(), GateInputs { rate: exceeded, ..fine.clone() }, Reason::RateLimited),
        (bad(), fine.clone(), Reason::RiskPattern),
        (plan("tidy up", "", &["../etc/passwd"]), fine.clone(), Reason::PathForbidden),
        (good(), facts(good().view()), Reason::RuleDeny),
    ];
    for (asked, facts, expected) in cases {
        let denial =
            evaluate(&chain, Principal::new("p"), asked, &facts, &NoopObserver).unwrap_err();
        assert_eq!(denial.refusal.reason, expected);
    }
}

#[test]
fn without_facts_nothing_passes() {
    let chain = chain(policy(""), ChainOptions::default());
    let refused =
        evaluate(&chain, Principal::new("p"), turn("hello"), &GateInputs::default(), &NoopObserver);
    assert!(refused.is_err());
}

#[test]
fn a_permitted_text_is_redacted_even_when_secrets_are_off() {
    let chain = chain(policy("risk: {categories: {secrets: off}}"), ChainOptions::default());
    let asked = turn("use ghp_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0 for it");
    let facts = facts(asked.view());
    let permit = evaluate(&chain, Principal::new("p"), asked, &facts, &NoopObserver).unwrap();
    assert_eq!(permit.command().input, "use [redacted:github_token] for it");
    assert!(permit.trace().findings.is_empty());
}
