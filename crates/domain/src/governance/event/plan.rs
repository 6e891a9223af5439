//! `obs.plan`, `plan.created` and `plan.reviewed`: change plans and their reviews.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::chat::Fallback;
use super::kind::EventKind;
use super::row::Record;
use super::step::Actor;
use crate::governance::gate::GateNotes;

/// The payload of `obs.plan`: a plan request that passed the gates.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanRecord<'a> {
    /// The purpose of the change, in one line.
    pub intent: Cow<'a, str>,
    /// Notes for reviewers.
    pub context: Cow<'a, str>,
    /// The paths that the plan names.
    pub target_paths: Cow<'a, [String]>,
    /// The findings of the gates.
    #[serde(flatten)]
    pub notes: Cow<'a, GateNotes>,
}

impl Record for PlanRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::Plan];
}

/// The payload of `plan.created`. The plans table keeps the same data, with the review once it exists.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanCreatedRecord {
    /// The plan's id.
    pub id: String,
    /// The name of the caller.
    pub author: String,
    /// The person accountable for the caller, who may not approve the plan either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_person: Option<String>,
    /// The artifact's path.
    pub artifact: String,
    /// The digest of the artifact: only this artifact may be approved and branched.
    pub seal: String,
    /// The size of the change.
    pub stats: Stats,
    /// The model that wrote the edits, if the author did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drafted_by: Option<DraftedBy>,
    /// The turn of the model that asked for the plan, if no caller did.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<ModelTurn>,
    /// Why there is no draft although a model should have written one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// The review; only in the plans table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

impl Record for PlanCreatedRecord {
    const KINDS: &'static [EventKind] = &[EventKind::PlanCreated];
}

/// The size of a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stats {
    /// Touched files; a rename counts once.
    pub files: usize,
    /// Added lines.
    pub added: usize,
    /// Removed lines.
    pub removed: usize,
}

/// The model that wrote the edits of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DraftedBy {
    /// The provider's name for the model.
    pub model: String,
    /// The number of drafts.
    pub rounds: usize,
    /// The rows of the model calls.
    pub exchanges: Vec<u64>,
}

/// The turn in which a model asked for something of its own accord.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelTurn {
    /// Always `model`.
    pub by: Actor,
    /// The agent.
    pub agent_id: String,
    /// The number of the agent's turn.
    pub turn: u64,
}

/// The payload of `plan.reviewed`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanReviewedRecord<'a> {
    /// The plan's id.
    pub id: Cow<'a, str>,
    /// The status after the review.
    pub status: Cow<'a, str>,
    /// The digest of the reviewed artifact.
    pub seal: Cow<'a, str>,
    /// The review.
    #[serde(flatten)]
    pub review: Cow<'a, Review>,
}

impl Record for PlanReviewedRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::PlanReviewed];
}

/// A review of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = PlanReview))]
pub struct Review {
    /// The decision.
    pub decision: ReviewDecision,
    /// The reviewer's note; may be empty.
    pub note: String,
    /// The name of the reviewer.
    pub reviewer: String,
    /// The time: RFC 3339, UTC.
    pub at: String,
}

/// A reviewer's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = PlanDecision))]
pub enum ReviewDecision {
    /// The plan may become a branch.
    Approve,
    /// The plan is closed.
    Reject,
}
