//! A disk that fills up and is freed again, on a small file system of its own

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::support::{Setup, assert_chained};

/// A tmpfs of two megabytes; gone when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where mounting is not allowed.
    fn mount(at: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(&at);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(at))
    }

    /// Writes until nothing more fits.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        let block = vec![0; 4096];
        while std::io::Write::write_all(&mut filler, &block).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        Path::join(&self.0, "filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server may still hold the database open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_steps_half_applies_none_and_heals_by_itself() {
    let setup = Setup::new().set("DB_PATH", "disk/agent.db");
    let Some(disk) = SmallDisk::mount(setup.folder().join("disk")) else {
        eprintln!("SKIPPED: no file system can be mounted here");
        return;
    };
    let app = setup.start().await;
    app.act("a", "rest").await;
    disk.fill();
    let body = json!({"agent_id": "a", "action": "write", "payload": {"text": "x".repeat(30_000)}});
    let (mut done, mut refused) = (1, 0);
    // What is allocated already may take a few more.
    for _ in 0..40 {
        let answer = app.post("/act", &body).await;
        if answer.status == 200 {
            assert_eq!(refused, 0, "nobody freed anything: {answer:?}");
            done += 1;
        } else {
            answer.error(503, "journal_unavailable");
            refused += 1;
        }
        if refused == 5 {
            break;
        }
    }
    assert_eq!(refused, 5, "the disk never was full");
    assert_eq!(app.state("a").await["version"], done, "what was refused is not applied");
    let ready = app.get("/readyz").await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(app.get("/healthz").await.status, 200);
    assert!(app.metric("journal_errors_total").await.unwrap() >= 1.0);
    disk.free();
    let acted = app.act("a", "rest").await;
    assert_eq!(acted["state_version"], done + 1, "it goes on without a restart");
    assert_eq!(app.get("/readyz").await.status, 200);
    let rows = app.journal().await;
    assert_chained(&rows);
    assert_eq!(rows.iter().filter(|row| row.kind == "obs.act").count(), done + 1);
}
