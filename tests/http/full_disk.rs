//! A disk that fills up and is freed again, on a small file system

use std::path::{Path, PathBuf};
use std::process::Command;

use std::time::Duration;

use life_agent_groq::testing::{Answer as Reply, Seen, StandIn};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::{Answer, Setup, TestApp, assert_chained, model_setup};

/// A tmpfs of two megabytes, removed when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` if mounting is not permitted.
    fn mount(at: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(&at);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(at))
    }

    /// Writes until the file system is full.
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
        // A lazy unmount, because the server may still have the database open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_steps_applies_none_partially_and_recovers() {
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
    // Allocated pages may accept a few more rows.
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

fn queued(app: &TestApp, agent: &str, input: &str) -> RequestBuilder {
    let body = json!({"agent_id": agent, "input": input});
    app.request(Method::POST, "/turn").header("Prefer", "respond-async").json(&body)
}

/// Accepted turns run in order or fail without a trace, refused turns do not exist, and nothing waits for a
/// restart.
#[tokio::test]
async fn a_full_disk_pauses_the_queue_and_the_queue_resumes() {
    let reply = |_: usize, seen: &Seen| {
        let held = seen.body.to_string().contains("hold the gate");
        if held { Reply::silence() } else { Reply::text("So it went.") }
    };
    let mut provider = StandIn::answering(reply).await.unwrap();
    let setup = model_setup(&provider).set("DB_PATH", "disk/agent.db").set("TURN_WORKERS", "1");
    let Some(disk) = SmallDisk::mount(setup.folder().join("disk")) else {
        eprintln!("SKIPPED: no file system can be mounted here");
        return;
    };
    let app = setup.start().await;
    let id = |answer: &Answer| answer.ok()["id"].as_str().unwrap().to_owned();
    let held = id(&Answer::of(queued(&app, "a", "hold the gate")).await);
    provider.until_open(1).await;
    disk.fill();
    let mut accepted = Vec::new();
    // The space that a long turn leaves would suffice for a short one.
    for length in [4_000, 400, 4] {
        let mut refused = 0;
        while refused < 5 {
            assert!(accepted.len() < 500, "the disk never was full");
            let input = format!("turn {:03} {}", accepted.len(), "x".repeat(length));
            let answer = Answer::of(queued(&app, "a", &input)).await;
            if answer.status == 202 {
                accepted.push((id(&answer), input));
            } else {
                answer.error(503, "journal_unavailable");
                refused += 1;
            }
        }
    }
    let look = async |id: &str| app.get(&format!("/turns/{id}")).await.ok();
    assert_eq!(look(&held).await["status"], "running", "what is there can be read");
    let errors = async || app.metric("journal_errors_total").await.unwrap();
    let before = errors().await;
    let cancelled = Answer::of(app.request(Method::DELETE, &format!("/turns/{held}"))).await;
    assert_eq!(cancelled.status, 202, "{cancelled:?}");
    // The turn ends now, and neither its model call nor its end can be recorded.
    let in_vain = async {
        while errors().await < before + 3.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), in_vain).await.expect("it was to try again");
    assert_eq!(look(&held).await["status"], "running");
    disk.free();
    accepted.push((id(&Answer::of(queued(&app, "a", "at last")).await), "at last".to_owned()));

    let ended = async |id: &str| loop {
        let found = look(id).await;
        if found.get("finished").is_some() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let ended = async |id: &str| {
        tokio::time::timeout(Duration::from_secs(30), ended(id))
            .await
            .expect("the queue stands still")
    };
    assert_eq!(ended(&held).await["status"], "cancelled");
    let mut done = Vec::new();
    for (id, input) in &accepted {
        let found = ended(id).await;
        match found["status"].as_str() {
            Some("done") => done.push(input.as_str()),
            _ => assert_eq!(found["error"]["code"], "journal_unavailable", "{found}"),
        }
    }
    assert_eq!(done.last(), Some(&"at last"));
    let rows = app.journal_of("&kind=obs.turn").await;
    let taken: Vec<_> = rows.iter().map(|row| row.json()["input"].clone()).collect();
    assert_eq!(taken, done);
    assert_eq!(app.state("a").await["version"], done.len());
    assert_chained(&app.journal().await);
}
