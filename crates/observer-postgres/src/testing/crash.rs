//! The death of the server.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::Cluster;

impl Cluster {
    /// Kills the server with `kill -9`, and waits until its sessions have ended too, so that it can start again.
    ///
    /// # Panics
    /// It cannot be killed, or its sessions do not end.
    pub fn kill(&self) {
        let lock = self.folder.join("data/postmaster.pid");
        let file = fs::read_to_string(&lock).unwrap_or_default();
        let server = file.lines().next().unwrap_or_default().trim();
        let sessions = children(server);
        let killed = Command::new("kill").args(["-9", server]).status();
        assert!(killed.is_ok_and(|status| status.success()), "cannot kill the server `{server}`");
        let until = Instant::now() + Duration::from_secs(30);
        while sessions.iter().chain([&server.to_owned()]).any(|pid| is_running(pid)) {
            assert!(Instant::now() < until, "sessions of the server do not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        // A start would take a dead server for a running one until its parent has noticed.
        let of_socket = self.folder.join(format!(".s.PGSQL.{}.lock", self.port));
        let _ = (fs::remove_file(lock), fs::remove_file(of_socket));
    }
}

/// What the system says of a process after its name: its state and its parent come first.
fn status(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned())
}

/// Whether a process has not ended. A dead one may wait for its parent.
fn is_running(pid: &str) -> bool {
    status(pid).is_some_and(|status| !status.starts_with(['Z', 'X']))
}

fn children(parent: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|pid| {
        status(pid).and_then(|status| status.split(' ').nth(1).map(|of| of == parent)) == Some(true)
    })
    .collect()
}
