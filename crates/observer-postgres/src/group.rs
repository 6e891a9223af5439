//! Applies a group to the stored state that it depends on, in memory: which batches are stored, with which rows, and
//! what is to be written.

use std::collections::BTreeMap;

use life_agent_domain::governance::event::Row;
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::chain::Tip;
use life_agent_observer::store::{BatchOutcome, turn_row};
use life_agent_observer::{
    AgentVersion, IdempotencyRecord, JobChange, JobStatus, Precondition, Rejection, RowTexts,
    SideWrite, Snapshot, WriteBatch,
};

use crate::stored::{AgentHead, Stored, StoredJob};
use crate::texts;
use crate::writes::{self, Write};

/// A group while it is applied.
pub(crate) struct Group {
    pub(crate) tip: Tip,
    pub(crate) control: u64,
    stored: Stored,
    /// Agents that the group changes.
    changed: BTreeMap<String, AgentHead>,
    pub(crate) snapshots: BTreeMap<String, (u64, Snapshot)>,
    pub(crate) writes: Vec<Write>,
    pub(crate) links: Vec<Option<u64>>,
}

impl Group {
    pub(crate) fn new(stored: Stored) -> Self {
        let mut tip = Tip { head: stored.end.head.clone(), ts: stored.end.ts.clone() };
        // All rows of a commit have the same time.
        if let Some(before) = tip.advance(stored.now.clone()) {
            let now = &tip.ts;
            tracing::warn!(
                before,
                now,
                "the clock was set back; rows have the new time from here on"
            );
        }
        Self {
            tip,
            control: stored.end.control,
            stored,
            changed: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            writes: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Whether the group leaves anything to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.tip.head == self.stored.end.head
            && self.control == self.stored.end.control
            && self.writes.is_empty()
            && self.snapshots.is_empty()
            && self.changed.is_empty()
    }

    /// The positions of the changed agents.
    pub(crate) fn agents(&self) -> impl Iterator<Item = (&String, &AgentHead)> {
        self.changed.iter().filter(|(_, head)| head.last_event > 0)
    }

    /// What is known of agents once the group is stored.
    pub(crate) fn into_agents(self) -> impl Iterator<Item = (String, AgentHead)> {
        let written = self.changed.into_iter().filter(|(_, head)| head.last_event > 0);
        self.stored.agents.into_iter().chain(written)
    }

    pub(crate) fn apply(&mut self, batch: WriteBatch) -> BatchOutcome {
        match self.rejection(&batch) {
            Some(rejection) => BatchOutcome::Rejected(rejection),
            None => BatchOutcome::Stored(self.store(batch)),
        }
    }

    fn store(&mut self, batch: WriteBatch) -> Vec<Row> {
        let agent = batch.step.and(batch.stepping_agent()).cloned();
        let mut rows = Vec::with_capacity(batch.entries.len());
        for entry in batch.entries {
            let is_step = entry.kind.is_step() && entry.agent == agent;
            let row = self.tip.seal(entry);
            let stepping = agent.as_ref().filter(|_| is_step);
            let link = stepping.map(|agent| {
                let head = self.agent_mut(agent);
                head.first_open.get_or_insert(row.id);
                std::mem::replace(&mut head.last_event, row.id)
            });
            self.links.push(link);
            rows.push(row);
        }
        if let (Some(agent), Some(step)) = (&agent, batch.step) {
            let ts = self.tip.ts.clone();
            let head = self.agent_mut(agent);
            (head.version, head.turns, head.last_seen) = (step.version, step.turns, ts);
            head.state_hash = Some(step.state_hash);
        }
        if let (Some(agent), Some(snapshot)) = (&agent, batch.snapshot) {
            self.snapshot(agent, snapshot);
        }
        for write in batch.side_writes {
            self.side_write(write, &rows);
        }
        rows
    }

    fn agent(&self, agent: &AgentId) -> Option<&AgentHead> {
        self.changed.get(agent.as_str()).or_else(|| self.stored.agents.get(agent.as_str()))
    }

    fn agent_mut(&mut self, agent: &AgentId) -> &mut AgentHead {
        let stored = &self.stored.agents;
        let known = || stored.get(agent.as_str()).cloned().unwrap_or_default();
        self.changed.entry(agent.as_str().to_owned()).or_insert_with(known)
    }

    /// Stores a snapshot of the agent's present state, unless the agent is at another version.
    fn snapshot(&mut self, agent: &AgentId, snapshot: Snapshot) {
        let fits = |head: &&AgentHead| head.last_event > 0 && head.version == snapshot.version();
        let Some(row) = self.agent(agent).filter(fits).map(|head| head.last_event) else { return };
        self.agent_mut(agent).first_open = None;
        self.snapshots.insert(agent.as_str().to_owned(), (row, snapshot));
    }

    /// The first precondition of the batch that does not hold after the batches before it.
    fn rejection(&self, batch: &WriteBatch) -> Option<Rejection> {
        let from = batch.step.and_then(|step| step.from);
        if let (Some(from), Some(agent)) = (from, batch.stepping_agent())
            && !self.is_at(agent, &from)
        {
            return Some(Rejection::AgentChanged(agent.clone()));
        }
        batch.preconditions.iter().find_map(|condition| self.fails(condition))
    }

    fn fails(&self, condition: &Precondition) -> Option<Rejection> {
        match condition {
            Precondition::Agent { agent, at } => {
                (!self.is_at(agent, at)).then(|| Rejection::AgentChanged(agent.clone()))
            }
            Precondition::Control { version } => {
                let changed = Rejection::ControlChanged { version: self.control };
                (*version != self.control).then_some(changed)
            }
            Precondition::Plan { id, status } => {
                let found = self.stored.plans.get(id);
                let changed = || Rejection::PlanChanged { id: id.clone(), status: found.cloned() };
                (found != status.as_ref()).then(changed)
            }
            Precondition::KeyUnclaimed { key } => {
                self.stored.keys.contains(key).then(|| Rejection::KeyClaimed { key: key.clone() })
            }
            Precondition::JobLease { id, owner } => {
                let held = self.stored.jobs.get(id).is_some_and(|job| {
                    job.status == JobStatus::Running.as_str()
                        && job.owner.as_ref() == Some(owner)
                        && job.until.as_ref().is_some_and(|until| *until > self.tip.ts)
                });
                (!held).then(|| Rejection::LeaseLost { id: id.clone() })
            }
            Precondition::JobFree { id, status } => {
                let is_free = self.stored.jobs.get(id).is_some_and(|job| {
                    let has_expired = |until: &String| *until <= self.tip.ts;
                    job.status == status.as_str()
                        && match status {
                            JobStatus::Queued => !job.is_behind,
                            _ => job.until.as_ref().is_none_or(has_expired),
                        }
                });
                (!is_free).then(|| Rejection::LeaseLost { id: id.clone() })
            }
            // A condition that this backend does not know cannot hold.
            other => {
                tracing::error!(?other, "this backend does not know a precondition");
                Some(Rejection::ControlChanged { version: self.control })
            }
        }
    }

    fn is_at(&self, agent: &AgentId, at: &AgentVersion) -> bool {
        let Some(head) = self.agent(agent) else { return at.version == 0 };
        let same_state =
            at.version == 0 || head.state_hash.is_none_or(|hash| hash == at.state_hash);
        head.version == at.version && same_state
    }

    fn side_write(&mut self, write: SideWrite, rows: &[Row]) {
        match (write, rows.first()) {
            (SideWrite::AdvanceControl, _) => self.control += 1,
            (SideWrite::Snapshot(agent, snapshot), _) => self.snapshot(&agent, snapshot),
            (SideWrite::Setting { key, value }, _) => self.writes.push(writes::setting(key, value)),
            (SideWrite::Notes(agent, change), _) => {
                self.writes.extend(writes::notes(agent.as_str(), change));
            }
            (SideWrite::Job(change), _) => self.job(change, rows),
            (SideWrite::Idempotency(record), row) => {
                self.claim(&record);
                self.writes.push(writes::claim(record, self.tip.ts.clone(), row.map(|row| row.id)));
            }
            (SideWrite::Response(record, response), _) => {
                self.claim(&record);
                self.writes.push(writes::response(record, self.tip.ts.clone(), response));
            }
            (SideWrite::Texts(row), _) => self.texts(&row),
            (SideWrite::PlanFile(file), _) => self.writes.push(writes::plan_file(file)),
            (SideWrite::Expire(expired), _) => self.writes.push(writes::expire(expired)),
            (SideWrite::Proposal(proposal), Some(row)) => {
                self.stored.plans.insert(proposal.id.clone(), proposal.status.clone());
                self.writes.push(writes::proposal(proposal, row));
            }
            (SideWrite::Usage(usage), Some(row)) => self.writes.push(writes::usage(usage, row)),
            // `WriteBatch` refuses these two without a row.
            (SideWrite::Proposal(_) | SideWrite::Usage(_), None) => {}
            // Fails the group: a write must not be lost.
            (other, _) => {
                tracing::error!(?other, "this backend does not know a side write");
                self.writes.push(writes::unknown());
            }
        }
    }

    fn texts(&mut self, row: &RowTexts) {
        let Self { stored, writes, .. } = self;
        let Ok(()) = row.add_each(|id, text| {
            let is_new = stored.texts.insert(*id);
            writes.push(if is_new { texts::insert(id, text) } else { texts::used(id) });
            Ok::<_, std::convert::Infallible>(is_new)
        });
    }

    fn claim(&mut self, record: &IdempotencyRecord) {
        self.stored.keys.insert(record.id.clone());
    }

    /// Keeps the lease that later batches of the group may depend on, and adds the write.
    fn job(&mut self, mut change: JobChange, rows: &[Row]) {
        // The clocks of several instances differ; the server's decides.
        if let JobChange::Started { lease: Some(lease), .. } | JobChange::Renewed { lease, .. } =
            &mut change
        {
            lease.until.clone_from(&self.stored.lease_end);
        }
        let (id, status) = match &change {
            JobChange::Queued(job) => (&job.id, JobStatus::Queued),
            JobChange::Started { id, .. } => (id, JobStatus::Running),
            JobChange::Done { id } => (id, JobStatus::Done),
            JobChange::Ended { id, status, .. } => (id, *status),
            JobChange::Renewed { id, .. } => (id, JobStatus::Running),
            JobChange::Answered { id, .. } => (id, JobStatus::Done),
        };
        if let Some(job) = self.stored.jobs.get_mut(id) {
            let is_open =
                JobStatus::from_name(&job.status).is_some_and(|status| !status.has_ended());
            match &change {
                JobChange::Renewed { lease, .. } => {
                    let own = job.owner.as_ref() == Some(&lease.owner);
                    if own && job.status == JobStatus::Running.as_str() {
                        job.until = Some(lease.until.clone());
                    }
                }
                JobChange::Started { lease, .. } if is_open => {
                    let (owner, until) =
                        lease.clone().map(|lease| (lease.owner, lease.until)).unzip();
                    let status = status.as_str().to_owned();
                    *job = StoredJob { status, owner, until, is_behind: job.is_behind };
                }
                JobChange::Done { .. } | JobChange::Ended { .. } if is_open => {
                    status.as_str().clone_into(&mut job.status);
                }
                _ => {}
            }
        }
        self.writes.extend(writes::job(change, turn_row(rows)));
    }
}
