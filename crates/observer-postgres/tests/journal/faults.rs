//! Faults of the server and of the network: what was answered is stored once, and the journal continues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use life_agent_observer::{Filter, JournalError};
use life_agent_observer_postgres::testing::Cluster;
use tokio::sync::mpsc;

use super::proxy::Proxy;
use super::support::{assert_whole, open, texts, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_response_to_a_commit_is_resolved() {
    let Some(cluster) = Cluster::start() else { return };
    let proxy = Proxy::to(cluster.port());
    let address = cluster.database().replace(&cluster.port().to_string(), &proxy.port.to_string());
    let journal = open(&address).unwrap();
    assert_eq!(write(&journal, "first").await, Ok(1));
    let mut follower = journal.follow(Some(0), Filter::default());
    for n in 2..=4 {
        proxy.lose_commits(1);
        assert_eq!(write(&journal, &format!("lose-me {n}")).await, Ok(n));
        assert_eq!(proxy.left(), 0, "the response was not lost");
    }
    assert_eq!(write(&journal, "last").await, Ok(5));
    assert_eq!(texts(&journal).await, ["first", "lose-me 2", "lose-me 3", "lose-me 4", "last"]);
    assert_eq!(journal.epoch(), 0, "no group has failed");
    let mut followed = Vec::new();
    while followed.len() < 5 {
        followed.extend(follower.next_batch(9).await.unwrap().iter().map(|row| row.id));
    }
    assert_eq!(followed, [1, 2, 3, 4, 5]);
    assert_whole(&journal).await;
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_under_load_loses_no_answered_row() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let journal = open(&address).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (answered, mut progress) = mpsc::unbounded_channel();
    let mut writers = Vec::new();
    for writer in 0..4 {
        let (journal, stop, answered) = (journal.clone(), Arc::clone(&stop), answered.clone());
        writers.push(tokio::spawn(async move {
            let (mut stored, mut failed) = (Vec::new(), 0);
            for n in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let text = format!("{writer}-{n}");
                match write(&journal, &text).await {
                    Ok(id) => {
                        stored.push((id, text));
                        let _ = answered.send(());
                    }
                    Err(JournalError::Unavailable(_) | JournalError::Unknown(_)) => failed += 1,
                    Err(other) => panic!("{other}"),
                }
                tokio::task::yield_now().await;
            }
            (stored, failed)
        }));
    }
    let more = async |progress: &mut mpsc::UnboundedReceiver<()>, count| {
        for _ in 0..count {
            progress.recv().await.unwrap();
        }
    };
    for _ in 0..3 {
        more(&mut progress, 50).await;
        tokio::task::block_in_place(|| {
            cluster.stop_immediately();
            cluster.start_again();
        });
        // Responses from before the crash may still be queued; these are from after it.
        while progress.try_recv().is_ok() {}
    }
    more(&mut progress, 50).await;
    stop.store(true, Ordering::SeqCst);
    let mut stored = Vec::new();
    for writer in writers {
        stored.extend(writer.await.unwrap().0);
    }
    let found = texts(&journal).await;
    for (id, text) in &stored {
        assert_eq!(&found[usize::try_from(*id).unwrap() - 1], text, "row {id}");
    }
    let mut once = found.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), found.len(), "a row was stored twice");
    assert_eq!(journal.health().await, Ok(()));
    assert_whole(&journal).await;
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_ends_are_replaced() {
    let Some(cluster) = Cluster::start() else { return };
    let journal = open(&cluster.database()).unwrap();
    for n in 1..=3 {
        assert_eq!(write(&journal, "row").await, Ok(n));
        let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = 'life-agent'";
        cluster.sql("postgres", terminate);
    }
    assert_eq!(write(&journal, "row").await, Ok(4));
    assert_eq!(texts(&journal).await.len(), 4);
    assert_eq!(journal.health().await, Ok(()));
    journal.close().await.unwrap();
}
