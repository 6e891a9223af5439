//! The outcome of a request, as its row states it.

use super::kind::EventKind;

/// The outcome of a request, as searches name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was allowed, and no rule that only observes matched.
    Allowed,
    /// It was allowed, although a rule that only observes would have refused it.
    WouldDeny,
    /// It was refused, or needs an approval.
    Denied,
    /// It was allowed and failed.
    Failed,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Outcome; 4] =
        [Outcome::Allowed, Outcome::WouldDeny, Outcome::Denied, Outcome::Failed];

    /// The name in searches and views.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::WouldDeny => "would_deny",
            Outcome::Denied => "denied",
            Outcome::Failed => "failed",
        }
    }

    /// The outcome of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// The outcome that a row of this kind states; `None` for rows that record no outcome of a request.
    /// The SQL views and the dashboard decide it in the same way.
    pub fn of(kind: EventKind, facts: &OutcomeFacts<'_>) -> Option<Self> {
        let passed = match facts.would_deny {
            true => Outcome::WouldDeny,
            false => Outcome::Allowed,
        };
        let if_is = |found: Option<&str>, wanted: &str, otherwise: Outcome| match found {
            Some(found) if found == wanted => passed,
            _ => otherwise,
        };
        match kind {
            EventKind::Denied | EventKind::AuthFailed => Some(Outcome::Denied),
            EventKind::PolicyRejected => Some(Outcome::Failed),
            EventKind::ToolFinished => facts.is_error.then_some(Outcome::Failed),
            EventKind::ToolRequested => Some(if_is(facts.decision, "allow", Outcome::Denied)),
            EventKind::Chat => Some(if_is(facts.outcome, "answered", Outcome::Failed)),
            EventKind::Act | EventKind::Turn | EventKind::Plan => Some(passed),
            _ => None,
        }
    }
}

/// The fields of a row that decide its outcome.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutcomeFacts<'a> {
    /// The field `decision` of a tool call.
    pub decision: Option<&'a str>,
    /// The field `outcome` of a model call.
    pub outcome: Option<&'a str>,
    /// The field `is_error` of a tool's result.
    pub is_error: bool,
    /// Whether a rule that only observes would have refused the request or its response.
    pub would_deny: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_request_has_an_outcome() {
        use EventKind::{
            Act, AuthFailed, Chat, Denied, KillSwitchOn, PolicyRejected, ToolFinished,
            ToolRequested,
        };
        let facts = OutcomeFacts::default();
        let observed = OutcomeFacts { would_deny: true, ..facts };
        let decided = |decision| OutcomeFacts { decision: Some(decision), ..facts };
        let ended = |outcome| OutcomeFacts { outcome: Some(outcome), ..facts };
        for (kind, facts, expected) in [
            (Act, facts, Some("allowed")),
            (Act, observed, Some("would_deny")),
            (Denied, observed, Some("denied")),
            (AuthFailed, facts, Some("denied")),
            (ToolRequested, decided("allow"), Some("allowed")),
            (ToolRequested, decided("ask"), Some("denied")),
            (ToolRequested, decided("deny"), Some("denied")),
            (ToolFinished, OutcomeFacts { is_error: true, ..facts }, Some("failed")),
            (ToolFinished, facts, None),
            (Chat, ended("answered"), Some("allowed")),
            (Chat, OutcomeFacts { would_deny: true, ..ended("answered") }, Some("would_deny")),
            (Chat, ended("stopped"), Some("failed")),
            (Chat, ended("withheld"), Some("failed")),
            (PolicyRejected, facts, Some("failed")),
            (KillSwitchOn, facts, None),
        ] {
            let outcome = Outcome::of(kind, &facts).map(Outcome::as_str);
            assert_eq!(outcome, expected, "{kind:?} {facts:?}");
        }
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_name(outcome.as_str()), Some(outcome));
        }
    }
}
