//! Many rows share a commit. A separate binary, because metrics are counted per process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]

use std::sync::{Arc, Mutex};

use life_agent_domain::governance::event::{Entry, EventKind};
use life_agent_observer::{Journal, Options, WriteBatch};
use life_agent_observer_sqlite::Sqlite;
use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};
use serde_json::value::RawValue;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_many_rows_share_a_commit_and_the_metrics_say_so() {
    let metrics = Metrics::default();
    metrics::set_global_recorder(metrics.clone()).ok().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let journal =
        Journal::open(Sqlite::at(folder.path().join("agent.db")), Options::default()).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let journal = journal.clone();
        writers.spawn(async move {
            for _ in 0..20 {
                journal.append(row()).unwrap().await.unwrap();
            }
        });
    }
    writers.join_all().await;
    journal.close().await.unwrap();

    let rows = metrics.rows.0.lock().unwrap().clone();
    assert_eq!(rows.iter().sum::<f64>(), 64.0 * 20.0);
    assert!(rows.len() < 64 * 20 / 4, "{} commits", rows.len());
    assert_eq!(metrics.seconds.0.lock().unwrap().len(), rows.len());
}

fn row() -> WriteBatch {
    WriteBatch::of(Entry {
        kind: EventKind::Denied,
        agent: None,
        principal: "key".to_owned(),
        request_id: "r".to_owned(),
        data: RawValue::from_string("{}".to_owned()).unwrap(),
    })
}

/// Every value of the two histograms.
#[derive(Clone, Default)]
struct Metrics {
    rows: Arc<Values>,
    seconds: Arc<Values>,
}

#[derive(Default)]
struct Values(Mutex<Vec<f64>>);

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl metrics::Recorder for Metrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match key.name() {
            "journal_batch_rows" => Histogram::from_arc(Arc::clone(&self.rows)),
            "journal_commit_seconds" => Histogram::from_arc(Arc::clone(&self.seconds)),
            _ => Histogram::noop(),
        }
    }
}
