//! The status of a plan: created, approved or rejected, and once approved, branched.

pub use life_agent_domain::governance::event::ReviewDecision as Decision;
use serde::{Deserialize, Serialize};

/// The status of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = PlanStatus))]
pub enum Status {
    /// It waits for a review.
    Created,
    /// It may become a branch.
    Approved,
    /// It goes no further.
    Rejected,
    /// Its branch has been made.
    Branched,
}

impl Status {
    /// Every status, in the order of a plan's life.
    pub const ALL: [Status; 4] =
        [Status::Created, Status::Approved, Status::Rejected, Status::Branched];

    /// The name in answers and filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Approved => "approved",
            Status::Rejected => "rejected",
            Status::Branched => "branched",
        }
    }
}

/// Why a review was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// The plan has been reviewed.
    #[error("the plan is `{}` already; a review cannot be changed, make a new plan", .0.as_str())]
    Decided(Status),
    /// The author tried to approve the plan.
    #[error("the author of a plan cannot approve it; let another caller review it")]
    OwnPlan,
}

/// The status that a review leads to. An author may always withdraw the own plan; approving it takes
/// `plans.self_review` in the policy.
pub fn review(
    status: Status,
    decision: Decision,
    author: &str,
    reviewer: &str,
    self_review: bool,
) -> Result<Status, ReviewError> {
    match (status, decision) {
        (Status::Created, Decision::Reject) => Ok(Status::Rejected),
        (Status::Created, Decision::Approve) if author == reviewer && !self_review => {
            Err(ReviewError::OwnPlan)
        }
        (Status::Created, Decision::Approve) => Ok(Status::Approved),
        (decided, _) => Err(ReviewError::Decided(decided)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_approves_the_own_plan_unless_the_policy_says_so() {
        let review = |author, decision, own| review(Status::Created, decision, author, "ann", own);
        assert_eq!(review("bob", Decision::Approve, false), Ok(Status::Approved));
        assert_eq!(review("ann", Decision::Approve, false), Err(ReviewError::OwnPlan));
        assert_eq!(review("ann", Decision::Approve, true), Ok(Status::Approved));
        assert_eq!(review("ann", Decision::Reject, false), Ok(Status::Rejected));
    }

    #[test]
    fn a_review_is_final() {
        for status in [Status::Approved, Status::Rejected, Status::Branched] {
            for decision in [Decision::Approve, Decision::Reject] {
                let again = review(status, decision, "bob", "ann", true);
                assert_eq!(again, Err(ReviewError::Decided(status)));
            }
        }
    }
}
