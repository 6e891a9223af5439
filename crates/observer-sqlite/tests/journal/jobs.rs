//! Queued turns and idempotency records

use life_agent_domain::governance::event::EventKind;
use life_agent_observer::{
    ExpiryLimits, IdempotencyEntry, IdempotencyRecord, JobChange, JobRecord, JobStatus, Journal,
    JournalError, NewJob, SideWrite, StoredResponse, WriteBatch,
};
use serde_json::value::RawValue;

use crate::support::{Folder, agent, entry, plain, step, write};

const OLD: &str = "2020-01-01T00:00:00.000000Z";

fn queued(id: &str, name: &str) -> WriteBatch {
    change(JobChange::Queued(Box::new(NewJob {
        id: id.to_owned(),
        agent: agent(name),
        principal: "key".to_owned(),
        request_id: "r-1".to_owned(),
        input: "look\naround".to_owned(),
        created: OLD.to_owned(),
    })))
}

fn change(change: JobChange) -> WriteBatch {
    WriteBatch::side(vec![SideWrite::Job(change)])
}

fn ended(id: &str, status: JobStatus, at: &str) -> WriteBatch {
    let error = Some(RawValue::from_string(r#"{"code":"c"}"#.to_owned()).unwrap());
    change(JobChange::Ended { id: id.to_owned(), status, at: at.to_owned(), error })
}

async fn job(journal: &Journal, id: &'static str) -> Option<JobRecord> {
    journal.read_with(move |reader| reader.job(id)).await.unwrap()
}

fn mark(id: &str) -> IdempotencyRecord {
    IdempotencyRecord { id: id.to_owned(), digest: format!("digest of {id}"), job: None }
}

fn answer(body: &str) -> StoredResponse {
    StoredResponse { status: 200, headers: "content-type: x".to_owned(), body: body.into() }
}

async fn known(journal: &Journal, id: &'static str) -> Option<IdempotencyEntry> {
    journal.read_with(move |reader| reader.idempotency(id)).await.unwrap()
}

async fn keep(journal: &Journal, extra: SideWrite) {
    write(journal, WriteBatch::side(vec![extra])).await.unwrap();
}

#[tokio::test]
async fn a_job_is_done_with_the_row_of_its_turn() {
    let folder = Folder::new();
    let journal = folder.open();
    write(&journal, queued("j", "a")).await.unwrap();
    let at = "2026-01-01T00:00:00.000000Z".to_owned();
    write(&journal, change(JobChange::Started { id: "j".to_owned(), at, lease: None }))
        .await
        .unwrap();
    assert_eq!(job(&journal, "j").await.unwrap().status, JobStatus::Running);
    // The batch has a further row; the row of the turn counts.
    let act = entry(EventKind::Act, Some("a"), r#"{"action":"rest"}"#);
    let turn = entry(EventKind::Turn, Some("a"), r#"{"input":"x"}"#);
    let done = SideWrite::Job(JobChange::Done { id: "j".to_owned() });
    let work =
        WriteBatch { entries: vec![act, turn], side_writes: vec![done], ..WriteBatch::default() };
    assert_eq!(write(&journal, work).await, Ok(2));
    let done = job(&journal, "j").await.unwrap();
    assert_eq!((done.status, done.event_id), (JobStatus::Done, Some(2)));
    assert_eq!((done.input.as_str(), done.result.is_none()), ("look\naround", true));
    let result = RawValue::from_string(r#"{"a":1}"#.to_owned()).unwrap();
    write(&journal, change(JobChange::Answered { id: "j".to_owned(), result })).await.unwrap();
    assert_eq!(job(&journal, "j").await.unwrap().result.unwrap().get(), r#"{"a":1}"#);
}

#[tokio::test]
async fn what_has_ended_stays_as_it_is() {
    let folder = Folder::new();
    let journal = folder.open();
    write(&journal, queued("j", "a")).await.unwrap();
    write(&journal, ended("j", JobStatus::Cancelled, OLD)).await.unwrap();
    write(&journal, ended("j", JobStatus::Failed, OLD)).await.unwrap();
    let at = OLD.to_owned();
    write(&journal, change(JobChange::Started { id: "j".to_owned(), at, lease: None }))
        .await
        .unwrap();
    let kept = job(&journal, "j").await.unwrap();
    assert_eq!((kept.status, kept.started), (JobStatus::Cancelled, None));
    assert_eq!(kept.error.unwrap().get(), r#"{"code":"c"}"#);
    assert!(job(&journal, "other").await.is_none());
}

#[tokio::test]
async fn a_job_is_not_done_without_a_row() {
    let folder = Folder::new();
    let done = change(JobChange::Done { id: "j".to_owned() });
    assert!(matches!(folder.open().append(done), Err(JournalError::Invalid(_))));
}

#[tokio::test]
async fn open_jobs_come_back_in_the_order_of_their_arrival() {
    let folder = Folder::new();
    let journal = folder.open();
    // The order does not depend on the ids.
    for (id, name) in [("c", "a"), ("a", "b"), ("b", "a"), ("d", "a")] {
        drop(journal.append(queued(id, name)).unwrap());
    }
    write(&journal, ended("b", JobStatus::Failed, OLD)).await.unwrap();
    journal.close().await.unwrap();
    let journal = folder.open();
    let open = journal.read_with(|reader| reader.open_jobs()).await.unwrap();
    let open: Vec<_> = open.iter().map(|job| (job.id.as_str(), job.agent_id.as_str())).collect();
    assert_eq!(open, [("c", "a"), ("a", "b"), ("d", "a")]);
}

#[tokio::test]
async fn a_mark_names_the_first_row_of_its_effect_and_then_the_answer() {
    let folder = Folder::new();
    let journal = folder.open();
    write(&journal, plain(1)).await.unwrap();
    for version in [1, 2] {
        let extra = vec![SideWrite::Idempotency(mark("m"))];
        write(&journal, WriteBatch { side_writes: extra, ..step("a", version) }).await.unwrap();
    }
    let found = known(&journal, "m").await.unwrap();
    assert_eq!((found.event_id, &found.response, found.record), (Some(2), &None, mark("m")));
    keep(&journal, SideWrite::Response(mark("m"), answer("{}"))).await;
    let found = known(&journal, "m").await.unwrap();
    assert_eq!((found.event_id, found.response), (Some(2), Some(answer("{}"))));
    // A decision without an effect has only a response.
    keep(&journal, SideWrite::Response(mark("n"), answer("no"))).await;
    let found = known(&journal, "n").await.unwrap();
    assert_eq!((found.event_id, found.response), (None, Some(answer("no"))));
    let job = IdempotencyRecord { job: Some("j".to_owned()), ..mark("o") };
    keep(&journal, SideWrite::Idempotency(job.clone())).await;
    let found = known(&journal, "o").await.unwrap();
    assert_eq!((found.event_id, found.record), (None, job));
    assert_eq!(known(&journal, "p").await, None);
}

#[tokio::test]
async fn a_mark_is_not_there_without_its_row() {
    let folder = Folder::new();
    let journal = folder.open();
    let stale = Some(journal.epoch() + 1);
    let work = WriteBatch {
        side_writes: vec![SideWrite::Idempotency(mark("m"))],
        epoch: stale,
        ..step("a", 1)
    };
    assert!(write(&journal, work).await.is_err());
    assert_eq!(known(&journal, "m").await, None);
}

#[tokio::test]
async fn what_is_old_or_too_much_is_forgotten_and_what_is_open_is_not() {
    let folder = Folder::new();
    let journal = folder.open();
    let now = format!("{:.6}", jiff::Timestamp::now());
    for n in 0..1500 {
        drop(journal.append(queued(&format!("old-{n}"), "a")).unwrap());
        drop(journal.append(ended(&format!("old-{n}"), JobStatus::Failed, OLD)).unwrap());
    }
    for id in ["open", "new"] {
        write(&journal, queued(id, "a")).await.unwrap();
    }
    write(&journal, ended("new", JobStatus::Failed, &now)).await.unwrap();
    for id in ["a", "b", "c"] {
        keep(&journal, SideWrite::Response(mark(id), answer(&"x".repeat(100)))).await;
    }
    let forget = ExpiryLimits {
        jobs_before: now.clone(),
        max_jobs: 10_000,
        records_before: OLD.to_owned(),
        max_records: 10_000,
        max_bytes: 250,
    };
    assert_eq!(rounds(&journal, &forget).await, 3, "a thousand at a time");
    assert!(job(&journal, "old-0").await.is_none() && job(&journal, "old-1499").await.is_none());
    assert!(job(&journal, "open").await.is_some() && job(&journal, "new").await.is_some());
    assert_eq!(known(&journal, "a").await, None, "the oldest goes where there are too many bytes");
    assert!(known(&journal, "b").await.is_some() && known(&journal, "c").await.is_some());

    let few = ExpiryLimits { max_records: 1, max_jobs: 0, ..forget.clone() };
    rounds(&journal, &few).await;
    assert!(known(&journal, "b").await.is_none() && known(&journal, "c").await.is_some());
    assert!(job(&journal, "open").await.is_some() && job(&journal, "new").await.is_none());
    rounds(&journal, &ExpiryLimits { records_before: "9".to_owned(), ..forget }).await;
    assert_eq!(known(&journal, "c").await, None);
}

/// Removes expired records and returns the number of transactions.
async fn rounds(journal: &Journal, forget: &ExpiryLimits) -> usize {
    let forgettable = || {
        let asked = forget.clone();
        journal.read_with(move |reader| reader.expired(&asked))
    };
    let gone = forgettable().await.unwrap();
    let rounds = gone.len();
    for some in gone {
        keep(journal, SideWrite::Expire(some)).await;
    }
    assert_eq!(forgettable().await.unwrap(), []);
    rounds
}
