//! Plans: an intended change passes the gates, is checked against the files, and becomes an artifact.

mod draft_prompt;
mod drafting;
mod origin;
mod repository;
mod review;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use life_agent_domain::governance::command::{Kind, Plan};
use life_agent_domain::governance::event::{Fallback, ModelTurn, PlanCreatedRecord, PlanRecord};
use life_agent_domain::governance::gate::{Denial, GateNotes, Permit, Reason, Refusal};
use life_agent_gates::change_policy::SnapshotChangePolicy;
use life_agent_observer::{PlanFile, Proposal, SideWrite};
use life_agent_plans::draft::{Draft, draft};
use life_agent_plans::fault::{PlanFault, answer_code};
use life_agent_plans::life::Status;
use life_agent_plans::record::{DraftedBy, Stats};
use life_agent_plans::request::{PlanRequest, Proposal as Proposed};
use life_agent_plans::store::{Artifact, Meta, Store, WriteError};
use serde_json::{Value, json};

pub(crate) use drafting::Drafter;
use drafting::{Drafted, Undrafted};
use origin::{Origin, no_valid_draft};
pub use repository::{PlanList, PlanRepository, PlanSummary, PlanView, StoredPlan};
pub(crate) use review::PlanReviews;

use crate::approvals::ApprovalUse;
use crate::blocking::blocking;
use crate::chat::fallback;
use crate::clock::Timestamps;
use crate::context::RequestContext;
use crate::error::{EngineError, counted};
use crate::govern::{Governor, Metered};
use crate::meters::{Meters, Whose};
use crate::policy::ActivePolicy;
use crate::recorder::{Batch, Recorder, raw_json};

/// A requested change.
#[derive(Debug, Clone)]
pub struct NewPlan {
    /// The purpose of the change, in one line.
    pub intent: String,
    /// Notes for reviewers.
    pub context: String,
    /// The targets, and the edits or the patch.
    pub request: PlanRequest,
    /// Whether a configured model writes the edits if there are targets but neither edits nor a patch.
    /// Otherwise such a plan is a statement of intent.
    pub draft: bool,
}

/// A durable plan.
#[derive(Debug, Clone)]
pub struct PlanOutcome {
    /// Its id.
    pub id: String,
    /// The path of its record, starting with the plans folder.
    pub artifact: String,
    /// The diff, redacted; none for a statement of intent.
    pub patch: Option<String>,
    /// The size of the change.
    pub stats: Stats,
    /// The model that wrote the edits, if the caller did not.
    pub drafted_by: Option<DraftedBy>,
    /// Why there is no draft although a model should have written one.
    pub fallback: Option<Fallback>,
    /// The row of its creation.
    pub event_id: u64,
    /// The findings of the gates.
    pub notes: GateNotes,
}

/// Makes plans.
pub(crate) struct PlanService {
    governor: Arc<Governor>,
    recorder: Recorder,
    drafter: Drafter,
    store: Store,
    /// The name of the plans folder.
    folder: String,
    meters: Arc<Meters>,
    timestamps: Timestamps,
}

impl PlanService {
    pub(crate) fn new(
        governor: Arc<Governor>,
        recorder: Recorder,
        drafter: Drafter,
        store: Store,
        folder: &Path,
        meters: Arc<Meters>,
        timestamps: Timestamps,
    ) -> Self {
        let folder = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { governor, recorder, drafter, store, folder, meters, timestamps }
    }

    /// Makes a plan. Its artifact and rows are durable; nothing in the workspace has changed.
    pub(crate) async fn plan(
        &self,
        context: &RequestContext,
        asked: NewPlan,
    ) -> Result<PlanOutcome, EngineError> {
        self.make(context, asked, None).await
    }

    /// The same for a plan that a model asks for during a turn.
    pub(crate) async fn plan_of_model(
        &self,
        context: &RequestContext,
        asked: NewPlan,
        turn: ModelTurn,
    ) -> Result<PlanOutcome, EngineError> {
        self.make(context, asked, Some(turn)).await
    }

    async fn make(
        &self,
        context: &RequestContext,
        mut asked: NewPlan,
        asked_by: Option<ModelTurn>,
    ) -> Result<PlanOutcome, EngineError> {
        let begun = Instant::now();
        let policy = self.governor.policy();
        let planned = if self.needs_draft(&asked) {
            let (origin, used) = self.draft_edits(context, &policy, &mut asked).await?;
            // The draft took time: policy, kill switch and files are checked again.
            let policy = self.governor.policy();
            let proposal = asked.request.read();
            let plan = command(asked.intent, asked.context, &proposal);
            let permit = self.governor.permit_again(context, &policy, plan, used.as_ref()).await?;
            let origin = Origin { asked_by, ..origin };
            self.check_and_store(context, &policy, (permit, used), proposal, origin).await?
        } else {
            let rest = rest(&asked);
            let proposal = asked.request.read();
            let plan = command(asked.intent, asked.context, &proposal);
            let (governor, metered) = (&self.governor, Metered::Yes);
            let permitted =
                governor.permit_asked(context, &policy, plan, metered, &|| rest.clone()).await?;
            let origin = Origin { asked_by, ..Origin::default() };
            self.check_and_store(context, &policy, permitted, proposal, origin).await?
        };
        if let Some(fallback) = &planned.fallback {
            self.meters.fell_back(Kind::Plan, fallback);
        }
        self.meters.plan_seconds.record(begun.elapsed());
        self.meters.done(Kind::Plan, Whose::of(context, None), begun);
        Ok(planned)
    }

    fn needs_draft(&self, asked: &NewPlan) -> bool {
        let PlanRequest { targets, edits, patch } = &asked.request;
        let open = edits.is_empty() && patch.is_none() && !targets.is_empty();
        open && asked.draft && self.drafter.is_available()
    }

    /// Lets the model write the edits. If it fails, the plan has none, or the request fails, as the policy
    /// says. Faults that the model cannot fix are recorded like a caller's.
    async fn draft_edits(
        &self,
        context: &RequestContext,
        policy: &Arc<ActivePolicy>,
        asked: &mut NewPlan,
    ) -> Result<(Origin, Option<ApprovalUse>), EngineError> {
        let proposal = asked.request.clone().read();
        let plan = command(asked.intent.clone(), asked.context.clone(), &proposal);
        let targets = plan.targets.clone();
        let (governor, metered) = (&self.governor, Metered::Yes);
        let (permit, used) =
            governor.permit_asked(context, policy, plan, metered, &|| rest(asked)).await?;
        let origin =
            match self.drafter.draft_edits(context, policy, permit.command(), targets).await {
                Ok(Drafted { edits, by }) => {
                    asked.request.edits = edits;
                    Origin { drafted_by: Some(by), ..Origin::default() }
                }
                Err(Undrafted::Failed(error)) => Origin::without(fallback(policy, error)?),
                Err(Undrafted::Faulty { faults, rounds }) => {
                    let error = self.report_faults(context, policy, &permit, faults, rounds).await;
                    Origin::without(no_valid_draft(policy, error)?)
                }
            };
        Ok((origin, used))
    }

    /// Checks the edits of a permitted plan and stores it.
    async fn check_and_store(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        permitted: (Permit<Plan>, Option<ApprovalUse>),
        proposal: Proposed,
        origin: Origin,
    ) -> Result<PlanOutcome, EngineError> {
        let (permit, used) = permitted;
        let (tree, admission) = (
            Arc::clone(&self.drafter.tree),
            SnapshotChangePolicy::new(Arc::clone(&policy.snapshot)),
        );
        let max_lines = policy.snapshot.policy.max_diff_lines;
        let drafted = blocking(move || draft(&tree, &proposal, max_lines, &admission)).await?;
        let draft = match drafted {
            Ok(draft) => draft,
            Err(faults) => {
                let rounds = origin.drafted_by.map_or(0, |by| by.rounds);
                return Err(self.report_faults(context, policy, &permit, faults, rounds).await);
            }
        };
        self.store(context, policy, (permit, used), draft, origin).await
    }

    /// Writes the artifact, then its rows, among them that of a used approval. If the rows cannot be written, the
    /// artifact is removed.
    async fn store(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        (permit, mut used): (Permit<Plan>, Option<ApprovalUse>),
        draft: Draft,
        origin: Origin,
    ) -> Result<PlanOutcome, EngineError> {
        let notes = GateNotes::from(permit.trace());
        let patch = draft.diff().map(|diff| redact(policy, diff));
        let mut batch = Batch::new(context, &policy.snapshot.hash);
        let plan = permit.command();
        batch.push(
            None,
            &PlanRecord {
                intent: plan.intent.as_str().into(),
                context: plan.context.as_str().into(),
                target_paths: plan.targets.as_slice().into(),
                notes: Cow::Borrowed(&notes),
            },
        )?;
        let meta = Meta {
            created: self.timestamps.now(),
            request_id: context.request.clone(),
            policy_hash: policy.snapshot.hash.clone(),
            drafted_by: origin.drafted_by,
            asked_by: origin.asked_by,
            fallback: origin.fallback,
        };
        let store = self.store.clone();
        let artifact =
            blocking(move || store.write(&draft, &permit, &meta)).await?.map_err(store_error)?;
        match self.record_plan(batch, &artifact, context.principal.person(), &mut used).await {
            Ok((event_id, shown)) => {
                let (store, published) = (self.store.clone(), artifact.clone());
                if let Ok(Err(error)) = blocking(move || store.publish(&published)).await {
                    // The plan exists and can be read; the next start publishes it.
                    tracing::warn!(%error, "a plan's artifact keeps its pending name");
                }
                Ok(PlanOutcome {
                    id: artifact.record.id,
                    artifact: shown,
                    patch,
                    stats: artifact.record.stats,
                    drafted_by: artifact.record.drafted_by,
                    fallback: artifact.record.fallback,
                    event_id,
                    notes,
                })
            }
            Err(error) => {
                let store = self.store.clone();
                if let Ok(Err(error)) = blocking(move || store.discard(&artifact)).await {
                    tracing::warn!(%error, "an artifact without a row was not removed");
                }
                Err(error)
            }
        }
    }

    async fn record_plan(
        &self,
        mut batch: Batch<'_>,
        artifact: &Artifact,
        person: Option<&str>,
        used: &mut Option<ApprovalUse>,
    ) -> Result<(u64, String), EngineError> {
        let shown = self.shown_artifact(&artifact.name);
        let created = PlanCreatedRecord {
            id: artifact.record.id.clone(),
            author: artifact.record.author.clone(),
            author_person: person.map(str::to_owned),
            artifact: shown.clone(),
            seal: artifact.seal.clone(),
            stats: artifact.record.stats,
            drafted_by: artifact.record.drafted_by.clone(),
            asked_by: artifact.record.asked_by.clone(),
            fallback: artifact.record.fallback.clone(),
            review: None,
        };
        batch.push(None, &created)?;
        if self.recorder.shared_control().is_some() {
            // So that every instance can show and review the plan.
            let (store, artifact) = (self.store.clone(), artifact.clone());
            let plan = artifact.record.id.clone();
            let files = blocking(move || store.files(&artifact)).await?;
            let files = files.map_err(|error| store_error(error.into()))?;
            let file = |(name, content)| PlanFile { plan: plan.clone(), name, content };
            batch.extend(files.into_iter().map(file).map(SideWrite::PlanFile));
        }
        batch.extend([SideWrite::Proposal(Proposal {
            id: artifact.record.id.clone(),
            status: Status::Created.as_str().to_owned(),
            intent: artifact.record.intent.clone(),
            artifact: shown.clone(),
            data: raw_json(&created)?,
        })]);
        if let Some(used) = used {
            used.push(&mut batch)?;
        }
        let committed = self.recorder.commit(batch).await?;
        if let Some(used) = used {
            used.recorded();
        }
        // The first row is the request, the second one the plan.
        Ok((committed.rows.get(1).map_or(committed.id, |row| row.id), shown))
    }

    /// Reports the faults of a plan. Faults against the policy are also recorded as a denial.
    async fn report_faults(
        &self,
        context: &RequestContext,
        policy: &ActivePolicy,
        permit: &Permit<Plan>,
        mut faults: Vec<PlanFault>,
        rounds: usize,
    ) -> EngineError {
        for fault in &mut faults {
            // The message quotes the workspace.
            fault.message = redact(policy, &fault.message);
            fault.file = fault.file.take().map(|file| redact(policy, &file));
        }
        // A model's attempt on a forbidden path is not the caller's.
        let code = if rounds > 0 { "plan_invalid" } else { answer_code(&faults) };
        let refusing = |fault: &PlanFault| fault.code.reason().map(|reason| (reason, fault.code));
        let is_path = |(reason, _): &(Reason, _)| *reason == Reason::PathForbidden;
        let mut refused: Vec<_> = faults.iter().filter_map(refusing).collect();
        refused.sort_by_key(|refused| !is_path(refused));
        if let Some((reason, rule)) = refused.first() {
            let refusal = Refusal {
                reason: *reason,
                rule: Some(rule.as_str().to_owned()),
                message: format!("the plan has {}", counted(faults.len())),
                retry_after: None,
            };
            let (principal, command) = (context.principal.clone(), permit.command().clone());
            let denial = Denial::new(principal, command, "plans", refusal, permit.trace().clone());
            match self.governor.deny(context, policy, denial, Vec::new()).await {
                EngineError::Denied(_) => {}
                unrecorded => return unrecorded,
            }
        }
        EngineError::PlanInvalid { code, rounds, faults }
    }

    /// The artifact's path for callers, without the folders outside the workspace.
    fn shown_artifact(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }
}

/// The command of a plan.
fn command(intent: String, context: String, proposal: &Proposed) -> Plan {
    Plan { intent, context, targets: proposal.targets() }
}

/// What the command does not contain.
fn rest(asked: &NewPlan) -> Value {
    let PlanRequest { targets, edits, patch } = &asked.request;
    json!({"target_paths": targets, "edits": edits, "patch": patch, "draft": asked.draft})
}

fn store_error(error: WriteError) -> EngineError {
    tracing::error!(%error, "a plan could not be stored");
    match error {
        WriteError::OtherRequest => EngineError::Conflict(error.to_string()),
        _ => EngineError::PlansUnavailable,
    }
}

fn redact(policy: &ActivePolicy, text: &str) -> String {
    policy.chain.redactor().redact(text).into_owned()
}
