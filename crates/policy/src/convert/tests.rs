//! Documents of Version_7 and their conversions.

use proptest::prelude::*;

use super::*;
use crate::document::RuleEffect;
use crate::snapshot::{Snapshot, compile};

fn converted(text: &str) -> (Snapshot, Vec<String>) {
    let converted = convert(text).unwrap();
    let snapshot = compile(&converted.text, &AnyDirectory)
        .unwrap_or_else(|faults| panic!("{faults:#?} in\n{}", converted.text));
    assert_eq!(snapshot.policy.allowed_dirs, converted.allowed_dirs);
    (snapshot, converted.notes.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn noted(notes: &[String], path: &str, line: usize) {
    let place = format!("(line {line}");
    let found =
        notes.iter().any(|note| note.starts_with(&format!("`{path}`")) && note.contains(&place));
    assert!(found, "no note on `{path}` in line {line}: {notes:#?}");
}

#[test]
fn the_schema_of_its_policy_file_is_kept() {
    let text = "version: 1\nallowed_dirs:\n  - ./allowed/\n  - /srv/api\ndeny_globs:\n  - '**/*.env'\n  \
                - ../x\nmax_diff_lines: 300\nllm:\n  model: llama-3.3-70b-versatile\n  \
                temperature: 0.5\n  max_tokens: 4096\n";
    let (snapshot, notes) = converted(text);
    let policy = &snapshot.policy;
    assert_eq!(policy.allowed_dirs, ["allowed"]);
    assert_eq!(policy.deny_globs, ["**/*.env"]);
    assert_eq!((policy.max_diff_lines, policy.llm.max_tokens), (300, 4096));
    assert_eq!((policy.llm.model.as_str(), policy.llm.temperature), ("openai/gpt-oss-120b", 0.5));
    noted(&notes, "allowed_dirs.1", 4);
    noted(&notes, "deny_globs.1", 7);
    noted(&notes, "llm.model", 10);
    assert_eq!(notes.len(), 3, "{notes:#?}");
}

#[test]
fn rules_with_actions_get_an_effect_and_regular_expressions_become_globs() {
    let text = "rules:\n  - id: Allow Docs\n    description: About docs.\n    match:\n      intents: \
                ['(?i)docs']\n    actions: {allow: true}\n  - id: no-secrets\n    match:\n      \
                targets: ['^((keys|vault)/).*']\n    actions: {allow: false}\n";
    let (snapshot, notes) = converted(text);
    let rules = &snapshot.policy.rules;
    assert_eq!(snapshot.policy.allowed_dirs, ["plans"]);
    assert_eq!((rules[0].id.as_str(), rules[0].effect), ("allow-docs", RuleEffect::Allow));
    assert_eq!(rules[0].description.as_deref(), Some("About docs."));
    assert_eq!(rules[0].matches.intents, ["(?i)docs"]);
    assert_eq!((rules[1].id.as_str(), rules[1].effect), ("no-secrets", RuleEffect::Deny));
    assert_eq!(rules[1].matches.targets, ["keys/**", "vault/**"]);
    assert!(snapshot.rules[1].targets.is_match("keys/a/b"));
    noted(&notes, "rules.0.id", 2);
}

#[test]
fn denied_paths_become_globs_and_what_always_holds_is_said() {
    let text = "version: 1\nallowed_dirs: [plans]\nrules:\n  - id: pr_only\n    enforce: true\n  - id: \
                paths\n    paths_deny:\n      - ../\n      - /etc\n      - secrets/\n";
    let (snapshot, notes) = converted(text);
    assert_eq!(snapshot.policy.deny_globs, ["secrets"]);
    assert!(snapshot.policy.rules.is_empty());
    noted(&notes, "rules.0.enforce", 5);
    noted(&notes, "rules.1.paths_deny.0", 8);
    noted(&notes, "rules.1.paths_deny.1", 9);
}

#[test]
fn everything_unknown_is_reported_with_its_line() {
    let text = "version: 1\nname: team\nallowed_dirs: [api]\nreviews:\n  min_reviewers: 2\nrules:\n  - \
                id: big\n    condition: 'lines > 800'\n    action: deny\n  - id: push\n    match: \
                '--force'\n    action: deny\n  - text\nmax_diff_lines: many\n";
    let (snapshot, notes) = converted(text);
    assert!(snapshot.policy.rules.is_empty(), "a rule without its condition would match more");
    noted(&notes, "name", 2);
    noted(&notes, "reviews", 4);
    noted(&notes, "rules.0.condition", 8);
    noted(&notes, "rules.1.match", 11);
    noted(&notes, "rules.2", 13);
    noted(&notes, "max_diff_lines", 14);
}

#[test]
fn a_valid_policy_is_returned_as_it_is() {
    for text in [
        include_str!("../../../../policy/policy.yaml"),
        include_str!("../../../../policies/valid.yaml"),
        include_str!("../../../../policies/strict.yaml"),
    ] {
        let converted = convert(text).unwrap();
        assert_eq!((converted.text.as_str(), converted.notes.len()), (text, 0));
    }
}

#[test]
fn a_text_that_is_no_document_is_refused() {
    for text in ["", "- a\n", "x: [", "just text"] {
        assert!(!convert(text).unwrap_err().is_empty(), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_converted_is_valid_and_converting_it_again_changes_nothing(
        dirs in prop::collection::vec("[a-z./]{0,8}", 0..4),
        globs in prop::collection::vec("[a-z*/.\\[]{0,8}", 0..4),
        id in "\\PC{0,12}",
        target in "[\\^a-z/.*()|$]{0,12}",
        allow in any::<bool>(),
        lines in any::<i32>(),
    ) {
        let old = serde_json::json!({
            "version": 1, "allowed_dirs": dirs, "deny_globs": globs, "max_diff_lines": lines,
            "rules": [{"id": id, "match": {"targets": [target]}, "actions": {"allow": allow}}],
        });
        let once = convert(&old.to_string()).unwrap();
        let again = convert(&once.text).unwrap();
        prop_assert_eq!(&again.text, &once.text);
        prop_assert!(again.notes.is_empty());
        prop_assert!(compile(&once.text, &AnyDirectory).is_ok());
    }
}
