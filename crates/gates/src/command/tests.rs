//! Promises of the parser and the rules.

mod cases;
mod properties;

use super::*;

#[test]
fn the_pack_compiles_and_its_examples_hold() {
    assert!(pack::PACK.faults.is_empty(), "{:?}", pack::PACK.faults);
    let mut wrong = Vec::new();
    for rule in &pack::PACK.rules {
        for example in &rule.examples {
            let found = assess(example, &CommandContext::default());
            if !found.has(rule.effect) {
                wrong.push(format!("{}: `{example}` is {:?}", rule.id, found.effects));
            }
        }
        for example in &rule.counterexamples {
            let found = assess(example, &CommandContext::default());
            let by_rule = found.parts.iter().any(|part| part.rule.as_ref() == Some(&rule.id));
            if by_rule {
                wrong.push(format!("{}: `{example}` matches", rule.id));
            }
        }
        if rule.examples.is_empty() || rule.counterexamples.is_empty() {
            wrong.push(format!("{}: examples and counterexamples are missing", rule.id));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
