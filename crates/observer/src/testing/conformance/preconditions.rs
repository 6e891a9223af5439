//! Preconditions: a batch is stored only if they hold.

use std::fmt;

use life_agent_domain::governance::event::EventKind;

use super::build::{
    agent, all, entry, ids, is_whole, json, plain, side, state_hash, step, step_from, write,
};
use super::{Fixture, Outcome, Violation, open, same};
use crate::batch::{Proposal, SideWrite, WriteBatch};
use crate::committed::Committed;
use crate::error::JournalError;
use crate::filter::Filter;
use crate::idempotency::IdempotencyRecord;
use crate::jobs::{JobChange, JobStatus, Lease, NewJob};
use crate::precondition::{AgentVersion, Precondition, Rejection};

const PAST: &str = "2020-01-01T00:00:00.000000Z";
const FUTURE: &str = "2999-01-01T00:00:00.000000Z";

fn rejected<T: fmt::Debug>(
    found: Result<T, JournalError>,
    expected: Rejection,
    subject: &str,
) -> Outcome {
    same(found.err(), Some(JournalError::Rejected(expected)), subject)
}

fn under(precondition: Precondition, n: u64) -> Result<WriteBatch, Violation> {
    Ok(WriteBatch { preconditions: vec![precondition], ..plain(n)? })
}

pub(super) async fn a_step_needs_the_state_it_was_decided_on(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let changed = || Ok::<_, Violation>(Rejection::AgentChanged(agent("a")?));
    same(write(&journal, step("a", 1)?).await, Ok(1), "the first step")?;
    rejected(write(&journal, step("a", 1)?).await, changed()?, "the first step again")?;
    rejected(write(&journal, step("a", 3)?).await, changed()?, "a step from the future")?;
    let other = AgentVersion { version: 1, state_hash: state_hash(9) };
    let on_other = step_from("a", 2, other)?;
    rejected(write(&journal, on_other).await, changed()?, "a step on another state")?;
    same(write(&journal, step("a", 2)?).await, Ok(2), "the second step")?;
    let at = AgentVersion { version: 1, state_hash: state_hash(1) };
    let stale = Precondition::Agent { agent: agent("a")?, at };
    rejected(write(&journal, under(stale, 1)?).await, changed()?, "another batch")?;
    let record = journal.agent("a").await?.map(|record| (record.state_version, record.last_event));
    same(record, Some((2, 2)), "the agent")?;
    journal.close().await?;
    // The state is compared after a restart, too.
    let journal = open(&fixture)?;
    let on_other = step_from("a", 3, AgentVersion { version: 2, state_hash: state_hash(9) })?;
    rejected(write(&journal, on_other).await, changed()?, "a step on another state, restarted")?;
    same(write(&journal, step("a", 3)?).await, Ok(3), "the third step")?;
    is_whole(&journal).await?;
    Ok(journal.close().await?)
}

/// Two steps are decided ahead, 5 to 6 and 6 to 7, and another writer commits its own 5 to 6 first. The
/// second step finds the version that it expects, on a state that it has never seen.
pub(super) async fn the_version_alone_is_not_enough(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    for version in 1..=5 {
        write(&journal, step("a", version)?).await?;
    }
    let mut foreign = step("a", 6)?;
    if let Some(step) = &mut foreign.step {
        step.state_hash = state_hash(600);
    }
    let queued = [journal.append(foreign)?, journal.append(step("a", 6)?)?];
    let ahead = journal.append(step("a", 7)?)?;
    let [foreign, lost] = queued;
    same(foreign.await?.id, 6, "the other writer's step")?;
    let changed = Rejection::AgentChanged(agent("a")?);
    rejected::<Committed>(lost.await, changed.clone(), "the step from the same version")?;
    rejected::<Committed>(ahead.await, changed, "the step on a state that never existed")?;
    same(journal.head().id, 6, "the head")?;
    Ok(journal.close().await?)
}

pub(super) async fn a_failed_precondition_fails_only_its_batch(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let stale = Precondition::Control { version: 7 };
    let mut queued = Vec::new();
    for n in 0..60 {
        let mut batch = if n % 3 == 0 { under(stale.clone(), n)? } else { plain(n)? };
        let setting = SideWrite::Setting { key: format!("s{n}"), value: n.to_string() };
        batch.side_writes.push(setting);
        batch.entries.push(entry(EventKind::PlanCreated, None, "{}")?);
        queued.push((n, journal.append(batch)?));
    }
    let mut next = 1;
    for (n, handle) in queued {
        match (n % 3 == 0, handle.await) {
            (true, outcome) => {
                rejected(outcome, Rejection::ControlChanged { version: 0 }, "a stale batch")?;
            }
            (false, outcome) => {
                next += 2;
                same(outcome?.id, next - 1, "the last row of a valid batch")?;
            }
        }
        let expected = (n % 3 != 0).then(|| n.to_string());
        same(journal.setting(&format!("s{n}")).await?, expected, "the side write of a batch")?;
    }
    let rows = all(&journal, &Filter::default(), 1000).await?;
    same(ids(&rows), (1..=80).collect(), "ids of all rows")?;
    same(journal.head().id, 80, "the head")?;
    is_whole(&journal).await?;
    Ok(journal.close().await?)
}

pub(super) async fn the_control_version_is_checked(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let at = |version| under(Precondition::Control { version }, version);
    same(journal.control(), 0, "the first control version")?;
    // In one group: permitted before the switch, the switch, permitted before it but queued after it.
    let (before, switch, after) = (at(0)?, plain(1)?, at(0)?);
    let switch = WriteBatch { side_writes: vec![SideWrite::AdvanceControl], ..switch };
    let (before, switch, after) =
        (journal.append(before)?, journal.append(switch)?, journal.append(after)?);
    same(before.await.map(|committed| committed.id), Ok(1), "a batch before the switch")?;
    same(switch.await.map(|committed| committed.id), Ok(2), "the switch")?;
    rejected(after.await, Rejection::ControlChanged { version: 1 }, "a batch after the switch")?;
    same(journal.control(), 1, "the control version after the switch")?;
    same(write(&journal, at(1)?).await, Ok(3), "a batch under the new version")?;
    journal.close().await?;
    let journal = open(&fixture)?;
    same(journal.control(), 1, "the control version after a restart")?;
    rejected(
        write(&journal, at(0)?).await,
        Rejection::ControlChanged { version: 1 },
        "an old batch after a restart",
    )?;
    Ok(journal.close().await?)
}

pub(super) async fn the_status_of_a_plan_is_checked(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let becomes = |expected: Option<&str>, status: &str| {
        let proposal = Proposal {
            id: "p".to_owned(),
            status: status.to_owned(),
            intent: "i".to_owned(),
            artifact: "a".to_owned(),
            data: json("{}")?,
        };
        let status = expected.map(str::to_owned);
        let batch = under(Precondition::Plan { id: "p".to_owned(), status }, 1)?;
        Ok::<_, Violation>(WriteBatch { side_writes: vec![SideWrite::Proposal(proposal)], ..batch })
    };
    let changed = |status: Option<&str>| Rejection::PlanChanged {
        id: "p".to_owned(),
        status: status.map(str::to_owned),
    };
    let missing = becomes(Some("created"), "approved")?;
    rejected(write(&journal, missing).await, changed(None), "a review of no plan")?;
    same(write(&journal, becomes(None, "created")?).await, Ok(1), "a new plan")?;
    let again = becomes(None, "created")?;
    rejected(write(&journal, again).await, changed(Some("created")), "the same plan again")?;
    // Two reviews at the same moment: the first counts.
    let approved = journal.append(becomes(Some("created"), "approved")?)?;
    let denied = journal.append(becomes(Some("created"), "rejected")?)?;
    same(approved.await.map(|committed| committed.id), Ok(2), "the first review")?;
    rejected(denied.await, changed(Some("approved")), "the second review")?;
    let status = journal.proposal("p").await?.map(|record| record.proposal.status);
    same(status.as_deref(), Some("approved"), "the status of the plan")?;
    Ok(journal.close().await?)
}

pub(super) async fn a_key_is_claimed_once(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let call = |n| {
        let record = IdempotencyRecord { id: "k".to_owned(), digest: "d".to_owned(), job: None };
        let batch = under(Precondition::KeyUnclaimed { key: "k".to_owned() }, n)?;
        Ok::<_, Violation>(WriteBatch {
            side_writes: vec![SideWrite::Idempotency(record)],
            ..batch
        })
    };
    // Two calls with one key at the same moment: one takes effect.
    let (first, second) = (journal.append(call(1)?)?, journal.append(call(2)?)?);
    let claimed = Rejection::KeyClaimed { key: "k".to_owned() };
    same(first.await.map(|committed| committed.id), Ok(1), "the first call")?;
    rejected(second.await, claimed.clone(), "the second call")?;
    journal.close().await?;
    let journal = open(&fixture)?;
    rejected(write(&journal, call(3)?).await, claimed, "a call after a restart")?;
    let entry = journal.idempotency("k").await?;
    same(entry.and_then(|entry| entry.event_id), Some(1), "the recorded effect")?;
    same(journal.head().id, 1, "the head")?;
    Ok(journal.close().await?)
}

pub(super) async fn a_lease_is_held_by_one_owner_for_a_time(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let new = NewJob {
        id: "j".to_owned(),
        agent: agent("a")?,
        principal: "key".to_owned(),
        request_id: "r-1".to_owned(),
        input: "look".to_owned(),
        created: PAST.to_owned(),
    };
    side(&journal, SideWrite::Job(JobChange::Queued(Box::new(new)))).await?;
    let turn = |owner: &str| {
        let lease = Precondition::JobLease { id: "j".to_owned(), owner: owner.to_owned() };
        under(lease, 1)
    };
    let start = |owner: &str, until: &str| {
        let lease = Some(Lease { owner: owner.to_owned(), until: until.to_owned() });
        SideWrite::Job(JobChange::Started { id: "j".to_owned(), at: PAST.to_owned(), lease })
    };
    let lost = Rejection::LeaseLost { id: "j".to_owned() };
    rejected(write(&journal, turn("one")?).await, lost.clone(), "a job that is not running")?;
    side(&journal, start("one", FUTURE)).await?;
    same(write(&journal, turn("one")?).await, Ok(1), "the owner's batch")?;
    rejected(write(&journal, turn("two")?).await, lost.clone(), "another owner's batch")?;
    side(&journal, start("one", PAST)).await?;
    rejected(write(&journal, turn("one")?).await, lost.clone(), "a batch after the lease")?;
    let renew = |owner: &str| {
        let lease = Lease { owner: owner.to_owned(), until: FUTURE.to_owned() };
        SideWrite::Job(JobChange::Renewed { id: "j".to_owned(), lease })
    };
    side(&journal, renew("two")).await?;
    rejected(write(&journal, turn("two")?).await, lost.clone(), "a lease renewed by another")?;
    side(&journal, renew("one")).await?;
    same(write(&journal, turn("one")?).await, Ok(2), "a batch under a renewed lease")?;
    let open_jobs = journal.open_jobs().await?;
    let owner = open_jobs.first().and_then(|job| job.lease.as_ref()).map(|lease| &lease.owner);
    same(owner.map(String::as_str), Some("one"), "the owner of the open job")?;
    let (id, at) = ("j".to_owned(), PAST.to_owned());
    let ended = JobChange::Ended { id, status: JobStatus::Failed, at, error: None };
    side(&journal, SideWrite::Job(ended)).await?;
    rejected(write(&journal, turn("one")?).await, lost, "a batch of an ended job")?;
    same(journal.head().id, 2, "the head")?;
    Ok(journal.close().await?)
}
