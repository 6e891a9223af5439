//! Queued turns and repeatable calls.

use life_agent_domain::governance::event::EventKind;

use super::build::{agent, entry, json, plain, side, step, write};
use super::{Fixture, Outcome, Violation, ensure, open, same};
use crate::batch::{SideWrite, WriteBatch};
use crate::expiry::ExpiryLimits;
use crate::idempotency::{IdempotencyRecord, StoredResponse};
use crate::jobs::{JobChange, JobStatus, NewJob};
use crate::journal::Journal;

const OLD: &str = "2020-01-01T00:00:00.000000Z";
const FUTURE: &str = "2999-01-01T00:00:00.000000Z";

fn queued(id: &str) -> Result<SideWrite, Violation> {
    Ok(SideWrite::Job(JobChange::Queued(Box::new(NewJob {
        id: id.to_owned(),
        agent: agent("a")?,
        principal: "key".to_owned(),
        request_id: "r-1".to_owned(),
        input: "look\naround".to_owned(),
        created: OLD.to_owned(),
    }))))
}

fn ended(id: &str, at: &str) -> SideWrite {
    let (id, at) = (id.to_owned(), at.to_owned());
    SideWrite::Job(JobChange::Ended { id, status: JobStatus::Cancelled, at, error: None })
}

async fn status(journal: &Journal, id: &str) -> Result<Option<JobStatus>, Violation> {
    Ok(journal.job(id).await?.map(|job| job.status))
}

pub(super) async fn jobs_are_kept_in_order_and_never_change_after_their_end(
    fixture: impl Fixture,
) -> Outcome {
    let journal = open(&fixture)?;
    // The ids do not reveal the order.
    for id in ["c", "a", "b", "d"] {
        side(&journal, queued(id)?).await?;
    }
    side(&journal, ended("b", OLD)).await?;
    let start =
        |id: &str| JobChange::Started { id: id.to_owned(), at: OLD.to_owned(), lease: None };
    side(&journal, SideWrite::Job(start("b"))).await?;
    side(&journal, SideWrite::Job(start("a"))).await?;
    same(status(&journal, "b").await?, Some(JobStatus::Cancelled), "an ended job")?;
    journal.close().await?;
    let journal = open(&fixture)?;
    let jobs = journal.open_jobs().await?;
    let jobs: Vec<_> = jobs.iter().map(|job| (job.id.as_str(), job.status)).collect();
    let (waiting, running) = (JobStatus::Queued, JobStatus::Running);
    same(jobs, vec![("c", waiting), ("a", running), ("d", waiting)], "open jobs")?;
    // The batch holds an act in addition to the turn; the job names the turn.
    let act = entry(EventKind::Act, Some("a"), "{}")?;
    let turn = entry(EventKind::Turn, Some("a"), "{}")?;
    let done = SideWrite::Job(JobChange::Done { id: "a".to_owned() });
    let entries = vec![act, turn];
    write(&journal, WriteBatch { entries, ..WriteBatch::side(vec![done]) }).await?;
    let answered = JobChange::Answered { id: "a".to_owned(), result: json("{\"x\":1}")? };
    side(&journal, SideWrite::Job(answered)).await?;
    let job = journal.job("a").await?;
    let job = job.ok_or_else(|| Violation("a job that is done is gone".to_owned()))?;
    same((job.status, job.event_id), (JobStatus::Done, Some(2)), "a job that is done")?;
    same(job.result.as_deref().map(|result| result.get()), Some("{\"x\":1}"), "its result")?;
    same(job.input.as_str(), "look\naround", "its input")?;
    same(journal.job("x").await?.is_none(), true, "an unknown job")?;
    Ok(journal.close().await?)
}

fn record(id: &str) -> IdempotencyRecord {
    IdempotencyRecord { id: id.to_owned(), digest: format!("digest of {id}"), job: None }
}

fn response(body: &str) -> StoredResponse {
    StoredResponse { status: 200, headers: "content-type: x".to_owned(), body: body.into() }
}

pub(super) async fn a_call_keeps_its_first_effect_and_its_response(
    fixture: impl Fixture,
) -> Outcome {
    let journal = open(&fixture)?;
    write(&journal, plain(1)?).await?;
    for version in [1, 2] {
        let side_writes = vec![SideWrite::Idempotency(record("k"))];
        write(&journal, WriteBatch { side_writes, ..step("a", version)? }).await?;
    }
    let effect = async |id| {
        let entry = journal.idempotency(id).await?;
        Ok::<_, Violation>(entry.map(|entry| (entry.event_id, entry.record, entry.response)))
    };
    same(effect("k").await?, Some((Some(2), record("k"), None)), "a call with an effect")?;
    side(&journal, SideWrite::Response(record("k"), response("{}"))).await?;
    let expected = Some((Some(2), record("k"), Some(response("{}"))));
    same(effect("k").await?, expected, "an answered call")?;
    side(&journal, SideWrite::Response(record("n"), response("no"))).await?;
    let expected = Some((None, record("n"), Some(response("no"))));
    same(effect("n").await?, expected, "a call without an effect")?;
    let job = IdempotencyRecord { job: Some("j".to_owned()), ..record("o") };
    side(&journal, SideWrite::Idempotency(job.clone())).await?;
    same(effect("o").await?, Some((None, job, None)), "a call that queued a job")?;
    same(effect("p").await?, None, "an unknown call")?;
    // A batch that is refused leaves no record.
    let side_writes = vec![SideWrite::Idempotency(record("q"))];
    let stale = WriteBatch { epoch: Some(journal.epoch() + 1), side_writes, ..plain(2)? };
    ensure(write(&journal, stale).await.is_err(), "a batch of another epoch is stored")?;
    same(effect("q").await?, None, "the call of a refused batch")?;
    Ok(journal.close().await?)
}

pub(super) async fn old_jobs_and_records_expire(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    for (id, at) in [("old", Some(OLD)), ("open", None), ("new", Some(FUTURE))] {
        side(&journal, queued(id)?).await?;
        if let Some(at) = at {
            side(&journal, ended(id, at)).await?;
        }
    }
    for id in ["a", "b", "c"] {
        side(&journal, SideWrite::Response(record(id), response(&"x".repeat(100)))).await?;
    }
    let limits = ExpiryLimits {
        jobs_before: "2025-01-01T00:00:00.000000Z".to_owned(),
        max_jobs: 100,
        records_before: OLD.to_owned(),
        max_records: 100,
        max_bytes: 250,
    };
    expire(&journal, limits.clone()).await?;
    let left = async || {
        let mut left = String::new();
        for id in ["old", "open", "new"] {
            if journal.job(id).await?.is_some() {
                left.push_str(id);
            }
        }
        for id in ["a", "b", "c"] {
            if journal.idempotency(id).await?.is_some() {
                left.push_str(id);
            }
        }
        Ok::<_, Violation>(left)
    };
    same(left().await?.as_str(), "opennewbc", "records by age and bytes")?;
    expire(&journal, ExpiryLimits { max_jobs: 0, max_records: 1, ..limits }).await?;
    same(left().await?.as_str(), "openc", "records by number")?;
    Ok(journal.close().await?)
}

async fn expire(journal: &Journal, limits: ExpiryLimits) -> Outcome {
    for expired in journal.expired(limits.clone()).await? {
        side(journal, SideWrite::Expire(expired)).await?;
    }
    same(journal.expired(limits).await?, vec![], "expired records after their removal")
}
