//! The paths gate by table: where targets may lie, and what each refusal says.

use life_agent_domain::governance::command::Gated;

use super::*;
use crate::chain::testing::{facts, plan, policy, subject, turn};

fn gate() -> PathsGate {
    PathsGate::new(policy("deny_globs: ['**/*.pem', 'docs/private/**']"))
}

fn refusal(targets: &[&str], resolved: Option<Vec<TargetFact>>) -> Option<Refusal> {
    let asked = plan("tidy up", "", targets);
    let facts =
        GateInputs { targets: resolved.or(facts(asked.view()).targets), ..GateInputs::default() };
    gate().check(&subject(&asked), &facts).refusal
}

fn inside(path: &str) -> TargetFact {
    TargetFact::Inside { resolved: path.to_owned() }
}

#[test]
fn targets_lie_below_an_allowed_directory_and_match_no_deny_glob() {
    for (target, rule) in [
        ("docs/a.md", None),
        ("docs/deep/er/a.md", None),
        ("./docs/a.md", None),
        ("plans/open/x", None),
        ("docs", None),
        ("doc", Some("allowed_dirs")),
        ("docsx/a.md", Some("allowed_dirs")),
        ("plans/other", Some("allowed_dirs")),
        ("plans/openx/y", Some("allowed_dirs")),
        ("src/main.rs", Some("allowed_dirs")),
        ("docs/key.pem", Some("**/*.pem")),
        ("docs/KEY.PEM", Some("**/*.pem")),
        ("docs/private/a", Some("docs/private/**")),
        ("docs/Private/a", Some("docs/private/**")),
        ("docs/../src/main.rs", Some("path")),
        ("/docs/a.md", Some("path")),
    ] {
        let refused = refusal(&[target], Some(vec![inside(target.trim_start_matches("./"))]));
        assert_eq!(refused.as_ref().and_then(|r| r.rule.as_deref()), rule, "{target}");
        assert!(refused.is_none_or(|r| r.reason == Reason::PathForbidden));
    }
}

#[test]
fn what_the_file_system_says_counts_as_much_as_what_is_written() {
    for (fact, rule) in [
        (inside("docs/a.md"), None),
        (inside("src/main.rs"), Some("allowed_dirs")),
        (inside("docs/private/a"), Some("docs/private/**")),
        (inside(""), Some("allowed_dirs")),
        (TargetFact::Outside, Some("allowed_dirs")),
        (TargetFact::Unreadable, Some("allowed_dirs")),
    ] {
        let refused = refusal(&["docs/a.md"], Some(vec![fact.clone()]));
        assert_eq!(refused.and_then(|r| r.rule).as_deref(), rule, "{fact:?}");
    }
}

#[test]
fn a_refusal_says_which_target_and_what_is_allowed() {
    let refused = refusal(&["docs/a.md", "src/x"], None).unwrap();
    assert_eq!(
        refused.message,
        "`target_paths/1` lies in no allowed directory; allowed are relative paths below `docs`, \
         `plans/open`"
    );
}

#[test]
fn a_fact_that_is_missing_refuses() {
    assert!(refusal(&["docs/a.md"], Some(vec![])).is_some());
    assert!(refusal(&[], Some(vec![])).is_none());
    let nothing_known = gate().check(&subject(&plan("", "", &[])), &GateInputs::default());
    assert!(nothing_known.refusal.is_some());
    let not_about_paths = gate().check(&subject(&turn("hello")), &GateInputs::default());
    assert!(not_about_paths.refusal.is_none());
}

#[test]
fn a_dot_allows_the_whole_workspace_and_the_globs_still_hold() {
    let text = "version: \"1\"\nallowed_dirs: ['.']\ndeny_globs: ['**/*.pem']\n";
    struct AnyDir;
    impl life_agent_policy::snapshot::Workspace for AnyDir {
        fn is_dir(&self, _: &str) -> bool {
            true
        }
    }
    let snapshot = life_agent_policy::snapshot::compile(text, &AnyDir).unwrap();
    let gate = PathsGate::new(Arc::new(snapshot));
    let refused = |path: &str| {
        let asked = plan("", "", &[path]);
        gate.check(&subject(&asked), &facts(asked.view())).refusal.is_some()
    };
    assert!(!refused("a.md") && !refused("src/main.rs"));
    assert!(refused("a.pem") && refused("../a.md"));
}
