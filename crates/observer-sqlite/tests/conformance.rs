//! SQLite passes the conformance suite, and the suite detects each guarantee that a wrapper breaks.

#![allow(clippy::unwrap_used, reason = "tests may")]

use std::path::PathBuf;

use life_agent_observer::testing::{Broken, Fault, Fixture, conformance};
use life_agent_observer_sqlite::Sqlite;
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Fixture for Folder {
    type Backend = Sqlite;

    fn backend(&self) -> Sqlite {
        Sqlite::at(self.path("agent.db"))
    }

    /// The file first: it changes only when pages are moved out of the log, which starts at a thousand
    /// pages. A torn end of the log is a commit that did not complete.
    fn crash_image(&self) -> Self {
        let image = Self::new();
        for name in ["agent.db", "agent.db-wal"] {
            std::fs::copy(self.path(name), image.path(name)).unwrap();
        }
        image
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_every_promise() {
    conformance::run(Folder::new).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_detected() {
    for fault in Fault::ALL {
        let broken = || Broken { inner: Folder::new(), fault };
        let report = conformance::run_where(broken, |name| name == fault.detected_by()).await;
        assert_eq!(report.failed(), [fault.detected_by()], "{fault:?}");
    }
}
