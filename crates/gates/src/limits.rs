//! The rate gate: a caller over its limit is told when to come back.

use life_agent_domain::governance::command::Subject;
use life_agent_domain::governance::gate::{Gate, GateInputs, Rate, Reason, Refusal, Verdict};

/// Refuses what comes too often. The counting is done by whoever has a clock.
#[derive(Debug, Clone, Copy)]
pub struct RateGate;

impl Gate for RateGate {
    fn name(&self) -> &'static str {
        "rate"
    }

    fn check(&self, _subject: &Subject<'_>, facts: &GateInputs) -> Verdict {
        let retry_after = match facts.rate {
            Some(Rate::Within) => return Verdict::pass(),
            Some(Rate::Exceeded { retry_after }) => retry_after.max(1),
            None => {
                let message = "the rate of the caller is unknown; contact the operator";
                return Verdict::refuse(Refusal::new(Reason::GateUnavailable, message));
            }
        };
        Verdict::refuse(Refusal {
            reason: Reason::RateLimited,
            rule: None,
            message: format!("too many requests; try again in {retry_after} s"),
            retry_after: Some(retry_after),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::testing::{subject, turn};

    #[test]
    fn a_refused_caller_learns_when_to_come_back() {
        for (rate, expected) in [
            (Some(Rate::Within), None),
            (Some(Rate::Exceeded { retry_after: 7 }), Some(7)),
            (Some(Rate::Exceeded { retry_after: 0 }), Some(1)),
        ] {
            let facts = GateInputs { rate, ..GateInputs::default() };
            let refusal = RateGate.check(&subject(&turn("hello")), &facts).refusal;
            assert_eq!(refusal.as_ref().and_then(|refusal| refusal.retry_after), expected);
            assert!(refusal.is_none_or(|refusal| refusal.reason == Reason::RateLimited));
        }
        let refusal = RateGate.check(&subject(&turn("hello")), &GateInputs::default()).refusal;
        assert!(refusal.is_some_and(|refusal| refusal.reason == Reason::GateUnavailable));
    }
}
