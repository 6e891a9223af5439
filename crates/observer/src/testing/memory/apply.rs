//! Applies batches to the tables in memory.

use life_agent_domain::governance::event::Row;
use life_agent_domain::governance::ids::AgentId;

use super::{Agent, Call, Job, StoredState, Tables, now};
use crate::batch::{AgentStep, SideWrite, Snapshot, StateHash, WriteBatch};
use crate::expiry::Expired;
use crate::idempotency::{IdempotencyEntry, IdempotencyRecord};
use crate::jobs::{JobChange, JobRecord, JobStatus, turn_row};
use crate::precondition::{AgentVersion, Precondition, Rejection};
use crate::records::{AgentRecord, ProposalRecord};
use crate::store::{BatchOutcome, StoreError};

impl Tables {
    /// Refuses a group that cannot be stored as a whole.
    pub(super) fn check_group(&self, group: &[WriteBatch]) -> Result<(), StoreError> {
        let mut ids: Vec<&str> = self.jobs.values().map(|job| job.record.id.as_str()).collect();
        for write in group.iter().flat_map(|batch| &batch.side_writes) {
            if let SideWrite::Job(JobChange::Queued(job)) = write {
                if ids.contains(&job.id.as_str()) {
                    return Err(StoreError::NotStored("a job with this id exists".into()));
                }
                ids.push(&job.id);
            }
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, batch: WriteBatch) -> BatchOutcome {
        if let Some(rejection) = self.rejection(&batch) {
            return BatchOutcome::Rejected(rejection);
        }
        let agent = batch.step.and(batch.stepping_agent()).cloned();
        let mut rows: Vec<Row> = Vec::with_capacity(batch.entries.len());
        for entry in batch.entries {
            let is_step = entry.kind.is_step() && entry.agent == agent;
            let row = self.tip.seal(entry);
            let stepping = agent.as_ref().filter(|_| is_step);
            let prev_step = stepping.map(|agent| self.advance(agent, row.id));
            self.rows.insert(row.id, (row.clone(), prev_step));
            rows.push(row);
        }
        if let (Some(agent), Some(step)) = (&agent, batch.step) {
            self.reach(agent, step);
            if let Some(snapshot) = &batch.snapshot {
                self.snapshot(agent, snapshot);
            }
        }
        for write in batch.side_writes {
            self.side_write(write, &rows);
        }
        BatchOutcome::Stored(rows)
    }

    fn rejection(&self, batch: &WriteBatch) -> Option<Rejection> {
        let from = batch.step.and_then(|step| step.from);
        let step = from.zip(batch.stepping_agent().cloned());
        let step = step.map(|(at, agent)| Precondition::Agent { agent, at });
        step.iter().chain(&batch.preconditions).find_map(|condition| self.fails(condition))
    }

    fn fails(&self, condition: &Precondition) -> Option<Rejection> {
        match condition {
            Precondition::Agent { agent, at } => {
                let changed = !self.is_at(agent, at);
                changed.then(|| Rejection::AgentChanged(agent.clone()))
            }
            Precondition::Control { version } => {
                let present = Rejection::ControlChanged { version: self.control };
                (*version != self.control).then_some(present)
            }
            Precondition::Plan { id, status } => {
                let found = self.proposals.get(id).map(|plan| plan.proposal.status.clone());
                let changed = found != *status;
                changed.then(|| Rejection::PlanChanged { id: id.clone(), status: found })
            }
            Precondition::KeyUnclaimed { key } => {
                let claimed = self.calls.values().any(|call| call.entry.record.id == *key);
                claimed.then(|| Rejection::KeyClaimed { key: key.clone() })
            }
            Precondition::JobLease { id, owner } => {
                let held = self.jobs.values().any(|job| {
                    let lease = job.lease.as_ref().filter(|lease| lease.owner == *owner);
                    job.record.id == *id
                        && job.record.status == JobStatus::Running
                        && lease.is_some_and(|lease| lease.until > self.tip.ts)
                });
                (!held).then(|| Rejection::LeaseLost { id: id.clone() })
            }
            // Nothing shares a journal in memory.
            Precondition::JobFree { id, .. } => Some(Rejection::LeaseLost { id: id.clone() }),
        }
    }

    fn is_at(&self, agent: &AgentId, at: &AgentVersion) -> bool {
        match self.agents.get(agent.as_str()) {
            Some(agent) => {
                agent.record.state_version == at.version
                    && (at.version == 0 || agent.state_hash == at.state_hash)
            }
            None => at.version == 0,
        }
    }

    fn advance(&mut self, agent: &AgentId, id: u64) -> u64 {
        let agent = self.agents.entry(agent.as_str().to_owned()).or_insert_with(|| Agent {
            record: AgentRecord {
                agent_id: agent.as_str().to_owned(),
                state_version: 0,
                turns: 0,
                last_seen: String::new(),
                last_event: 0,
            },
            state_hash: StateHash::default(),
            first_open: None,
        });
        agent.first_open.get_or_insert(id);
        std::mem::replace(&mut agent.record.last_event, id)
    }

    fn reach(&mut self, agent: &AgentId, step: AgentStep) {
        if let Some(agent) = self.agents.get_mut(agent.as_str()) {
            agent.record.state_version = step.version;
            agent.record.turns = step.turns;
            agent.record.last_seen.clone_from(&self.tip.ts);
            agent.state_hash = step.state_hash;
        }
    }

    fn snapshot(&mut self, agent: &AgentId, snapshot: &Snapshot) {
        let Some(found) = self.agents.get_mut(agent.as_str()) else { return };
        if found.record.state_version == snapshot.version() {
            found.first_open = None;
            let stored = StoredState {
                event_id: found.record.last_event,
                state: snapshot.state().to_owned(),
                state_hash: snapshot.state_hash().to_owned(),
            };
            self.snapshots.insert(agent.as_str().to_owned(), stored);
        }
    }

    fn side_write(&mut self, write: SideWrite, rows: &[Row]) {
        match write {
            SideWrite::Proposal(proposal) => {
                let Some(row) = rows.first() else { return };
                let (event_id, ts) = match self.proposals.get(&proposal.id) {
                    Some(known) => (known.event_id, known.ts.clone()),
                    None => (row.id, row.ts.clone()),
                };
                let record = ProposalRecord { event_id, ts, proposal };
                self.proposals.insert(record.proposal.id.clone(), record);
            }
            SideWrite::Setting { key, value } => drop(self.settings.insert(key, value)),
            SideWrite::AdvanceControl => self.control += 1,
            SideWrite::Usage(usage) => {
                let Some(row) = rows.first() else { return };
                self.usage.push((row.clone(), usage));
            }
            SideWrite::Snapshot(agent, snapshot) => self.snapshot(&agent, &snapshot),
            SideWrite::Notes(agent, change) => {
                let key = |version| (agent.as_str().to_owned(), version);
                for version in change.removed {
                    self.notes.remove(&key(version));
                }
                for (version, text) in change.added {
                    self.notes.insert(key(version), text);
                }
            }
            SideWrite::Job(change) => self.job(change, rows),
            SideWrite::Idempotency(record) => {
                if self.call_mut(&record.id).is_none() {
                    let ts = rows.first().map_or_else(now, |row| row.ts.clone());
                    let event_id = rows.first().map(|row| row.id);
                    self.add_call(ts, IdempotencyEntry { record, event_id, response: None });
                }
            }
            SideWrite::Response(record, response) => self.respond(record, response),
            SideWrite::Texts(texts) => {
                let added = texts.add_each(|id, text| {
                    Ok::<_, std::convert::Infallible>(
                        self.texts.insert(*id, text.clone()).is_none(),
                    )
                });
                let Ok(()) = added;
            }
            // The plans folder has it.
            SideWrite::PlanFile(_) => {}
            SideWrite::Expire(Expired::Jobs(gone)) => {
                gone.iter().for_each(|seq| drop(self.jobs.remove(seq)));
            }
            SideWrite::Expire(Expired::Records(gone)) => {
                gone.iter().for_each(|seq| drop(self.calls.remove(seq)));
            }
        }
    }

    fn respond(&mut self, record: IdempotencyRecord, response: crate::StoredResponse) {
        match self.call_mut(&record.id) {
            Some(call) => call.entry.response = Some(response),
            None => {
                let response = Some(response);
                self.add_call(now(), IdempotencyEntry { record, event_id: None, response });
            }
        }
    }

    fn call_mut(&mut self, id: &str) -> Option<&mut Call> {
        self.calls.values_mut().find(|call| call.entry.record.id == id)
    }

    fn add_call(&mut self, ts: String, entry: IdempotencyEntry) {
        let seq = self.calls.last_key_value().map_or(0, |(seq, _)| *seq) + 1;
        self.calls.insert(seq, Call { ts, entry });
    }

    fn job(&mut self, change: JobChange, rows: &[Row]) {
        let id = match &change {
            JobChange::Queued(job) => &job.id,
            JobChange::Started { id, .. }
            | JobChange::Renewed { id, .. }
            | JobChange::Done { id }
            | JobChange::Answered { id, .. }
            | JobChange::Ended { id, .. } => id,
        };
        let found = self.jobs.values_mut().find(|job| job.record.id == *id);
        match (change, found) {
            (JobChange::Queued(job), _) => {
                let seq = self.jobs.last_key_value().map_or(0, |(seq, _)| *seq) + 1;
                let record = JobRecord {
                    id: job.id,
                    status: JobStatus::Queued,
                    agent_id: job.agent.as_str().to_owned(),
                    principal: job.principal,
                    request_id: job.request_id,
                    input: job.input,
                    created: job.created,
                    started: None,
                    finished: None,
                    event_id: None,
                    result: None,
                    error: None,
                };
                self.jobs.insert(seq, Job { record, lease: None });
            }
            (JobChange::Answered { result, .. }, Some(job))
                if job.record.status == JobStatus::Done =>
            {
                job.record.result = Some(result);
            }
            (change, Some(job)) if !job.record.status.has_ended() => job.change(change, rows),
            _ => {}
        }
    }
}

impl Job {
    fn change(&mut self, change: JobChange, rows: &[Row]) {
        let record = &mut self.record;
        match change {
            JobChange::Started { at, lease, .. } => {
                (record.status, record.started) = (JobStatus::Running, Some(at));
                self.lease = lease;
            }
            JobChange::Renewed { lease, .. } => {
                let own = self.lease.as_ref().is_some_and(|held| held.owner == lease.owner);
                if own && record.status == JobStatus::Running {
                    self.lease = Some(lease);
                }
            }
            JobChange::Done { .. } => {
                let Some(row) = turn_row(rows) else { return };
                (record.status, record.finished) = (JobStatus::Done, Some(row.ts.clone()));
                record.event_id = Some(row.id);
            }
            JobChange::Ended { status, at, error, .. } => {
                (record.status, record.finished, record.error) = (status, Some(at), error);
            }
            JobChange::Queued(_) | JobChange::Answered { .. } => {}
        }
    }
}
