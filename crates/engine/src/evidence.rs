//! Decisions from the chain: compares what tables say with the rows that decided it.
//!
//! Tables next to the rows (settings, plans, snapshots, answered calls) are not chained, so that an attacker who can
//! write the database can change them. What decides is therefore the row.

use life_agent_domain::governance::event::{
    EventKind, KillSwitchRecord, PlanCreatedRecord, PlanRecord, PlanReviewedRecord, Record, Row,
    StopRecord,
};
use life_agent_observer::{
    AgentRecord, Filter, Journal, JournalError, ProposalRecord, Read, TextFault, check_texts,
};
use serde::Serialize;

use crate::context::RequestContext;
use crate::error::EngineError;
use crate::govern::{SETTING, STOPS, stops_of};
use crate::planning::StoredPlan;

/// Agents and plans that are read at once.
const PAGE: usize = 1_000;

/// A record of a table that does not match the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableFault {
    /// The record, such as ``plan `x7k` ``.
    pub record: String,
    /// The difference.
    pub fault: String,
}

/// The rows that decided about a plan.
pub struct PlanEvidence {
    requested: Option<Row>,
    created: Option<Row>,
    reviewed: Option<Row>,
    /// The last row that retention has removed.
    pruned: u64,
}

/// Why a plan in the table is not the one that the rows tell of.
enum PlanDoubt {
    /// They differ.
    Differs(String),
    /// Retention has removed the rows.
    Removed(String),
}

impl PlanEvidence {
    /// Reads the rows about a plan.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn read(view: &dyn Read, plan: &ProposalRecord) -> Result<Self, JournalError> {
        let id = plan.proposal.id.as_str();
        Ok(Self {
            requested: view.row(plan.event_id)?,
            created: view.last_row(EventKind::PlanCreated.as_str(), Some(id))?,
            reviewed: view.last_row(EventKind::PlanReviewed.as_str(), Some(id))?,
            pruned: view.pruned()?.map_or(0, |pruned| pruned.id),
        })
    }

    pub(crate) async fn of(journal: &Journal, plan: &ProposalRecord) -> Result<Self, JournalError> {
        let id = plan.proposal.id.as_str();
        Ok(Self {
            requested: journal.row(plan.event_id).await?,
            created: journal.last_row(EventKind::PlanCreated.as_str(), Some(id)).await?,
            reviewed: journal.last_row(EventKind::PlanReviewed.as_str(), Some(id)).await?,
            pruned: journal.pruned().await?.map_or(0, |pruned| pruned.id),
        })
    }

    fn doubt(&self, record: &ProposalRecord, kept: &PlanCreatedRecord) -> Option<PlanDoubt> {
        let differs = |row: &Row, what: &str| {
            let (id, what) = (row.id, what.to_owned());
            Some(PlanDoubt::Differs(format!("its {what} differs from row {id}, which states it")))
        };
        let removed = |what: &str| match record.event_id <= self.pruned {
            true => Some(PlanDoubt::Removed(format!(
                "retention has removed the row {what}, so that it cannot be checked; create the plan again"
            ))),
            false => Some(PlanDoubt::Differs(format!("there is no row {what}"))),
        };
        match self.created.as_ref().map(|row| (row, row.read::<PlanCreatedRecord>())) {
            Some((row, Ok(created))) => {
                let mine = (&kept.id, &kept.author, &kept.seal, &kept.artifact);
                if mine != (&created.id, &created.author, &created.seal, &created.artifact) {
                    return differs(row, "author or content");
                }
            }
            Some((row, Err(_))) => return differs(row, "creation"),
            None => return removed("that created it"),
        }
        let Some(requested) = &self.requested else { return removed("of its request") };
        let stated = requested.read::<PlanRecord<'_>>();
        let is_stated = stated.is_ok_and(|stated| stated.intent == record.proposal.intent);
        let (artifact, at) = (&record.proposal.artifact, &record.ts);
        if !is_stated || *artifact != kept.artifact || *at != requested.ts {
            return differs(requested, "intent, artifact or time");
        }
        let status = record.proposal.status.as_str();
        match self.reviewed.as_ref().map(|row| (row, row.read::<PlanReviewedRecord<'_>>())) {
            Some((row, Ok(reviewed))) => {
                let same = reviewed.status == status
                    && reviewed.seal == kept.seal.as_str()
                    && kept.review.as_ref() == Some(reviewed.review.as_ref());
                if same { None } else { differs(row, "review") }
            }
            Some((row, Err(_))) => differs(row, "review"),
            None if status == "created" && kept.review.is_none() => None,
            None => removed("with its review"),
        }
    }
}

impl StoredPlan {
    /// Whether the rows tell of this plan, its author, its content and its review.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] if they differ or were removed by retention.
    pub fn check(&self, evidence: &PlanEvidence) -> Result<(), EngineError> {
        match evidence.doubt(&self.record, &self.kept) {
            None => Ok(()),
            Some(PlanDoubt::Differs(why) | PlanDoubt::Removed(why)) => {
                Err(doubtful(&self.kept.id, &why))
            }
        }
    }

    /// The same for a plan that is only shown: rows that retention has removed do not matter.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] if they differ.
    pub fn check_shown(&self, evidence: &PlanEvidence) -> Result<(), EngineError> {
        match evidence.doubt(&self.record, &self.kept) {
            Some(PlanDoubt::Differs(why)) => Err(doubtful(&self.kept.id, &why)),
            Some(PlanDoubt::Removed(_)) | None => Ok(()),
        }
    }
}

fn doubtful(id: &str, why: &str) -> EngineError {
    tracing::error!(plan = id, why, "a stored plan does not match its rows");
    EngineError::Conflict(format!("plan `{id}` does not match the journal: {why}"))
}

/// The state of the kill switch at a start.
pub(crate) struct SwitchEvidence {
    /// The state to start with.
    pub(crate) record: KillSwitchRecord,
    /// The caller that made the last change.
    pub(crate) by: Option<String>,
    /// Whether it is a decision of this start, which needs a row.
    pub(crate) is_new: bool,
}

/// The kill switch as the last row about it states. A table that says otherwise, or a journal that was put back
/// to an earlier state, turns it on until an operator has looked.
pub(crate) async fn kill_switch(journal: &Journal) -> Result<SwitchEvidence, JournalError> {
    let on = |reason: String| {
        tracing::error!(reason, "the kill switch is turned on");
        let record = KillSwitchRecord { on: true, reason, since: None };
        let by = RequestContext::system().principal.as_str().to_owned();
        Ok(SwitchEvidence { record, by: Some(by), is_new: true })
    };
    if let Some(head) = journal.set_back() {
        return on(format!(
            "the journal was restored or truncated: row {}, which was durable here, is missing or another one; \
             check what happened since, then turn the switch off",
            head.id
        ));
    }
    let stored = journal.setting(SETTING).await?;
    let (row, pruned) = (last_switch(journal).await?, journal.pruned().await?);
    match differs(stored.as_deref(), row.as_ref(), pruned.is_some()) {
        Ok(record) => {
            Ok(SwitchEvidence { record, by: row.map(|row| row.principal), is_new: false })
        }
        Err(why) => on(format!("{why}; check the database, then turn the switch off")),
    }
}

/// The later of the last rows that turned the switch on and off.
async fn last_switch(journal: &Journal) -> Result<Option<Row>, JournalError> {
    let on = journal.last_row(EventKind::KillSwitchOn.as_str(), None).await?;
    let off = journal.last_row(EventKind::KillSwitchOff.as_str(), None).await?;
    Ok(on.into_iter().chain(off).max_by_key(|row| row.id))
}

/// The switch that a row and the table agree on, or how they differ.
fn differs(
    stored: Option<&str>,
    row: Option<&Row>,
    is_pruned: bool,
) -> Result<KillSwitchRecord, String> {
    let unreadable = |_| "the stored kill switch could not be read".to_owned();
    let stored: Option<KillSwitchRecord> =
        stored.map(serde_json::from_str).transpose().map_err(unreadable)?;
    let Some(row) = row else {
        return match stored {
            None => Ok(KillSwitchRecord::default()),
            // Retention keeps a row of a switch that is on.
            Some(stored) if is_pruned && !stored.on => Ok(stored),
            Some(_) => Err("no row states the stored kill switch".to_owned()),
        };
    };
    let decided = row.read::<KillSwitchRecord>();
    let decided =
        decided.map_err(|_| format!("row {} about the kill switch cannot be read", row.id))?;
    match stored {
        Some(stored) if stored != decided => {
            Err(format!("the stored kill switch differs from row {}, which decided it", row.id))
        }
        // A table without the setting decides nothing; the row does.
        _ => Ok(decided),
    }
}

/// Compares every table that a decision is read from with the rows.
///
/// # Errors
/// The journal cannot be read.
pub fn check_tables(view: &dyn Read) -> Result<Vec<TableFault>, JournalError> {
    let mut faults = Vec::new();
    let mut add = |record: String, fault: String| faults.push(TableFault { record, fault });
    let on = view.last_row(EventKind::KillSwitchOn.as_str(), None)?;
    let off = view.last_row(EventKind::KillSwitchOff.as_str(), None)?;
    let row = on.into_iter().chain(off).max_by_key(|row| row.id);
    let pruned = view.pruned()?.map_or(0, |pruned| pruned.id);
    if let Err(why) = differs(view.setting(SETTING)?.as_deref(), row.as_ref(), pruned > 0) {
        add("the kill switch".to_owned(), why);
    }
    let mut before = None;
    loop {
        let plans = view.proposals(None, before, PAGE)?;
        for plan in &plans {
            let id = &plan.proposal.id;
            let kept = serde_json::from_str::<PlanCreatedRecord>(plan.proposal.data.get());
            let doubt = match kept {
                Ok(kept) => PlanEvidence::read(view, plan)?.doubt(plan, &kept),
                Err(error) => Some(PlanDoubt::Differs(format!("it cannot be read: {error}"))),
            };
            if let Some(PlanDoubt::Differs(why)) = doubt {
                add(format!("plan `{id}`"), why);
            }
        }
        match plans.last() {
            Some(last) if plans.len() == PAGE => before = Some(last.event_id),
            _ => break,
        }
    }
    for (id, row) in plans_without_record(view)? {
        add(format!("plan `{id}`"), format!("is missing; row {row} created it"));
    }
    if let Err(why) = stops_of(view.setting(STOPS)?, last_stop(view)?, pruned > 0) {
        add("the stops".to_owned(), why);
    }
    let mut after: Option<String> = None;
    loop {
        let agents = view.agents(after.as_deref(), PAGE)?;
        for agent in &agents {
            let why = match last_step_fault(view, agent, pruned)? {
                Some(why) => Some(why),
                None => snapshot_fault(view, agent, pruned)?,
            };
            if let Some(why) = why {
                add(format!("agent `{}`", agent.agent_id), why);
            }
        }
        match agents.last() {
            Some(last) if agents.len() == PAGE => after = Some(last.agent_id.clone()),
            _ => break,
        }
    }
    for TextFault { text, fault } in check_texts(view)? {
        add(format!("text `{text}`"), fault);
    }
    for dangling in view.dangling()? {
        let why = match dangling.differs {
            true => format!("differs from row {}, which states it", dangling.row),
            false => format!("names row {}, which does not exist", dangling.row),
        };
        add(format!("{} `{}`", dangling.record, dangling.id), why);
    }
    Ok(faults)
}

/// The plans that rows created and that the table lacks, with these rows.
fn plans_without_record(view: &dyn Read) -> Result<Vec<(String, u64)>, JournalError> {
    let filter = Filter::of_kinds([EventKind::PlanCreated]);
    let (mut missing, mut after) = (Vec::new(), 0);
    loop {
        let page = view.page(after, PAGE, &filter)?;
        for row in &page.rows {
            let id = row.read::<PlanCreatedRecord>().map(|created| created.id).unwrap_or_default();
            if view.proposal(&id)?.is_none() {
                missing.push((id, row.id));
            }
        }
        match page.rows.last() {
            Some(last) if page.rows.len() == PAGE => after = last.id,
            _ => return Ok(missing),
        }
    }
}

/// The later of the last rows that set and released a stop.
fn last_stop(view: &dyn Read) -> Result<Option<Row>, JournalError> {
    let mut last: Option<Row> = None;
    for kind in StopRecord::KINDS {
        let row = view.last_row(kind.as_str(), None)?;
        last = last.into_iter().chain(row).max_by_key(|row| row.id);
    }
    Ok(last)
}

/// How the table's account of an agent's last step differs from the row.
fn last_step_fault(
    view: &dyn Read,
    agent: &AgentRecord,
    pruned: u64,
) -> Result<Option<String>, JournalError> {
    let id = agent.last_event;
    let Some(row) = view.row(id)? else {
        let missing = format!("its last step names row {id}, which does not exist");
        return Ok((id > pruned).then_some(missing));
    };
    let is_own = row.agent_id.as_deref() == Some(agent.agent_id.as_str());
    let states = row.state_mark().is_ok_and(|mark| mark.state_version == agent.state_version);
    let is_stated = is_own && states && row.ts == agent.last_seen;
    Ok((!is_stated).then(|| format!("its last step differs from row {id}, which states it")))
}

fn snapshot_fault(
    view: &dyn Read,
    agent: &AgentRecord,
    pruned: u64,
) -> Result<Option<String>, JournalError> {
    let snapshot = match view.snapshot(&agent.agent_id) {
        Ok(None) => return Ok(None),
        Ok(Some(snapshot)) => snapshot,
        Err(JournalError::Damaged(why)) => return Ok(Some(why.to_string())),
        Err(error) => return Err(error),
    };
    let id = snapshot.event_id;
    let Some(row) = view.row(id)? else {
        let missing = format!("its stored state names row {id}, which does not exist");
        return Ok((id > pruned).then_some(missing));
    };
    let is_own = row.agent_id.as_deref() == Some(agent.agent_id.as_str());
    let states = row.state_mark().is_ok_and(|mark| mark.state_hash == snapshot.state_hash.as_str());
    Ok((!is_own || !states)
        .then(|| format!("its stored state differs from row {id}, which states it")))
}
