//! Plans after they are made: listed, looked at, reviewed, and marked once they are a branch.

use life_agent_domain::record::EventKind;
use life_agent_observer::{Extra, Proposal, ProposalRecord, Work};
use life_agent_plans::life::{Decision, ReviewError, Status, review};
use life_agent_plans::record::{Check, Stats};
use life_agent_plans::stale::stale;
use life_agent_plans::store::LoadError;
use serde::{Deserialize, Serialize};

use crate::engine::{Caller, Engine, now, row_data};
use crate::error::EngineError;
use crate::facts::blocking;
use crate::plan::PlanKept;

/// What was said about a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
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

/// A plan in a list.
#[derive(Debug, Clone, Serialize)]
pub struct PlanSummary {
    /// Its id.
    pub id: String,
    /// `created`, `approved`, `rejected` or `branched`.
    pub status: String,
    /// What the change is for.
    pub intent: String,
    /// When it was made: RFC 3339, UTC.
    pub created: String,
    /// The row that created it; the next page begins before it.
    pub event_id: u64,
    /// Who asked for it.
    pub author: String,
    /// How large it is.
    pub stats: Stats,
}

/// A plan in full.
#[derive(Debug, Clone, Serialize)]
pub struct PlanView {
    /// What a list shows of it.
    #[serde(flatten)]
    pub summary: PlanSummary,
    /// What a reviewer should know.
    pub context: String,
    /// The paths that it is about.
    pub target_files: Vec<String>,
    /// Whether files have changed since it was made, so that it no longer applies.
    pub stale: bool,
    /// Those files.
    pub stale_files: Vec<String>,
    /// Whether it has a patch; a statement of intent has none.
    pub has_patch: bool,
    /// What was checked.
    pub checks: Vec<Check>,
    /// The policy that it was made under.
    pub policy_hash: String,
    /// The rules that matched.
    pub applied_policies: Vec<String>,
    /// The commit that the workspace was at, if it is a git tree.
    pub base_commit: Option<String>,
    /// Its record's path.
    pub artifact: String,
    /// What was said about it.
    pub review: Option<Review>,
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
        let status = status.map(Status::as_str);
        let found = self.journal.read(move |reader| reader.proposals(status, before, limit)).await?;
        found.into_iter().map(|record| Ok(summary(&record, &kept(&record)?))).collect()
    }

    /// A plan, and whether it would still apply.
    pub async fn plan_view(&self, id: &str) -> Result<PlanView, EngineError> {
        let found = self.proposal(id).await?;
        let kept = kept(&found)?;
        let (store, tree, id) = (self.store.clone(), self.tree.clone(), kept.id.clone());
        let loaded = blocking(move || {
            let artifact = store.load(&id)?;
            let stale_files = stale(&tree, &artifact.record);
            Ok((artifact, stale_files))
        });
        let (artifact, stale_files) = loaded.await?.map_err(unloaded)?;
        let record = artifact.record;
        if artifact.seal != kept.seal {
            return Err(tampered(&kept.id));
        }
        Ok(PlanView {
            summary: summary(&found, &kept),
            context: record.context,
            target_files: record.targets,
            stale: !stale_files.is_empty(),
            stale_files,
            has_patch: record.patch.is_some(),
            checks: record.checks,
            policy_hash: record.policy_hash,
            applied_policies: record.applied_policies,
            base_commit: record.base_commit,
            artifact: kept.artifact,
            review: kept.review,
        })
    }

    /// A plan's diff, redacted; none for a statement of intent.
    pub async fn plan_patch(&self, id: &str) -> Result<Option<String>, EngineError> {
        let kept = kept(&self.proposal(id).await?)?;
        let (store, id) = (self.store.clone(), kept.id.clone());
        let loaded = blocking(move || {
            let artifact = store.load(&id)?;
            Ok((store.diff(&artifact)?, artifact.seal))
        });
        let (diff, seal) = loaded.await?.map_err(unloaded)?;
        if seal != kept.seal {
            return Err(tampered(&kept.id));
        }
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
        let found = self.proposal(id).await?;
        let mut kept = kept(&found)?;
        let policy = self.policy.in_force();
        let (reviewer, own) = (caller.principal.as_str(), policy.snapshot.policy.plans.self_review);
        let status = review(status_of(&found)?, decision, &kept.author, reviewer, own)?;
        // What is approved is what is there now: a record that was changed since cannot be.
        self.plan_view(id).await?;
        let review = Review {
            decision,
            note: self.redact(note),
            reviewer: reviewer.to_owned(),
            at: now(),
        };
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
            ..found.proposal
        };
        let entry = self.entry(caller, EventKind::PlanReviewed, None, data);
        let work = Work { extra: vec![Extra::Proposal(proposal)], ..Work::of(entry) };
        self.journal.append(work)?.await?;
        self.plan_view(id).await
    }

    async fn proposal(&self, id: &str) -> Result<ProposalRecord, EngineError> {
        let wanted = id.to_owned();
        let found = self.journal.read(move |reader| reader.proposal(&wanted)).await?;
        let shown: String = id.chars().take(64).collect();
        found.ok_or_else(|| EngineError::NotFound(format!("there is no plan `{}`", self.redact(&shown))))
    }
}

fn kept(record: &ProposalRecord) -> Result<PlanKept, EngineError> {
    serde_json::from_str(record.proposal.data.get()).map_err(|error| {
        tracing::error!(%error, plan = record.proposal.id, "a stored plan cannot be read");
        EngineError::Unavailable
    })
}

fn status_of(record: &ProposalRecord) -> Result<Status, EngineError> {
    let named = |status: &Status| status.as_str() == record.proposal.status;
    Status::ALL.into_iter().find(named).ok_or(EngineError::Unavailable)
}

fn summary(record: &ProposalRecord, kept: &PlanKept) -> PlanSummary {
    PlanSummary {
        id: record.proposal.id.clone(),
        status: record.proposal.status.clone(),
        intent: record.proposal.intent.clone(),
        created: record.ts.clone(),
        event_id: record.event_id,
        author: kept.author.clone(),
        stats: kept.stats,
    }
}

fn tampered(id: &str) -> EngineError {
    let why = "its record is not the one that was written; make the plan anew";
    EngineError::Conflict(format!("plan `{id}` has been tampered with: {why}"))
}

fn unloaded(error: LoadError) -> EngineError {
    match error {
        LoadError::NotFound(_) => EngineError::NotFound(error.to_string()),
        LoadError::Tampered { .. } => EngineError::Conflict(error.to_string()),
        LoadError::Io(_) => {
            tracing::error!(%error, "a plan cannot be read");
            EngineError::Unavailable
        }
    }
}

impl From<ReviewError> for EngineError {
    fn from(error: ReviewError) -> Self {
        EngineError::Conflict(error.to_string())
    }
}
