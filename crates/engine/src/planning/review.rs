//! Plans after their creation: listed, viewed and reviewed.

use std::borrow::Cow;
use std::sync::Arc;

use life_agent_domain::governance::event::{PlanReviewedRecord, Review};
use life_agent_observer::{Journal, Precondition, Proposal, SideWrite};
use life_agent_plans::life::{Decision, ReviewError, Status, review};
use life_agent_plans::store::LoadError;

use super::repository::{PlanRepository, PlanSummary, PlanView, StoredPlan};
use crate::blocking::blocking;
use crate::clock::Timestamps;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::evidence::PlanEvidence;
use crate::policy::PolicyCell;
use crate::recorder::{Batch, Recorder, raw_json};

/// Reads and reviews plans.
pub(crate) struct PlanReviews {
    repository: PlanRepository,
    journal: Journal,
    policy: Arc<PolicyCell>,
    recorder: Recorder,
    timestamps: Timestamps,
    /// Held during a review.
    reviewing: tokio::sync::Mutex<()>,
}

impl PlanReviews {
    pub(crate) fn new(
        repository: PlanRepository,
        journal: Journal,
        policy: Arc<PolicyCell>,
        recorder: Recorder,
        timestamps: Timestamps,
    ) -> Self {
        let reviewing = tokio::sync::Mutex::default();
        Self { repository, journal, policy, recorder, timestamps, reviewing }
    }

    /// Plans of one status or of all, newest first, older than the row `before`.
    pub(crate) async fn list(
        &self,
        status: Option<Status>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<PlanSummary>, EngineError> {
        let list = self.read(move |repository| Ok(repository.list(status, before, limit)));
        let mut list = list.await?;
        while let Some((status, before)) = list.next_page() {
            let page = self.journal.proposals(status.map(str::to_owned), before, limit).await?;
            list.add(page)?;
        }
        Ok(list.plans)
    }

    /// A plan and whether it still applies.
    pub(crate) async fn view(&self, id: &str) -> Result<PlanView, EngineError> {
        let plan = self.stored_plan(&self.policy.redact(id)).await?;
        self.read(move |repository| repository.view(&plan)).await
    }

    /// A plan's diff, redacted; `None` for a statement of intent.
    pub(crate) async fn patch(&self, id: &str) -> Result<Option<String>, EngineError> {
        let plan = self.stored_plan(&self.policy.redact(id)).await?;
        let diff = self.read(move |repository| repository.diff(&plan)).await?;
        Ok(diff.map(|diff| self.policy.redact(&diff)))
    }

    /// Approves or rejects a plan. A review is final.
    pub(crate) async fn review(
        &self,
        context: &RequestContext,
        id: &str,
        decision: Decision,
        note: &str,
    ) -> Result<PlanView, EngineError> {
        // Serialized, so that the second of two reviews fails.
        let _order = self.reviewing.lock().await;
        let found = self.stored_plan(&self.policy.redact(id)).await?;
        found.check(&PlanEvidence::of(&self.journal, &found.record).await?)?;
        let policy = self.policy.active();
        let (reviewer, own) =
            (context.principal.as_str(), policy.snapshot.policy.plans.self_review);
        let status = review(found.reviewed_status(), decision, &found.kept.author, reviewer, own)?;
        // Fails if the artifact was changed since.
        self.view(id).await?;
        let review = Review {
            decision,
            note: self.policy.redact(note),
            reviewer: reviewer.to_owned(),
            at: self.timestamps.text(),
        };
        let status_before = found.reviewed_status();
        let mut kept = found.kept;
        let record = PlanReviewedRecord {
            id: kept.id.clone().into(),
            status: status.as_str().into(),
            seal: kept.seal.clone().into(),
            review: Cow::Owned(review.clone()),
        };
        kept.review = Some(review);
        let proposal = Proposal {
            status: status.as_str().to_owned(),
            data: raw_json(&kept)?,
            ..found.record.proposal
        };
        let mut batch = Batch::new(context, &policy.snapshot.hash);
        batch.require(Precondition::Plan {
            id: proposal.id.clone(),
            status: Some(status_before.as_str().to_owned()),
        });
        batch.push(None, &record)?;
        batch.extend([SideWrite::Proposal(proposal)]);
        self.recorder.commit(batch).await?;
        self.view(id).await
    }

    async fn stored_plan(&self, id: &str) -> Result<StoredPlan, EngineError> {
        let plan = StoredPlan::read(id, self.journal.proposal(id).await?)?;
        plan.check_shown(&PlanEvidence::of(&self.journal, &plan.record).await?)?;
        if self.journal.is_shared() {
            self.export(&plan.kept.id).await?;
        }
        Ok(plan)
    }

    /// Brings a plan of another instance into the folder. Its seal proves that it is the one that was made.
    async fn export(&self, id: &str) -> Result<(), EngineError> {
        let wanted = id.to_owned();
        let load = self.read(move |repository| Ok(repository.store.load(&wanted)));
        if !matches!(load.await?, Err(LoadError::NotFound(_))) {
            return Ok(());
        }
        // The patch first, so that a record never lacks its patch.
        let mut files = self.journal.plan_files(id).await?;
        files.sort_by_key(|file| file.name.ends_with(".json"));
        let placed = self.read(move |repository| {
            let store = &repository.store;
            Ok(files.iter().try_for_each(|file| store.restore(&file.name, &file.content)))
        });
        placed.await?.map_err(|error| {
            tracing::error!(%error, "a plan of another instance cannot be exported");
            EngineError::PlansUnavailable
        })
    }

    /// Runs `look`, which reads files and git, on a blocking thread.
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&PlanRepository) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let repository = self.repository.clone();
        blocking(move || look(&repository)).await?
    }
}

impl From<ReviewError> for EngineError {
    fn from(error: ReviewError) -> Self {
        EngineError::Conflict(error.to_string())
    }
}
