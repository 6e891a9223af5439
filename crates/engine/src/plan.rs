//! `plan`: an intended change passes the gates, meets the files as they are, and becomes an artifact.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use life_agent_domain::governance::command::{Kind, Plan};
use life_agent_domain::governance::event::{Entry, EventKind};
use life_agent_domain::governance::gate::{Denial, Permit, Reason, Refusal};
use life_agent_gates::change_policy::SnapshotChangePolicy;
use life_agent_observer::{Proposal, SideWrite, WriteBatch};
use life_agent_plans::draft::{Draft, draft};
use life_agent_plans::fault::{PlanFault, answer_code};
use life_agent_plans::life::Status;
use life_agent_plans::record::{DraftedBy, Stats};
use life_agent_plans::request::PlanRequest;
use life_agent_plans::store::{Artifact, Meta, WriteError};
use serde::Serialize;

use crate::answers::GateNotes;
use crate::engine::{Caller, Engine, row_data};
use crate::error::{EngineError, counted};
use crate::facts::{Metered, blocking};
use crate::llm::{Drafted, Undrafted};
use crate::policy::InForce;
use crate::shelf::PlanKept;

/// A change as it is asked for.
#[derive(Debug, Clone)]
pub struct PlanAsked {
    /// What the change is for, in a line.
    pub intent: String,
    /// Whatever a reviewer should know.
    pub context: String,
    /// The targets, and the edits or the patch.
    pub request: PlanRequest,
    /// Whether a model, if one is configured, writes the edits where there are targets and neither
    /// edits nor a patch. Without it, such a plan is a statement of intent.
    pub draft: bool,
}

/// A plan that is on the record.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its id.
    pub id: String,
    /// Its record's path, from the folder above the plans folder.
    pub artifact: String,
    /// The diff, redacted; none for a statement of intent.
    pub patch: Option<String>,
    /// How large it is.
    pub stats: Stats,
    /// The model that wrote the edits, if the caller left that to one.
    pub drafted_by: Option<DraftedBy>,
    /// The row of its creation.
    pub event_id: u64,
    /// What the gates noted.
    pub notes: GateNotes,
}

/// What the journal keeps of a plan's request.
#[derive(Serialize)]
struct PlanData<'a> {
    intent: &'a str,
    context: &'a str,
    target_paths: &'a [String],
    #[serde(flatten)]
    notes: &'a GateNotes,
    policy_hash: &'a str,
}

impl Engine {
    /// Makes a plan. The answer means that artifact and rows are durable; nothing in the workspace has
    /// changed.
    pub async fn plan(
        &self,
        caller: &Caller,
        mut asked: PlanAsked,
    ) -> Result<Planned, EngineError> {
        let begun = Instant::now();
        let policy = self.policy.in_force();
        let planned = if self.is_to_be_drafted(&asked) {
            let Drafted { edits, by } = self.drafted(caller, &policy, &asked).await?;
            asked.request.edits = edits;
            // The model took its time: the policy, the kill switch and the files are asked anew.
            let policy = self.policy.in_force();
            self.made(caller, &policy, asked, Metered::No, Some(by)).await?
        } else {
            self.made(caller, &policy, asked, Metered::Yes, None).await?
        };
        self.meters.plan_seconds.record(begun.elapsed());
        self.meters.done(Kind::Plan, begun);
        Ok(planned)
    }

    fn is_to_be_drafted(&self, asked: &PlanAsked) -> bool {
        let PlanRequest { targets, edits, patch } = &asked.request;
        let open = edits.is_empty() && patch.is_none() && !targets.is_empty();
        open && asked.draft && self.llm.is_some()
    }

    /// Lets the model write the edits. What it cannot mend is recorded like faults of a caller.
    async fn drafted(
        &self,
        caller: &Caller,
        policy: &Arc<InForce>,
        asked: &PlanAsked,
    ) -> Result<Drafted, EngineError> {
        let proposal = asked.request.clone().read();
        let (intent, context) = (asked.intent.clone(), asked.context.clone());
        let command = Plan { intent, context, targets: proposal.targets() };
        let targets = command.targets.clone();
        let permit = self.permit(caller, policy, command).await?;
        match self.draft_edits(caller, policy, permit.command(), targets).await {
            Ok(drafted) => Ok(drafted),
            Err(Undrafted::Failed(error)) => Err(error),
            Err(Undrafted::Faulty { faults, rounds }) => {
                Err(self.faulty(caller, policy, permit, faults, rounds).await)
            }
        }
    }

    /// Makes a plan of what is there to be planned.
    async fn made(
        &self,
        caller: &Caller,
        policy: &InForce,
        asked: PlanAsked,
        metered: Metered,
        drafted_by: Option<DraftedBy>,
    ) -> Result<Planned, EngineError> {
        let proposal = asked.request.read();
        let command =
            Plan { intent: asked.intent, context: asked.context, targets: proposal.targets() };
        let permit = self.permit_metered(caller, policy, command, metered).await?;
        let (tree, admission) =
            (Arc::clone(&self.shelf.tree), SnapshotChangePolicy::new(Arc::clone(&policy.snapshot)));
        let max_lines = policy.snapshot.policy.max_diff_lines;
        let drafted = blocking(move || draft(&tree, &proposal, max_lines, &admission)).await?;
        let draft = match drafted {
            Ok(draft) => draft,
            Err(faults) => {
                let rounds = drafted_by.map_or(0, |by| by.rounds);
                return Err(self.faulty(caller, policy, permit, faults, rounds).await);
            }
        };
        self.keep(caller, policy, permit, draft, drafted_by).await
    }

    /// Writes the artifact, then its rows; without the rows there is no plan, and the artifact goes.
    async fn keep(
        &self,
        caller: &Caller,
        policy: &InForce,
        permit: Permit<Plan>,
        draft: Draft,
        drafted_by: Option<DraftedBy>,
    ) -> Result<Planned, EngineError> {
        let notes = GateNotes::from(permit.trace());
        let patch = draft.diff().map(|diff| self.redact(diff));
        let asked = self.plan_entry(caller, policy, permit.command(), &notes)?;
        let meta = Meta {
            created: Timestamp::now(),
            request_id: caller.request_id.clone(),
            policy_hash: policy.snapshot.hash.clone(),
            drafted_by,
        };
        let store = self.shelf.store.clone();
        let artifact =
            blocking(move || store.write(&draft, &permit, &meta)).await?.map_err(unstored)?;
        match self.record_plan(caller, asked, &artifact).await {
            Ok((event_id, shown)) => {
                let (store, published) = (self.shelf.store.clone(), artifact.clone());
                if let Ok(Err(error)) = blocking(move || store.publish(&published)).await {
                    // The plan exists and can be read; the next start publishes it.
                    tracing::warn!(%error, "a plan's artifact keeps its pending name");
                }
                Ok(Planned {
                    id: artifact.record.id,
                    artifact: shown,
                    patch,
                    stats: artifact.record.stats,
                    drafted_by: artifact.record.drafted_by,
                    event_id,
                    notes,
                })
            }
            Err(error) => {
                let store = self.shelf.store.clone();
                if let Ok(Err(error)) = blocking(move || store.discard(&artifact)).await {
                    tracing::warn!(%error, "an artifact without a row stays behind");
                }
                Err(error)
            }
        }
    }

    fn plan_entry(
        &self,
        caller: &Caller,
        policy: &InForce,
        plan: &Plan,
        notes: &GateNotes,
    ) -> Result<Entry, EngineError> {
        let data = row_data(&PlanData {
            intent: &plan.intent,
            context: &plan.context,
            target_paths: &plan.targets,
            notes,
            policy_hash: &policy.snapshot.hash,
        })?;
        Ok(self.entry(caller, EventKind::Plan, None, data))
    }

    async fn record_plan(
        &self,
        caller: &Caller,
        asked: Entry,
        artifact: &Artifact,
    ) -> Result<(u64, String), EngineError> {
        let shown = self.shown_artifact(&artifact.name);
        let kept = row_data(&PlanKept {
            id: artifact.record.id.clone(),
            author: artifact.record.author.clone(),
            artifact: shown.clone(),
            seal: artifact.seal.clone(),
            stats: artifact.record.stats,
            drafted_by: artifact.record.drafted_by.clone(),
            review: None,
        })?;
        let proposal = Proposal {
            id: artifact.record.id.clone(),
            status: Status::Created.as_str().to_owned(),
            intent: artifact.record.intent.clone(),
            artifact: shown.clone(),
            data: kept.clone(),
        };
        let created = self.entry(caller, EventKind::PlanCreated, None, kept);
        let work = WriteBatch {
            entries: vec![asked, created],
            side_writes: caller.marked(vec![SideWrite::Proposal(proposal)]),
            ..WriteBatch::default()
        };
        Ok((self.journal.append(work)?.await?.id, shown))
    }

    /// A plan that a check refuses on policy's behalf is a denial and recorded as one; a plan that is
    /// merely wrong is reported.
    async fn faulty(
        &self,
        caller: &Caller,
        policy: &InForce,
        permit: Permit<Plan>,
        mut faults: Vec<PlanFault>,
        rounds: usize,
    ) -> EngineError {
        for fault in &mut faults {
            // The lines nearest to a text that was not found are quotations of the workspace.
            fault.message = self.redact(&fault.message);
            fault.file = fault.file.take().map(|file| self.redact(&file));
        }
        // Where a model reached for a path that is off limits, its caller did nothing forbidden.
        let code = if rounds > 0 { "plan_invalid" } else { answer_code(&faults) };
        let refusing = |fault: &PlanFault| fault.code.reason().map(|reason| (reason, fault.code));
        let off_limits = |(reason, _): &(Reason, _)| *reason == Reason::PathForbidden;
        let mut refused: Vec<_> = faults.iter().filter_map(refusing).collect();
        refused.sort_by_key(|refused| !off_limits(refused));
        if let Some((reason, rule)) = refused.first() {
            let denial = Denial {
                principal: caller.principal.clone(),
                command: permit.command().clone(),
                gate: "plans",
                refusal: Refusal {
                    reason: *reason,
                    rule: Some(rule.as_str().to_owned()),
                    message: format!("the plan has {}", counted(faults.len())),
                    retry_after: None,
                },
                trace: permit.trace().clone(),
            };
            match self.denied(caller, policy, denial).await {
                EngineError::Denied(_) => {}
                unrecorded => return unrecorded,
            }
        }
        EngineError::PlanInvalid { code, rounds, faults }
    }

    /// The plans folder's name and the artifact's: no path outside of the workspace is shown.
    fn shown_artifact(&self, name: &str) -> String {
        let folder = self.plans_dir.file_name().unwrap_or_default().to_string_lossy();
        format!("{folder}/{name}")
    }
}

fn unstored(error: WriteError) -> EngineError {
    tracing::error!(%error, "a plan could not be stored");
    match error {
        WriteError::OtherRequest => EngineError::Conflict(error.to_string()),
        _ => EngineError::Unavailable,
    }
}
