//! Plans after they are made: listed, looked at, and reviewed once and for all.

use life_agent_domain::governance::event::EventKind;
use life_agent_observer::{Precondition, Proposal, SideWrite, WriteBatch};
use life_agent_plans::life::{Decision, ReviewError, Status, review};
use serde::{Deserialize, Serialize};

use crate::engine::{Caller, Engine, now, row_data};
use crate::error::EngineError;
use crate::facts::blocking;
use crate::shelf::{PlanSummary, PlanView, Shelf, StoredPlan};

/// What was said about a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = PlanReview))]
pub struct Review {
    /// `approve` or `reject`.
    pub decision: Decision,
    /// Why; may be empty.
    pub note: String,
    /// Who said it: the name of a key.
    pub reviewer: String,
    /// When: RFC 3339, UTC.
    pub at: String,
}

#[derive(Serialize)]
struct Reviewed<'a> {
    id: &'a str,
    status: &'a str,
    seal: &'a str,
    #[serde(flatten)]
    review: &'a Review,
}

impl Engine {
    /// Plans, newest first: of one status or of all, older than the row `before` if given.
    pub async fn plans(
        &self,
        status: Option<Status>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<PlanSummary>, EngineError> {
        let list = self.on_shelf(move |shelf| Ok(shelf.list(status, before, limit)));
        let mut list = list.await?;
        while let Some((status, before)) = list.next_page() {
            let page = self.journal.proposals(status.map(str::to_owned), before, limit).await?;
            list.add(page)?;
        }
        Ok(list.plans)
    }

    /// A plan, and whether it would still apply.
    pub async fn plan_view(&self, id: &str) -> Result<PlanView, EngineError> {
        let plan = self.stored_plan(&self.redact(id)).await?;
        self.on_shelf(move |shelf| shelf.view(&plan)).await
    }

    /// A plan's diff, redacted; none for a statement of intent.
    pub async fn plan_patch(&self, id: &str) -> Result<Option<String>, EngineError> {
        let plan = self.stored_plan(&self.redact(id)).await?;
        let diff = self.on_shelf(move |shelf| shelf.diff(&plan)).await?;
        Ok(diff.map(|diff| self.redact(&diff)))
    }

    /// Approves or rejects a plan, once and for all.
    pub async fn review_plan(
        &self,
        caller: &Caller,
        id: &str,
        decision: Decision,
        note: &str,
    ) -> Result<PlanView, EngineError> {
        // One at a time, so that of two reviews the first counts and the second hears of it.
        let _order = self.reviewing.lock().await;
        let found = self.stored_plan(&self.redact(id)).await?;
        let policy = self.policy.in_force();
        let (reviewer, own) = (caller.principal.as_str(), policy.snapshot.policy.plans.self_review);
        let status = review(found.reviewed_status(), decision, &found.kept.author, reviewer, own)?;
        // What is approved is what is there now: a record that was changed since cannot be.
        self.plan_view(id).await?;
        let review =
            Review { decision, note: self.redact(note), reviewer: reviewer.to_owned(), at: now() };
        let status_before = found.reviewed_status();
        let mut kept = found.kept;
        let data = row_data(&Reviewed {
            id: &kept.id,
            status: status.as_str(),
            seal: &kept.seal,
            review: &review,
        })?;
        kept.review = Some(review);
        let proposal = Proposal {
            status: status.as_str().to_owned(),
            data: row_data(&kept)?,
            ..found.record.proposal
        };
        let entry = self.entry(caller, EventKind::PlanReviewed, None, data);
        let unchanged = Precondition::Plan {
            id: proposal.id.clone(),
            status: Some(status_before.as_str().to_owned()),
        };
        let work = WriteBatch {
            preconditions: vec![unchanged],
            side_writes: caller.marked(vec![SideWrite::Proposal(proposal)]),
            ..WriteBatch::of(entry)
        };
        self.journal.append(work)?.await?;
        self.plan_view(id).await
    }

    async fn stored_plan(&self, id: &str) -> Result<StoredPlan, EngineError> {
        StoredPlan::read(id, self.journal.proposal(id).await?)
    }

    /// Runs `look` on a thread where blocking is allowed: it reads files and git.
    async fn on_shelf<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shelf) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let shelf = self.shelf.clone();
        blocking(move || look(&shelf)).await?
    }
}

impl From<ReviewError> for EngineError {
    fn from(error: ReviewError) -> Self {
        EngineError::Conflict(error.to_string())
    }
}
