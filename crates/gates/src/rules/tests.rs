//! Rules by table: what each kind of list is about, and what each effect does.

use life_agent_domain::governance::command::{Act, Chat, Gated, Label, Message, Tool};
use life_agent_domain::governance::ids::{ActionName, AgentId};
use serde_json::json;

use life_agent_policy::bounded::BoundedRegex;

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

fn tool(name: &str, server: Option<&str>, arguments: serde_json::Value) -> Tool {
    Tool {
        agent: AgentId::new("gpt-1").unwrap(),
        tool: Label::new(name).unwrap(),
        server: server.map(|name| Label::new(name).unwrap()),
        arguments: arguments.as_object().cloned().unwrap().try_into().unwrap(),
        session_id: None,
        call_id: None,
        cwd: None,
    }
}

#[test]
fn tool_calls_match_by_name_server_caller_agent_and_field() {
    let asked = tool(
        "create_issue",
        Some("GitHub"),
        json!({"title": "drop it", "labels": [{"name": "prod"}], "n": 7}),
    );
    let known = facts(asked.view());
    for (matches, expected) in [
        ("kinds: [tool]", true),
        ("kinds: [act]", false),
        ("tools: [CREATE_*]", true),
        ("tools: [delete_*]", false),
        ("servers: [git*]", true),
        ("servers: [jira]", false),
        ("principals: [test*]", true),
        ("principals: [TEST*]", false),
        ("agents: ['gpt-?']", true),
        ("agents: [claude]", false),
        ("fields: [/title]", true),
        ("fields: [/n]", true),
        ("fields: [/body]", false),
        ("fields: [/title], inputs: [drop]", true),
        ("fields: [/labels], inputs: [drop]", false),
        ("fields: ['/labels/*/name'], inputs: [prod]", true),
        ("fields: [/labels], inputs: [prod]", true),
        ("inputs: [prod]", true),
        ("tools: [create_issue], agents: [claude]", false),
    ] {
        assert_eq!(applies(matches, &asked, &known), expected, "{matches}");
    }
    // The server in front of the tool's name counts when the call names none.
    let asked = tool("mcp__github__create_issue", None, json!({}));
    assert!(applies("servers: [github]", &asked, &known));
    // Requests of other kinds have callers and agents too, but no tools.
    let asked = act("deploy", json!({"to": "prod"}));
    assert!(applies("agents: [hero], fields: [/to], inputs: [prod]", &asked, &known));
    assert!(!applies("tools: ['*']", &asked, &known));
    assert!(!applies("fields: [/to]", &turn("to"), &known));
}

#[test]
fn the_severest_effect_holds_in_any_order() {
    let rule = |effect: &str| {
        format!("  - {{id: {effect}, match: {{kinds: [turn]}}, effect: {effect}}}\n")
    };
    let asked = turn("hello");
    for (effects, expected) in [
        (["allow", "observe", "ask", "deny"], Reason::RuleDeny),
        (["deny", "ask", "observe", "allow"], Reason::RuleDeny),
        (["ask", "allow", "observe", "observe2"], Reason::ApprovalRequired),
        (["observe", "allow", "ask", "observe2"], Reason::ApprovalRequired),
    ] {
        let rules: String =
            effects.iter().filter(|effect| **effect != "observe2").map(|e| rule(e)).collect();
        let verdict = check(&rules, &asked, &facts(asked.view()));
        assert_eq!(verdict.refusal.unwrap().reason, expected, "{effects:?}");
    }
}
