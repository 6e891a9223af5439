//! The repository of plans: records in the plans folder, their branches in the workspace's repository. Their
//! status is in the journal. Used by the engine and, with a read-only journal, by commands.

use std::collections::HashSet;
use std::sync::Arc;

use life_agent_domain::governance::event::{Actor, Fallback, PlanCreatedRecord, Review};
use life_agent_observer::{Journal, ProposalRecord};
use life_agent_plans::branch::{self, Branch, BranchError};
use life_agent_plans::life::Status;
use life_agent_plans::record::{Check, DraftedBy, Stats};
use life_agent_plans::stale::stale;
use life_agent_plans::store::{Artifact, LoadError, Store};
use life_agent_plans::tree::Tree;
use serde::Serialize;

use crate::config::Config;
use crate::error::{EngineError, OpenError};

/// The plans folder and the workspace.
#[derive(Clone)]
pub struct PlanRepository {
    pub(crate) store: Store,
    pub(crate) tree: Arc<Tree>,
}

/// A plan in a list.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanSummary {
    /// Its id.
    pub id: String,
    /// `created`, `approved`, `rejected`, or `branched`: approved, and its branch exists.
    pub status: Status,
    /// The purpose of the change.
    pub intent: String,
    /// The creation time: RFC 3339, UTC.
    pub created: String,
    /// The row that created it; the next page starts before this row.
    pub event_id: u64,
    /// The name of the author.
    pub author: String,
    /// The person accountable for the author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_person: Option<String>,
    /// The size of the change.
    pub stats: Stats,
}

/// A plan in full.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanView {
    /// The summary.
    #[serde(flatten)]
    pub summary: PlanSummary,
    /// Notes for reviewers.
    pub context: String,
    /// The paths that the plan names.
    pub target_files: Vec<String>,
    /// Whether files changed since, so that the plan no longer applies.
    pub stale: bool,
    /// The changed files.
    pub stale_files: Vec<String>,
    /// Whether it has a patch; a statement of intent has none.
    pub has_patch: bool,
    /// The checks and their results.
    pub checks: Vec<Check>,
    /// The hash of the policy under which it was made.
    pub policy_hash: String,
    /// The rules that matched.
    pub applied_policies: Vec<String>,
    /// The commit of the workspace, if it is a git tree.
    pub base_commit: Option<String>,
    /// Its record's path.
    pub artifact: String,
    /// The model that wrote the edits, if the author did not.
    pub drafted_by: Option<DraftedBy>,
    /// Set if a model asked for it during a turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// The agent of that turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The number of that turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<u64>,
    /// Why there is no draft although a model should have written one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// The review.
    pub review: Option<Review>,
}

/// A plan as the journal stores it.
pub struct StoredPlan {
    pub(crate) record: ProposalRecord,
    pub(crate) kept: PlanCreatedRecord,
    status: Status,
}

impl StoredPlan {
    /// The plan as the table has it.
    pub fn record(&self) -> &ProposalRecord {
        &self.record
    }
}

/// A list of plans that is being collected page by page.
pub struct PlanList {
    /// The plans so far, newest first.
    pub plans: Vec<PlanSummary>,
    status: Option<Status>,
    before: Option<u64>,
    limit: usize,
    branched: HashSet<String>,
    complete: bool,
}

impl PlanList {
    /// The stored status and the cursor of the next page of records; `None` once the list is complete.
    pub fn next_page(&self) -> Option<(Option<&'static str>, Option<u64>)> {
        // The journal knows approved plans only; git knows which of them have a branch.
        let stored = match self.status {
            Some(Status::Branched) => Some(Status::Approved),
            other => other,
        };
        (!self.complete).then(|| (stored.map(Status::as_str), self.before))
    }

    /// Adds a page of at most [`PlanList::limit`] records.
    ///
    /// # Errors
    /// A record is not a plan.
    pub fn add(&mut self, page: Vec<ProposalRecord>) -> Result<(), EngineError> {
        let last = page.len() < self.limit;
        self.before = page.last().map(|record| record.event_id);
        for record in page {
            let summary = StoredPlan::parse(record)?.summary(&self.branched);
            if self.status.is_none_or(|status| status == summary.status) {
                self.plans.push(summary);
            }
        }
        self.complete = last || self.plans.len() >= self.limit;
        self.plans.truncate(self.limit);
        Ok(())
    }

    /// Upper bound on the records of a page and on the plans of the list.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl PlanRepository {
    /// The repository that `config` names.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let tree =
            Tree::open(&config.workspace_dir).map_err(OpenError::at(&config.workspace_dir))?;
        let store = Store::open(&config.plans_dir).map_err(OpenError::at(&config.plans_dir))?;
        Ok(Self { store, tree: Arc::new(tree) })
    }

    /// An empty list of plans, newest first: of one status or of all, older than the row `before` if given.
    pub fn list(&self, status: Option<Status>, before: Option<u64>, limit: usize) -> PlanList {
        let branched = branch::all(&self.tree);
        PlanList { plans: Vec::new(), status, before, limit, branched, complete: false }
    }

    /// A plan, and whether it would still apply.
    pub fn view(&self, found: &StoredPlan) -> Result<PlanView, EngineError> {
        let record = self.artifact(found)?.record;
        let stale_files = stale(&self.tree, &record);
        Ok(PlanView {
            summary: found.summary(&branch::all(&self.tree)),
            context: record.context,
            target_files: record.targets,
            stale: !stale_files.is_empty(),
            stale_files,
            has_patch: record.patch.is_some(),
            checks: record.checks,
            policy_hash: record.policy_hash,
            applied_policies: record.applied_policies,
            base_commit: record.base_commit,
            artifact: found.kept.artifact.clone(),
            drafted_by: record.drafted_by,
            by: record.asked_by.as_ref().map(|turn| turn.by),
            turn: record.asked_by.as_ref().map(|turn| turn.turn),
            agent_id: record.asked_by.map(|turn| turn.agent_id),
            fallback: record.fallback,
            review: found.kept.review.clone(),
        })
    }

    /// A plan's diff; `None` for a statement of intent. It quotes the workspace: redact it before showing it to a
    /// caller.
    pub fn diff(&self, found: &StoredPlan) -> Result<Option<String>, EngineError> {
        let artifact = self.artifact(found)?;
        Ok(self.store.diff(&artifact)?)
    }

    /// Creates the branch of an approved plan.
    pub fn branch(&self, found: &StoredPlan) -> Result<Branch, BranchError> {
        let StoredPlan { kept, status, .. } = found;
        branch::branch(&self.tree, &self.store, &kept.id, *status, &kept.seal)
    }

    /// The existing branch of an approved plan, verified against the plan, so that an interrupted operation can
    /// continue.
    pub fn existing_branch(&self, found: &StoredPlan) -> Result<Branch, BranchError> {
        let StoredPlan { kept, status, .. } = found;
        if *status != Status::Approved {
            return Err(BranchError::Unapproved { id: kept.id.clone(), status: *status });
        }
        branch::existing(&self.tree, &self.store, &kept.id, &kept.seal)
    }

    /// Whether the workspace's repository has the remote.
    pub fn check_remote(&self, remote: &str) -> Result<(), BranchError> {
        branch::check_remote(&self.tree, remote)
    }

    /// Completes or removes artifacts of interrupted requests. Call it only before the engine accepts plans.
    pub(crate) async fn recover(&self, journal: &Journal) -> std::io::Result<()> {
        if journal.sharing().is_some_and(|sharing| !sharing.was_alone) {
            // Another instance may be writing to the same folder.
            return Ok(());
        }
        let mut recorded = HashSet::new();
        for id in self.store.pending_ids()? {
            let found = journal.proposal(&id).await.map_err(std::io::Error::other)?;
            recorded.extend(found.map(|_| id));
        }
        match self.store.recover(|id| recorded.contains(id))? {
            (0, 0) => {}
            (published, removed) => {
                tracing::info!(published, removed, "settled plans that were interrupted");
            }
        }
        Ok(())
    }

    /// Pushes a plan's branch to a remote of the workspace's repository.
    pub fn push(&self, id: &str, remote: &str) -> Result<(), BranchError> {
        branch::push(&self.tree, id, remote)
    }

    /// The artifact, if it is unchanged.
    fn artifact(&self, found: &StoredPlan) -> Result<Artifact, EngineError> {
        let artifact = self.store.load(&found.kept.id)?;
        if artifact.seal != found.kept.seal {
            let why = "its record is not the one that was written; create the plan again";
            let id = &found.kept.id;
            return Err(EngineError::Conflict(format!(
                "plan `{id}` has been tampered with: {why}"
            )));
        }
        Ok(artifact)
    }
}

impl StoredPlan {
    /// The plan `id` from its record.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] without a record, or the record is not a plan.
    pub fn read(id: &str, record: Option<ProposalRecord>) -> Result<Self, EngineError> {
        match record {
            Some(record) => Self::parse(record),
            None => {
                let shown: String = id.chars().take(64).collect();
                Err(EngineError::NotFound(format!("there is no plan `{shown}`")))
            }
        }
    }

    fn parse(record: ProposalRecord) -> Result<Self, EngineError> {
        let named = |status: &Status| status.as_str() == record.proposal.status;
        let status = Status::ALL.into_iter().find(named);
        let kept = serde_json::from_str(record.proposal.data.get());
        match (status, kept) {
            (Some(status), Ok(kept)) => Ok(Self { record, kept, status }),
            _ => {
                tracing::error!(plan = record.proposal.id, "a stored plan cannot be read");
                Err(EngineError::Unavailable)
            }
        }
    }

    /// The status after reviews.
    pub(crate) fn reviewed_status(&self) -> Status {
        self.status
    }

    fn summary(&self, branched: &HashSet<String>) -> PlanSummary {
        let id = self.record.proposal.id.clone();
        let status = match self.status {
            Status::Approved if branched.contains(&id) => Status::Branched,
            other => other,
        };
        PlanSummary {
            id,
            status,
            intent: self.record.proposal.intent.clone(),
            created: self.record.ts.clone(),
            event_id: self.record.event_id,
            author: self.kept.author.clone(),
            author_person: self.kept.author_person.clone(),
            stats: self.kept.stats,
        }
    }
}

impl From<LoadError> for EngineError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::NotFound(_) => EngineError::NotFound(error.to_string()),
            LoadError::Tampered { .. } => EngineError::Conflict(error.to_string()),
            _ => {
                tracing::error!(%error, "a plan cannot be read");
                EngineError::Unavailable
            }
        }
    }
}
