//! The rate gate: the refusal of a caller over its limit states when to retry.

use life_agent_domain::governance::command::Subject;
use life_agent_domain::governance::gate::{
    Gate, GateInputs, Rate, RateLimit, Reason, Refusal, Verdict,
};

/// Refuses requests over the rate. The engine, which has a clock, counts them.
#[derive(Debug, Clone, Copy)]
pub struct RateGate;

impl Gate for RateGate {
    fn name(&self) -> &'static str {
        "rate"
    }

    fn check(&self, _subject: &Subject<'_>, facts: &GateInputs) -> Verdict {
        match facts.rate {
            Some(Rate::Within) => Verdict::pass(),
            Some(Rate::Exceeded { limit, retry_after }) => {
                Verdict::refuse(refusal(limit, retry_after))
            }
            None => {
                let message = "the rate of the caller is unknown; contact the operator";
                Verdict::refuse(Refusal::new(Reason::GateUnavailable, message))
            }
        }
    }
}

/// The refusal of a request over a limit. Its rule is the setting.
pub fn refusal(limit: RateLimit, retry_after: u64) -> Refusal {
    let (retry_after, setting) = (retry_after.max(1), limit.setting());
    Refusal {
        reason: Reason::RateLimited,
        rule: Some(setting.to_owned()),
        message: format!("too many {} ({setting}); try again in {retry_after} s", limit.counts()),
        retry_after: Some(retry_after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::testing::{subject, turn};

    fn exceeded(retry_after: u64) -> Rate {
        Rate::Exceeded { limit: RateLimit::Agent, retry_after }
    }

    #[test]
    fn a_refused_caller_learns_when_to_come_back() {
        for (rate, expected) in
            [(Some(Rate::Within), None), (Some(exceeded(7)), Some(7)), (Some(exceeded(0)), Some(1))]
        {
            let facts = GateInputs { rate, ..GateInputs::default() };
            let refusal = RateGate.check(&subject(&turn("hello")), &facts).refusal;
            assert_eq!(refusal.as_ref().and_then(|refusal| refusal.retry_after), expected);
            assert!(refusal.is_none_or(|refusal| {
                refusal.reason == Reason::RateLimited
                    && refusal.rule.as_deref() == Some("RATE_LIMIT_RPS")
                    && refusal.message.contains("RATE_LIMIT_RPS")
            }));
        }
        let refusal = RateGate.check(&subject(&turn("hello")), &GateInputs::default()).refusal;
        assert!(refusal.is_some_and(|refusal| refusal.reason == Reason::GateUnavailable));
    }
}
