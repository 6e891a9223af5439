//! Several instances append to one journal.

use std::sync::Arc;
use std::time::Duration;

use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::event::EventKind;
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{
    AgentStep, AgentVersion, Filter, Guard, JobChange, JobStatus, Journal, JournalError,
    JournalRow, Lease, NewJob, Options, Origin, Precondition, Rejection, RowObserver, SideWrite,
    Snapshot, StateHash, WriteBatch,
};
use life_agent_observer_postgres::testing::Cluster;
use parking_lot::Mutex;

use crate::support::{assert_whole, backend, open, row, texts};

type Seen = Arc<Mutex<Vec<(u64, Origin)>>>;

struct Observer(Seen);

impl RowObserver for Observer {
    fn observe(&mut self, row: &Arc<JournalRow>, origin: Origin) {
        self.0.lock().push((row.id, origin));
    }
}

fn join(address: &str) -> (Journal, Seen) {
    let seen = Seen::default();
    let options = Options { ring_rows: 8, ..Options::default() };
    let observer = Some(Box::new(Observer(Arc::clone(&seen))) as Box<dyn RowObserver>);
    (Journal::open_observed(backend(address), options, observer).unwrap(), seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_instances_write_one_chain_and_each_sees_every_row_once_and_in_order() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let instances: Vec<_> = (0..3).map(|_| join(&address)).collect();
    let mut followers: Vec<_> =
        instances.iter().map(|(journal, _)| journal.follow(Some(0), Filter::default())).collect();
    let writers: Vec<_> = instances
        .iter()
        .enumerate()
        .map(|(n, (journal, _))| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for k in 0..100 {
                    let handles: Vec<_> = (0..3)
                        .map(|i| journal.append(row(&format!("{n}-{k}-{i}"))).unwrap())
                        .collect();
                    for handle in handles {
                        handle.await.unwrap();
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let written = texts(&instances[0].0).await;
    assert_eq!(written.len(), 900);
    for (n, (journal, seen)) in instances.iter().enumerate() {
        journal.catch_up().await.unwrap();
        assert_eq!(journal.head().id, 900);
        let seen = seen.lock();
        assert!(seen.iter().map(|(id, _)| *id).eq(1..=900));
        assert_eq!(seen.iter().filter(|(_, origin)| *origin == Origin::Own).count(), 300);
        let own: Vec<_> =
            written.iter().filter(|text| text.starts_with(&format!("{n}-"))).collect();
        let expected: Vec<_> =
            (0..100).flat_map(|k| (0..3).map(move |i| format!("{n}-{k}-{i}"))).collect();
        assert!(own.into_iter().eq(expected.iter()), "the order of the calls");
    }
    for follower in &mut followers {
        let mut ids = Vec::new();
        while ids.len() < 900 {
            ids.extend(follower.next_batch(64).await.unwrap().iter().map(|row| row.id));
        }
        assert!(ids.into_iter().eq(1..=900));
    }
    assert_whole(&instances[1].0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_woken_by_a_row_of_another_instance() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let ((first, _), (second, _)) = (join(&address), join(&address));
    let mut follower = second.follow(None, Filter::default());
    for n in 1..=20 {
        let (rows, id) = tokio::join!(follower.next_batch(8), async {
            first.append(row("x")).unwrap().await.unwrap().id
        });
        assert_eq!((rows.unwrap().first().map(|row| row.id), id), (Some(n), n));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_sees_the_rows_of_others_before_its_batch_is_written() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let ((first, _), (second, seen)) = (join(&address), join(&address));
    for _ in 0..20 {
        let id = first.append(row("first")).unwrap().await.unwrap().id;
        // No wake-up is awaited: what counts is what the guard sees under the lock.
        let knows = Arc::clone(&seen);
        let mut batch = row("second");
        batch.guard =
            Some(Guard::new(move || knows.lock().last().is_some_and(|(seen, _)| *seen >= id)));
        second.append(batch).unwrap().await.unwrap();
        let mut batch = row("never");
        batch.guard = Some(Guard::new(|| false));
        let rejected = second.append(batch).unwrap().await;
        assert_eq!(rejected.unwrap_err(), JournalError::Rejected(Rejection::Outdated));
    }
    // A rejected group leaves the journal unlocked.
    first.append(row("last")).unwrap().await.unwrap();
    assert!(!texts(&first).await.contains(&"never".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_version_is_one_for_all() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let ((first, _), (second, _)) = (join(&address), join(&address));
    let version = second.control();
    let mut change = row("switch");
    change.side_writes.push(SideWrite::AdvanceControl);
    first.append(change).unwrap().await.unwrap();
    let mut late = row("late");
    late.preconditions.push(Precondition::Control { version });
    let rejected = second.append(late).unwrap().await.unwrap_err();
    assert!(matches!(rejected, JournalError::Rejected(Rejection::ControlChanged { .. })));
    assert_eq!(second.control(), version + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_started_by_one_instance_and_in_order() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let ((first, _), (second, _)) = (join(&address), join(&address));
    let at = || "2026-11-29T00:00:00.000000Z".to_owned();
    for id in ["j1", "j2"] {
        let job = NewJob {
            id: id.to_owned(),
            agent: AgentId::new("a").unwrap(),
            principal: "p".to_owned(),
            request_id: String::new(),
            input: "x".to_owned(),
            created: at(),
        };
        let queued = SideWrite::Job(JobChange::Queued(Box::new(job)));
        first.append(WriteBatch::side(vec![queued])).unwrap().await.unwrap();
    }
    let start = |id: &str, owner: &str| {
        let lease = Some(Lease { owner: owner.to_owned(), until: at() });
        let started = JobChange::Started { id: id.to_owned(), at: at(), lease };
        let mut batch = WriteBatch::side(vec![SideWrite::Job(started)]);
        let id = id.to_owned();
        batch.preconditions.push(Precondition::JobFree { id, status: JobStatus::Queued });
        batch
    };
    let lost = |error: JournalError| {
        assert!(matches!(error, JournalError::Rejected(Rejection::LeaseLost { .. })), "{error}");
    };
    lost(second.append(start("j2", "B")).unwrap().await.unwrap_err());
    let (one, other) =
        (first.append(start("j1", "A")).unwrap(), second.append(start("j1", "B")).unwrap());
    let won = [one.await, other.await];
    assert_eq!(won.iter().filter(|won| won.is_ok()).count(), 1, "{won:?}");
    // The lease is that of the server's clock, not the caller's old one.
    let owner = if won[0].is_ok() { "A" } else { "B" };
    let held = |owner: &str| {
        let (id, owner) = ("j1".to_owned(), owner.to_owned());
        let mut batch = row("done");
        batch.preconditions.push(Precondition::JobLease { id, owner });
        batch
    };
    first.append(held(owner)).unwrap().await.unwrap();
    lost(second.append(held("C")).unwrap().await.unwrap_err());
    let mut expired = row("expired");
    let id = "j1".to_owned();
    expired.preconditions.push(Precondition::JobFree { id, status: JobStatus::Running });
    lost(second.append(expired).unwrap().await.unwrap_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_lags_far_behind_catches_up_and_one_that_ends_leaves_the_lead() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let (first, _) = join(&address);
    let (second, seen) = join(&address);
    assert!(first.sharing().unwrap().was_alone && !second.sharing().unwrap().was_alone);
    let handles: Vec<_> = (0..6000).map(|_| first.append(row("x")).unwrap()).collect();
    for handle in handles {
        handle.await.unwrap();
    }
    second.append(row("y")).unwrap().await.unwrap();
    assert!(seen.lock().iter().map(|(id, _)| *id).eq(1..=6001));
    let mut leads = first.sharing().unwrap().leads.clone();
    let led = tokio::time::timeout(Duration::from_secs(20), leads.wait_for(|leads| *leads));
    if led.await.is_ok() {
        assert!(!second.leads());
        first.close().await.unwrap();
    }
    let mut leads = second.sharing().unwrap().leads.clone();
    let led = tokio::time::timeout(Duration::from_secs(20), leads.wait_for(|leads| *leads));
    led.await.unwrap().unwrap();
    second.append(row("z")).unwrap().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_another_program_ends_every_instance_that_would_continue_it() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let ((first, _), (second, _)) = (join(&address), join(&address));
    first.append(row("x")).unwrap().await.unwrap();
    let database = address.rsplit_once('/').unwrap().1;
    let foreign =
        "INSERT INTO life_agent.events SELECT 2, ts, kind, data, agent_id, principal, request_id,
        repeat('1', 64), hash, prev_step FROM life_agent.events WHERE id = 1;
        UPDATE life_agent.head SET id = 2";
    cluster.sql(database, foreign);
    for journal in [&first, &second] {
        let refused = journal.append(row("y")).unwrap().await.unwrap_err();
        assert!(refused.to_string().contains("does not end as this instance left it"), "{refused}");
    }
    assert!(open(&address).is_err());
}

/// The state of an agent after some steps.
fn state(version: u64) -> AgentState {
    AgentState { version, ..AgentState::initial(1) }
}

fn version(version: u64) -> AgentVersion {
    AgentVersion { version, state_hash: StateHash::from_hex(&state(version).hash()) }
}

/// A step from the version before.
fn step(to: u64) -> WriteBatch {
    let mut batch = row("step");
    batch.entries[0].kind = EventKind::Act;
    batch.entries[0].agent = Some(AgentId::new("a").unwrap());
    let AgentVersion { version, state_hash } = version(to);
    let from = Some(self::version(to - 1));
    batch.step = Some(AgentStep { version, turns: 0, state_hash, from });
    batch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_instance_knows_of_an_agent_ends_with_a_write_of_another() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let database = address.rsplit_once('/').unwrap().1;
    let ((first, _), (second, _)) = (join(&address), join(&address));
    let first_open =
        || cluster.sql(database, "SELECT first_open FROM life_agent.agents").trim().to_owned();
    for to in 1..=4 {
        first.append(step(to)).unwrap().await.unwrap();
    }
    assert_eq!(first_open(), "1");
    // A snapshot adds no row, and the step after it is the first one that it does not cover.
    let state = state(4);
    let snapshot = Snapshot::of(&state, &state.hash());
    let covered = SideWrite::Snapshot(AgentId::new("a").unwrap(), snapshot);
    second.append(WriteBatch::side(vec![covered])).unwrap().await.unwrap();
    first.append(step(5)).unwrap().await.unwrap();
    assert_eq!(first_open(), "5");
    // Neither does the version alone decide: the second instance steps, and the first must not step from the same.
    second.append(step(6)).unwrap().await.unwrap();
    let rejected = first.append(step(6)).unwrap().await.unwrap_err();
    assert!(matches!(rejected, JournalError::Rejected(Rejection::AgentChanged(_))), "{rejected}");
    first.append(step(7)).unwrap().await.unwrap();
    second.append(step(8)).unwrap().await.unwrap();
    assert_whole(&first).await;
}
