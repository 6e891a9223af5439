//! No statement waits forever, and the number of connections is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use life_agent_observer::{Filter, Journal, Options};
use life_agent_observer_postgres::testing::Cluster;
use life_agent_observer_postgres::{Address, Postgres, PostgresOptions};

use super::support::{open, texts, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_another_session_holds_fails_a_write_and_no_later_one() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let journal = open(&address).unwrap();
    write(&journal, "before").await.unwrap();
    let database = address.rsplit_once('/').unwrap().1;
    let lock = "BEGIN; LOCK TABLE life_agent.head IN ACCESS EXCLUSIVE MODE";
    let held = cluster.hold(database, lock);
    // Without a limit this would wait until the test is killed.
    let refused = write(&journal, "while locked").await.unwrap_err().to_string();
    assert!(refused.contains("holds a lock") || refused.contains("too long"), "{refused}");
    assert!(journal.health().await.is_err());
    drop(held);
    while journal.health().await.is_err() {}
    write(&journal, "after").await.unwrap();
    assert_eq!(texts(&journal).await, ["before", "after"]);
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_share_a_bounded_number_of_connections() {
    let Some(cluster) = Cluster::start() else { return };
    let address = Address::parse(&cluster.database()).unwrap();
    let options = PostgresOptions { readers: 3, ..PostgresOptions::default() };
    let journal = Journal::open(Postgres::at(address).with(options), Options::default()).unwrap();
    write(&journal, "row").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (journal, stop) = (journal.clone(), Arc::clone(&stop));
        readers.spawn(async move {
            let mut pages = 0;
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(journal.page(0, 9, Filter::default()).await.unwrap().rows.len(), 1);
                pages += 1;
            }
            pages
        });
    }
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'life-agent'";
    let open = || cluster.sql("postgres", count).trim().parse::<u32>().unwrap();
    let counts: Vec<_> = (0..20).map(|_| tokio::task::block_in_place(open)).collect();
    stop.store(true, Ordering::SeqCst);
    let pages: u32 = readers.join_all().await.into_iter().sum();
    assert!(pages >= 32 && counts.iter().all(|count| (3..=6).contains(count)), "{counts:?}");
    journal.close().await.unwrap();
}
