//! PostgreSQL passes the conformance suite, and the suite detects each guarantee that a wrapper breaks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use life_agent_observer::testing::{Broken, Fault, Fixture, conformance};
use life_agent_observer_postgres::testing::Cluster;
use life_agent_observer_postgres::{Address, Postgres, PostgresOptions};

/// The tables of a journal.
const TABLES: [&str; 10] = [
    "head",
    "events",
    "agents",
    "snapshots",
    "proposals",
    "llm_usage",
    "settings",
    "jobs",
    "idempotency_records",
    "notes",
];

/// A schema of its own in one database.
struct Schema {
    cluster: Arc<Cluster>,
    name: String,
    /// Whether the connections do without a session of their own, as behind a pooler.
    is_pooled: bool,
}

static NUMBER: LazyLock<AtomicU64> = LazyLock::new(AtomicU64::default);

impl Schema {
    fn new(cluster: &Arc<Cluster>) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let (cluster, name) = (Arc::clone(cluster), format!("journal_{number}"));
        Self { cluster, name, is_pooled: false }
    }
}

impl Fixture for Schema {
    type Backend = Postgres;

    fn backend(&self) -> Postgres {
        let address = Address::parse(&self.cluster.address("postgres")).unwrap();
        let schema = self.name.clone();
        let direct = self.is_pooled.then(|| address.clone());
        let options = PostgresOptions { schema, ..PostgresOptions::default() };
        Postgres::at(address).direct(direct).with(options)
    }

    /// What is committed at this moment. That a commit survives a crash of the server is checked with a server that
    /// is stopped under load.
    fn crash_image(&self) -> Self {
        let image = Self::new(&self.cluster);
        let (from, to) = (&self.name, &image.name);
        let mut sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE SCHEMA {to};
             CREATE TABLE {to}.journal_version AS SELECT * FROM {from}.journal_version;"
        );
        for table in TABLES {
            sql += &format!(
                "CREATE TABLE {to}.{table} (LIKE {from}.{table} INCLUDING ALL);
                 INSERT INTO {to}.{table} SELECT * FROM {from}.{table};"
            );
        }
        self.cluster.sql("postgres", &(sql + "COMMIT;"));
        image
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_every_promise() {
    let Some(cluster) = Cluster::start().map(Arc::new) else { return };
    // Leases end by the clock of the server, and not when the caller says.
    let report = conformance::run_where(|| Schema::new(&cluster), |name| !name.contains("lease"));
    report.await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_them_behind_a_pooler() {
    let Some(cluster) = Cluster::start().map(Arc::new) else { return };
    let pooled = || Schema { is_pooled: true, ..Schema::new(&cluster) };
    let some = [
        "calls_and_rows_have_the_same_order",
        "reopening_continues_the_chain",
        "the_version_alone_is_not_enough",
        "a_key_is_claimed_once",
        "the_history_of_an_agent_starts_at_its_snapshot",
        "retention_removes_a_declared_prefix",
    ];
    let report = conformance::run_where(pooled, |name| some.contains(&name)).await;
    assert_eq!(report.outcomes.len(), some.len());
    report.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_detected() {
    let Some(cluster) = Cluster::start().map(Arc::new) else { return };
    for fault in Fault::ALL {
        let broken = || Broken { inner: Schema::new(&cluster), fault };
        let report = conformance::run_where(broken, |name| name == fault.detected_by()).await;
        assert_eq!(report.failed(), [fault.detected_by()], "{fault:?}");
    }
}
