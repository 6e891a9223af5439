//! One number for how risky a request looks.

use crate::governance::gate::finding::Finding;

/// 0 for nothing found up to 1: `1 - (1-w1)(1-w2)…` over the weights of the distinct rules that found
/// something, rounded to hundredths. Each further rule adds, none takes it beyond 1, and the same
/// rule found a hundred times counts once.
pub fn of(findings: &[Finding]) -> f64 {
    if findings.is_empty() {
        return 0.0;
    }
    let first_of_its_rule = |index: &usize| {
        findings[..*index].iter().all(|earlier| earlier.rule != findings[*index].rule)
    };
    let clean: f64 = (0..findings.len())
        .filter(first_of_its_rule)
        .map(|index| 1.0 - findings[index].weight.clamp(0.0, 1.0))
        .product();
    ((1.0 - clean) * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::gate::Effect;

    fn finding(rule: &str, weight: f64) -> Finding {
        Finding {
            gate: "",
            category: "url",
            rule: rule.to_owned(),
            effect: Effect::Observe,
            field: "input".to_owned(),
            start: 0,
            end: 1,
            weight,
        }
    }

    #[test]
    fn each_rule_counts_once_and_the_sum_stays_below_one() {
        assert_eq!(of(&[]), 0.0);
        assert_eq!(of(&[finding("a", 0.5)]), 0.5);
        assert_eq!(of(&[finding("a", 0.5), finding("a", 0.5)]), 0.5);
        assert_eq!(of(&[finding("a", 0.5), finding("b", 0.5)]), 0.75);
        assert_eq!(of(&[finding("a", 7.0), finding("b", f64::MIN)]), 1.0);
    }
}
