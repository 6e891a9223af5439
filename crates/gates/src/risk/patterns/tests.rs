//! Every pattern finds its examples, leaves its counter-examples, and is told apart by its id.

use std::collections::BTreeSet;

use super::*;
use crate::risk::built_in::find_in;

#[test]
fn each_pattern_finds_its_examples_and_leaves_its_counter_examples() {
    let mut wrong = Vec::new();
    let everyday = all().into_iter().flat_map(|(_, patterns)| patterns);
    let all = everyday.chain(provenance::DESCRIPTIONS).chain(provenance::RESULTS);
    for pattern in all {
        let (examples, counter_examples) = (pattern.examples, pattern.counter_examples);
        assert!(!examples.is_empty() && !counter_examples.is_empty(), "{}", pattern.id);
        let missed = examples.iter().filter(|text| !find_in(pattern, text));
        wrong.extend(missed.map(|text| format!("{} misses `{text}`", pattern.id)));
        let found = counter_examples.iter().filter(|text| find_in(pattern, text));
        wrong.extend(found.map(|text| format!("{} finds `{text}`", pattern.id)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_policy_knows_every_id() {
    let mut ids: Vec<_> = all().into_iter().flat_map(|(_, list)| list).map(|it| it.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, life_agent_policy::built_in::PATTERNS);
}

#[test]
fn ids_are_unique_and_fit_for_labels() {
    let mut seen = BTreeSet::new();
    for (_, patterns) in all() {
        for pattern in patterns {
            assert!(seen.insert(pattern.id), "{} twice", pattern.id);
            assert!(
                pattern
                    .id
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
            assert!((0.0..=1.0).contains(&pattern.weight), "{}", pattern.id);
        }
    }
}

#[test]
fn each_pattern_is_documented() {
    let others = include_str!("../../../../../docs/patterns.md");
    let secrets = include_str!("../../../../../docs/secrets.md");
    for (category, patterns) in all() {
        let (name, page) = match category {
            Category::Secrets => ("secrets", secrets),
            _ => ("patterns", others),
        };
        for pattern in patterns {
            let line = format!("| `{}` | {} |", pattern.id, pattern.description);
            assert!(page.contains(&line), "docs/{name}.md lacks {category:?}: {line}");
        }
    }
}
