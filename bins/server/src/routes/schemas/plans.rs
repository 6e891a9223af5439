//! Change plans, as the document describes them.

use serde::Serialize;
use utoipa::ToSchema;

/// One edit of a plan. Several of one file take effect in their order.
#[derive(Serialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Edit {
    /// The file, which exists, becomes `content`.
    Replace { path: String, content: String },
    /// `search`, which occurs exactly once in the file, becomes `replace`.
    SearchReplace { path: String, search: String, replace: String },
    /// The file, which does not exist, comes into being.
    Create { path: String, content: String },
    /// The file, which exists, goes away.
    Delete { path: String },
}

/// How large a plan is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stats {
    /// Files, a rename counted once.
    files: usize,
    /// Lines added.
    added: usize,
    /// Lines removed.
    removed: usize,
}

/// A plan in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanSummary {
    id: String,
    /// How far it has come.
    status: PlanStatus,
    /// What the change is for.
    intent: String,
    /// When it was made: RFC 3339, UTC.
    created: String,
    /// The row that created it.
    event_id: u64,
    /// Who asked for it.
    author: String,
    /// How large it is.
    stats: Stats,
}

/// How far a plan has come.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlanStatus {
    /// It waits for a review.
    Created,
    /// It may become a branch.
    Approved,
    /// It goes no further.
    Rejected,
    /// Its branch has been made.
    Branched,
}

/// A plan in full.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanView {
    #[serde(flatten)]
    summary: PlanSummary,
    /// What a reviewer should know.
    context: String,
    /// The paths that it is about.
    target_files: Vec<String>,
    /// Whether files have changed since it was made, so that it no longer applies.
    stale: bool,
    /// Those files.
    stale_files: Vec<String>,
    /// Whether it has a patch; a statement of intent has none.
    has_patch: bool,
    /// What was checked.
    checks: Vec<PlanCheck>,
    /// SHA-256 of the policy that it was made under.
    policy_hash: String,
    /// The rules that matched.
    applied_policies: Vec<String>,
    /// The commit that the workspace was at, if it is a git tree.
    base_commit: Option<String>,
    /// Its record's path.
    artifact: String,
    /// The model that wrote the edits; `null` if the author did.
    drafted_by: Option<crate::routes::plan::DraftedBy>,
    /// What was said about it.
    review: Option<PlanReview>,
}

/// One check that a plan passed.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanCheck {
    /// What was checked.
    check: String,
    /// `passed`, or `not_applicable` for a statement of intent.
    result: String,
    /// What it was checked against.
    detail: String,
}

/// What was said about a plan.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanReview {
    decision: PlanDecision,
    /// Why; may be empty.
    note: String,
    /// Who said it: the name of a key.
    reviewer: String,
    /// When: RFC 3339, UTC.
    at: String,
}

/// What a reviewer says.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlanDecision {
    /// It may be carried out.
    Approve,
    /// It may not.
    Reject,
}
