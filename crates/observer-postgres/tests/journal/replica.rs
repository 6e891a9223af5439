//! Reads from a replica: never older than what callers were given, whatever happens to the replica.

use life_agent_observer::{Filter, Journal, Options, Span};
use life_agent_observer_postgres::Address;
use life_agent_observer_postgres::testing::Cluster;

use super::support::{backend, write};

async fn rows(journal: &Journal) -> Vec<u64> {
    let page = journal.rows(Span::after(0), 10_000, Filter::default()).await.unwrap();
    page.rows.iter().map(|row| row.id).collect()
}

/// Queries that the standby has answered for the service.
fn served(standby: &Cluster) -> u64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'life-agent'";
    standby.sql("postgres", sql).trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_after_a_write_finds_the_row_while_the_replica_serves_lags_or_is_gone() {
    let Some(cluster) = Cluster::start() else { return };
    let address = cluster.database();
    let database = address.rsplit_once('/').unwrap().1.to_owned();
    let standby = cluster.standby();
    let replica = Address::parse(&standby.address(&database)).unwrap();
    let backend = backend(&address).replica(Some(replica));
    let journal = Journal::open(backend, Options::default()).unwrap();
    let mut written = Vec::new();
    let mut write_and_read = async |count: usize| {
        for _ in 0..count {
            written.push(write(&journal, "row").await.unwrap());
            assert_eq!(rows(&journal).await, written);
        }
    };
    write_and_read(20).await;
    assert!(served(&standby) >= 1, "the standby has a session");
    standby.sql("postgres", "SELECT pg_wal_replay_pause()");
    write_and_read(3).await;
    standby.sql("postgres", "SELECT pg_wal_replay_resume()");
    write_and_read(3).await;
    standby.stop_immediately();
    write_and_read(3).await;
    standby.start_again();
    write_and_read(3).await;
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_with_another_journal_serves_nothing() {
    let Some(cluster) = Cluster::start() else { return };
    let other = super::support::open(&cluster.database()).unwrap();
    let other_address = cluster.address("d0");
    for text in ["not", "of", "this", "journal"] {
        write(&other, text).await.unwrap();
    }
    let replica = Some(Address::parse(&other_address).unwrap());
    let journal = Journal::open(backend(&cluster.database()).replica(replica), Options::default());
    let journal = journal.unwrap();
    write(&journal, "one").await.unwrap();
    let page = journal.rows(Span::after(0), 9, Filter::default()).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    assert!(page.rows[0].data.get().contains("one"));
    journal.close().await.unwrap();
    other.close().await.unwrap();
}
