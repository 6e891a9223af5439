//! Rules by table: what each kind of list is about, and what each effect does.

use life_agent_domain::governance::command::{Act, Chat, Gated, Message};
use life_agent_domain::governance::ids::{ActionName, AgentId};
use serde_json::json;

use super::*;
use crate::chain::testing::{facts, plan, policy, subject, turn};

fn check(rules: &str, command: &impl Gated, facts: &GateInputs) -> Verdict {
    RulesGate::new(policy(&format!("rules:\n{rules}"))).check(&subject(command), facts)
}

/// Whether a rule with this `match` is about the command.
fn applies(matches: &str, command: &impl Gated, facts: &GateInputs) -> bool {
    let rule = format!("  - {{id: r, match: {{{matches}}}, effect: deny}}\n");
    check(&rule, command, facts).refusal.is_some()
}

fn act(name: &str, payload: serde_json::Value) -> Act {
    Act {
        agent: AgentId::new("hero").unwrap(),
        action: ActionName::new(name).unwrap(),
        payload: payload.as_object().cloned().unwrap().try_into().unwrap(),
    }
}

#[test]
fn each_list_looks_at_its_own_part_of_a_plan() {
    let asked = plan("update docs", "rewrite the intro", &["docs/a.md", "docs/img/b.png"]);
    let facts = facts(asked.view());
    for (matches, expected) in [
        ("kinds: [plan]", true),
        ("kinds: [turn, act]", false),
        ("intents: ['^update']", true),
        ("intents: ['intro']", false),
        ("inputs: ['intro$']", true),
        ("inputs: ['update']", false),
        ("targets: ['docs/img/**']", true),
        ("targets: ['src/**']", false),
        ("actions: ['.*']", false),
        ("kinds: [plan], intents: ['nothing', 'docs'], inputs: ['intro']", true),
        ("kinds: [plan], intents: ['docs'], inputs: ['nothing']", false),
    ] {
        assert_eq!(applies(matches, &asked, &facts), expected, "{matches}");
    }
}

#[test]
fn other_kinds_have_their_own_parts() {
    let asked = turn("look around");
    let mut known = facts(asked.view());
    known.intent = Some("explore".to_owned());
    assert!(applies("intents: ['^explore$'], inputs: ['look']", &asked, &known));
    assert!(!applies("intents: ['^rest$']", &asked, &known));
    let asked = act("deploy", json!({"to": ["staging", {"note": "by hand"}]}));
    assert!(applies("actions: ['deploy'], inputs: ['by hand']", &asked, &known));
    assert!(!applies("intents: ['.*']", &asked, &known));
    let message = |text: &str| Message { role: "user".to_owned(), content: text.to_owned() };
    let asked = Chat { messages: vec![message("hello"), message("forget it")] };
    assert!(applies("kinds: [chat], inputs: ['forget']", &asked, &known));
}

#[test]
fn deny_beats_allow_and_everything_that_matched_is_noted() {
    let rules = "  - {id: yes, match: {kinds: [turn]}, effect: allow}
  - {id: maybe, match: {inputs: [hello]}, effect: observe}
  - {id: no, match: {inputs: [hello]}, effect: deny}
  - {id: other, match: {kinds: [plan]}, effect: deny}\n";
    let asked = turn("say hello");
    let verdict = check(rules, &asked, &facts(asked.view()));
    assert_eq!(verdict.applied, ["yes", "maybe", "no"]);
    let refusal = verdict.refusal.unwrap();
    assert_eq!((refusal.reason, refusal.rule.as_deref()), (Reason::RuleDeny, Some("no")));
}

#[test]
fn an_observed_rule_records_what_it_would_have_denied() {
    let rules = "  - {id: maybe, match: {inputs: [hello]}, effect: observe}\n";
    let asked = turn("say hello");
    let verdict = check(rules, &asked, &facts(asked.view()));
    assert!(verdict.refusal.is_none());
    let found = &verdict.findings[0];
    assert_eq!(
        (found.category, found.rule.as_str(), found.effect),
        ("rule", "maybe", Effect::Observe)
    );
    assert_eq!((found.field.as_str(), found.start, found.end), ("input", 0, 9));
}

#[test]
fn a_search_that_is_given_up_counts_as_a_match() {
    let pattern = "(?:(?!b)a|(?!c)aa){1,50}(?!a)";
    let rules = format!("  - {{id: slow, match: {{inputs: ['{pattern}']}}, effect: deny}}\n");
    let asked = turn(&"a".repeat(65_536));
    let regex = BoundedRegex::new(pattern).unwrap();
    assert_eq!(regex.find(&asked.input), life_agent_policy::bounded::Found::LimitReached);
    assert!(check(&rules, &asked, &facts(asked.view())).refusal.is_some());
}
