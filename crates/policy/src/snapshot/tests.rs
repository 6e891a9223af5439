//! Faults with their places, as tables; and no text makes the reader panic.

use std::cell::RefCell;

use life_agent_domain::governance::command::Kind;
use life_agent_domain::governance::gate::Effect;
use proptest::prelude::*;

use super::*;
use crate::document::{Category, Llm};

const SHIPPED: &str = include_str!("../../../../policy/policy.yaml");
const VALID: &str = include_str!("../../../../policies/valid.yaml");
const INVALID: &str = include_str!("../../../../policies/invalid.yaml");

/// A workspace with the directories `plans` and `docs/guides`, which records the queried paths.
#[derive(Default)]
struct Dirs(RefCell<Vec<String>>);

impl Workspace for Dirs {
    fn is_dir(&self, relative: &str) -> bool {
        self.0.borrow_mut().push(relative.to_owned());
        matches!(relative, "plans" | "docs/guides" | ".")
    }
}

fn valid(text: &str) -> Snapshot {
    compile(text, &Dirs::default()).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn faults(text: &str) -> Vec<(String, String)> {
    let faults = compile(text, &Dirs::default()).err().unwrap_or_default();
    faults.into_iter().map(|fault| (fault.path, fault.message)).collect()
}

/// A valid policy plus the given text.
fn with(rest: &str) -> String {
    format!("version: \"1\"\nallowed_dirs: [plans]\n{rest}")
}

#[test]
fn the_shipped_policy_has_the_documented_defaults() {
    let shipped = valid(SHIPPED).policy;
    let smallest = valid(&with("")).policy;
    assert_eq!(shipped.llm, Llm::default());
    assert_eq!(shipped.llm.model, "openai/gpt-oss-120b");
    assert_eq!((shipped.llm.temperature, shipped.llm.max_tokens), (0.0, 2048));
    assert_eq!(shipped.max_diff_lines, 800);
    assert_eq!(shipped.observer.snapshot_every, 100);
    assert!(!shipped.plans.self_review);
    let effect = |category| shipped.risk.effect(Kind::Turn, category, false);
    assert_eq!(effect(Category::PromptInjection), Some(Effect::Observe));
    assert_eq!(effect(Category::Secrets), Some(Effect::Deny));
    let shipped = Policy { rules: vec![], deny_globs: vec![], ..shipped };
    assert_eq!(shipped, smallest);
}

#[test]
fn the_built_in_policy_is_the_shipped_one_without_its_rules() {
    let built_in = valid(&default_text(&["plans".to_owned(), "docs/guides".to_owned()])).policy;
    assert_eq!(built_in.allowed_dirs, ["plans", "docs/guides"]);
    let shipped = valid(SHIPPED).policy;
    assert_eq!(built_in.deny_globs, shipped.deny_globs);
    assert_eq!(built_in.deny_globs, DEFAULT_DENY_GLOBS);
    assert_eq!(faults(&default_text(&[]))[0].0, "allowed_dirs");
    // No setting can add a key to the document.
    let hostile = default_text(&["x\"\nmax_diff_lines: 5000".to_owned()]);
    assert_eq!(faults(&hostile)[0].0, "allowed_dirs.0");
}

#[test]
fn the_valid_example_holds_in_any_workspace_and_differs_from_the_shipped_policy() {
    let example = valid(VALID);
    assert_eq!(example.policy.allowed_dirs, ["plans"]);
    assert_ne!(example.hash, valid(SHIPPED).hash);
    let effects: Vec<_> = example.rules.iter().map(|rule| rule.effect).collect();
    assert_eq!(effects, [RuleEffect::Allow, RuleEffect::Deny, RuleEffect::Observe]);
    assert!(example.rules[1].targets.is_match("deep/in/Cargo.lock"));
    assert!(!example.rules[1].targets.is_match("Cargo.lock.md"));
    assert!(example.patterns[0].regex.is_found("see http://db.internal/x"));
}

#[test]
fn the_invalid_example_shows_every_fault_at_once_with_its_place() {
    let found = compile(INVALID, &Dirs::default()).unwrap_err();
    let paths: Vec<_> = found.iter().map(|fault| fault.path.as_str()).collect();
    let expected = [
        "version",
        "allowed_dirs.0",
        "allowed_dirs.1",
        "allowed_dirs.2",
        "deny_globs.0",
        "max_diff_lines",
        "max_diff_line",
        "llm.temperature",
        "llm.max_tokens",
        "llm.model",
        "rules.0.id",
        "rules.0.match.kinds.1",
        "rules.0.match.inputs.0",
        "rules.1.match",
        "rules.1.effect",
        "rules.2.effect",
        "rules.2.id",
        "rules.2.match.targets.0",
        "risk.mode",
        "risk.categories.secrets",
        "risk.patterns.0.pattern",
        "observer.snapshot_every",
    ];
    assert_eq!(paths, expected);
    for fault in &found {
        let line = INVALID.lines().nth(fault.line.unwrap() - 1).unwrap();
        let key = fault.path.rsplit('.').find(|key| key.parse::<usize>().is_err()).unwrap();
        let missing = ["rules.2.effect", "rules.2.id"].contains(&fault.path.as_str());
        let item = line.trim_start().starts_with("- ");
        assert!(line.contains(key) || item || missing, "{} at {line:?}", fault.path);
    }
}

#[test]
fn each_kind_of_fault_is_found_where_it_is() {
    for (rest, path, message) in [
        ("max_diff_lines: -1", "max_diff_lines", "expected a whole number"),
        ("max_diff_lines: 5001", "max_diff_lines", "must not be greater than 5000"),
        ("llm: {temperature: -0.1}", "llm.temperature", "must not be lower than 0"),
        ("llm: {max_tokens: 8193}", "llm.max_tokens", "must not be greater than 8192"),
        ("llm: {model: ''}", "llm.model", "must not have a length lower than 1"),
        ("llm: fast", "llm", "expected a map"),
        ("lmm: {}", "lmm", "unknown key"),
        ("risk: {categories: {secret: deny}}", "risk.categories.secret", "unknown key"),
        ("risk: {mode: enforced}", "risk.mode", "`enforce`"),
        ("risk: {kinds: {chats: {url: deny}}}", "risk.kinds.chats", "unknown key"),
        ("risk: {kinds: {chat: {urls: deny}}}", "risk.kinds.chat.urls", "unknown key"),
        ("risk: {kinds: {chat: {url: ask}}}", "risk.kinds.chat.url", "`observe`"),
        ("risk: {patterns_off: [parent_dirs]}", "risk.patterns_off.0", "`parent_dir`"),
        ("risk: {patterns_off: [parent_dir, x]}", "risk.patterns_off.1", "docs/patterns.md"),
        ("observer: {snapshot_every: 10001}", "observer.snapshot_every", "greater than 10000"),
        ("plans: {self_review: yes}", "plans.self_review", "expected `true` or `false`"),
        ("rules: [7]", "rules.0", "expected a map"),
        ("rules: [~]", "rules.0", "has no value"),
        ("rules: [{id: a, effect: deny}]", "rules.0.match", "is missing"),
        ("rules: [{id: a, match: {}, effect: deny}]", "rules.0.match", "at least one of"),
        ("rules: [{id: a, match: {kinds: []}, effect: deny}]", "rules.0.match", "at least one"),
        ("rules: [{match: {kinds: [act]}, effect: deny}]", "rules.0.id", "is missing"),
        ("rules: [{id: a, match: {kinds: [act]}}]", "rules.0.effect", "is missing"),
        ("rules: [{id: -a, match: {kinds: [act]}, effect: deny}]", "rules.0.id", "1 to 64"),
        ("deny_globs: [ok, 7, '/etc/**']", "deny_globs.1", "expected a text"),
        ("deny_globs: [ok, '/etc/**']", "deny_globs.1", "must be relative"),
        ("deny_globs: ['']", "deny_globs.0", "must be relative"),
        ("deny_globs: ['{a']", "deny_globs.0", "is not a glob"),
    ] {
        let found = faults(&with(rest));
        let hit = found.iter().any(|(at, why)| at == path && why.contains(message));
        assert!(hit, "{rest}: {found:#?}");
    }
}

#[test]
fn a_wrong_item_hides_no_fault_of_its_neighbours() {
    let text = with(
        "deny_globs: [7, '{a', ~, '../b']
rules:
  - nonsense
  - {id: one, match: {inputs: [true, '(']}, effect: deny}
  - {id: one, match: {targets: ['..']}, effect: shout}
risk: {patterns: [{id: one, category: url, pattern: '(?<!x)a*'}, {id: p, pattern: 7}]}",
    );
    let paths: Vec<_> = faults(&text).into_iter().map(|(path, _)| path).collect();
    let expected = [
        "deny_globs.0",
        "deny_globs.1",
        "deny_globs.2",
        "deny_globs.3",
        "rules.0",
        "rules.1.match.inputs.0",
        "rules.1.match.inputs.1",
        "rules.2.id",
        "rules.2.match.targets.0",
        "rules.2.effect",
        "risk.patterns.0.id",
        "risk.patterns.0.pattern",
        "risk.patterns.1.category",
        "risk.patterns.1.pattern",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn nothing_at_all_says_what_is_needed() {
    for text in ["", "# only a comment\n", "just text", "- a\n- b\n", "7", "{}"] {
        let found = faults(text);
        assert!(!found.is_empty(), "{text:?}");
    }
    let paths: Vec<_> = faults("{}").into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["allowed_dirs", "version"]);
}

#[test]
fn allowed_directories_are_relative_normal_and_there() {
    let asked = Dirs::default();
    let text = "version: \"1\"\nallowed_dirs: [plans/, ./docs/guides, ., .//, /plans, plans/../x, 'a\\b', docs, '', \"a\\tb\"]";
    let found = compile(text, &asked).unwrap_err();
    let paths: Vec<_> = found.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, [3, 4, 5, 6, 7, 8, 9].map(|n| format!("allowed_dirs.{n}")));
    // Only normal paths reach the file system.
    assert_eq!(*asked.0.borrow(), ["plans", "docs/guides", ".", "docs"]);
    let policy = valid("version: \"1\"\nallowed_dirs: [plans/, ./docs/guides/]").policy;
    assert_eq!(policy.allowed_dirs, ["plans", "docs/guides"]);
}

#[test]
fn deny_globs_err_on_the_side_of_denial() {
    let text =
        with("deny_globs: ['**/.git/**', '*.pem', 'secrets/', 'docs/*.key', '.env*', 'a/**/b']");
    let globs = valid(&text).deny_globs;
    for (path, expected) in [
        (".git/config", Some("**/.git/**")),
        ("sub/.GIT/hooks/pre-commit", Some("**/.git/**")),
        // In a linked worktree, `.git` is a file.
        (".git", Some("**/.git/**")),
        ("deep/down/key.PEM", Some("*.pem")),
        ("secrets/a/b", Some("secrets/")),
        ("secrets", Some("secrets/")),
        ("docs/a.key", Some("docs/*.key")),
        ("docs/sub/a.key", None),
        ("config/.env.local", Some(".env*")),
        ("a/b", Some("a/**/b")),
        ("a/x/y/b", Some("a/**/b")),
        ("gitignore", None),
        (".gitignore", None),
        ("environment.md", None),
        ("secretsx/a", None),
    ] {
        assert_eq!(globs.matching(path), expected, "{path}");
    }
}

#[test]
fn the_hash_is_that_of_the_text() {
    // `printf 'version: "1"\nallowed_dirs: [plans]\n' | sha256sum`
    let expected = "a659355eb3c2cdcd9a7a3b61388a158b67c1706ff8007df258117fe31238c2d2";
    assert_eq!(valid(&with("")).hash, expected);
    assert_ne!(valid(&with("# a comment")).hash, expected);
}

#[test]
fn a_policy_is_shown_in_the_shape_that_it_is_written_in() {
    let snapshot = valid(VALID);
    let shown = serde_yaml::to_string(&snapshot.policy).unwrap();
    assert_eq!(valid(&shown).policy, snapshot.policy);
}

#[test]
fn effects_per_kind_and_patterns_that_are_off_are_read() {
    let text = with(
        "risk:
  categories: {url: observe}
  kinds: {chat: {command_exec: deny}, tool: {secrets: off}}
  patterns_off: [parent_dir, own]
  patterns: [{id: own, category: url, pattern: x}]",
    );
    let risk = valid(&text).policy.risk;
    assert_eq!(risk.effect(Kind::Chat, Category::CommandExec, false), Some(Effect::Deny));
    assert_eq!(risk.effect(Kind::Chat, Category::PathTraversal, false), Some(Effect::Observe));
    assert_eq!(risk.effect(Kind::Turn, Category::Url, false), Some(Effect::Observe));
    assert!(risk.is_off("parent_dir") && risk.is_off("own") && !risk.is_off("parent"));
    let shown = serde_yaml::to_string(&valid(&text).policy).unwrap();
    assert_eq!(valid(&shown).policy.risk, risk);
}

#[test]
fn a_policy_cannot_hold_more_expressions_than_compile_in_good_time() {
    let rule = |n| format!("  - {{id: r{n}, match: {{inputs: [a, b]}}, effect: observe}}\n");
    let rules = |count| format!("rules:\n{}", (0..count).map(rule).collect::<String>());
    assert!(faults(&with(&rules(64))).is_empty());
    let found = faults(&with(&rules(65)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1.contains("at most 128 regular expressions"), "{}", found[0].1);
}

#[test]
fn a_document_that_is_wrong_all_over_is_answered_with_a_hundred_faults() {
    let keys: String = (0..5_000).map(|n| format!("k{n}: 1\n")).collect();
    let items = with(&format!("deny_globs: [{}]", "7,".repeat(20_000)));
    for text in [keys, items] {
        assert_eq!(faults(&text).len(), 100);
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = compile(&text, &Dirs::default());
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(text in "[a:\\-\\[\\]{}'\"&*!|>#?, \n]{0,120}") {
        let _ = compile(&text, &Dirs::default());
    }

    #[test]
    fn no_mutation_of_a_policy_makes_it_panic(
        base in prop::sample::select(vec![SHIPPED, VALID, INVALID]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..20_usize, "[-a-z0-9:\\[\\]{}'\"&*!|>#?, \n\\\\]{0,6}"), 1..6),
    ) {
        let mut text: Vec<char> = base.chars().collect();
        for (place, removed, added) in edits {
            let start = place.index(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, added.chars());
            if text.is_empty() {
                text.push('a');
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(faults) = compile(&text, &Dirs::default()) {
            prop_assert!(!faults.is_empty());
        }
    }
}

#[test]
fn budgets_and_prices_are_compiled_and_their_faults_reported() {
    let text = with(
        "budgets:\n- {id: team, match: {principals: ['gpt-*'], models: ['a[1]']}, tokens_per_day: 5, cost_per_day: 1.5}\n\
         prices: {'big': {input: 1, output: 2.5}, 'big-*': {input: 3, output: 4}, 'b*': {input: 5, output: 6}}\n",
    );
    let snapshot = valid(&text);
    let budget = &snapshot.budgets[0];
    let call = |principal, model| {
        budget.applies_to(&life_agent_domain::governance::budget::Call {
            principal,
            agent: None,
            model,
        })
    };
    assert!(call("gpt-1", "a[1]") && !call("gpt-1", "a1") && !call("other", "a[1]"));
    assert_eq!(budget.limits.cost_per_day, Some(1_500_000_000_000));
    let input = |model| snapshot.price(model).map(|price| price.input_micros);
    assert_eq!(input("big"), Some(1_000_000));
    assert_eq!(input("big-1"), Some(3_000_000));
    assert_eq!(input("bo"), Some(5_000_000));
    assert_eq!(input("x"), None);
    for (rest, path) in [
        ("budgets: [{id: a}]", "budgets.0"),
        ("budgets: [{tokens_per_day: 1}]", "budgets.0.id"),
        ("budgets: [{id: A, tokens_per_day: 1}]", "budgets.0.id"),
        ("budgets: [{id: a, tokens_per_day: 0}]", "budgets.0.tokens_per_day"),
        ("budgets: [{id: a, cost_per_day: -1}]", "budgets.0.cost_per_day"),
        ("budgets: [{id: a, tokens_per_hour: 1, tokens_per_day: 1}]", "budgets.0.tokens_per_hour"),
        ("budgets: [{id: a, tokens_per_day: 1}, {id: a, tokens_per_day: 1}]", "budgets.1.id"),
        (
            "budgets: [{id: a, match: {agents: ['']}, tokens_per_day: 1}]",
            "budgets.0.match.agents.0",
        ),
        ("prices: {m: {input: -1, output: 1}}", "prices.m.input"),
        ("prices: {m: {input: .nan, output: 1}}", "prices.m"),
    ] {
        let found = faults(&with(rest));
        assert!(found.iter().any(|(at, _)| at.starts_with(path)), "{rest}: {found:?}");
    }
}
