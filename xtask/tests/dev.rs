//! `cargo xtask dev`, with a script in the server's place and one in cargo's.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Says how it was started, and that it was asked to end.
const SERVER: &str = "#!/bin/sh\ntrap 'echo stopped; exit 0' TERM\n\
                      echo \"started $HOST $PORT $API_KEY $LOG_FILE\"\nwhile :; do sleep 0.05; done\n";

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// A program that is still being written cannot be started, and a start by another test shares what is
/// open at that moment.
static WRITING_OR_STARTING: Mutex<()> = Mutex::new(());

/// A copy of xtask, running beside the server's stand-in, with a cargo that does this.
fn dev(dir: &TempDir, cargo: &str, arguments: &[&str]) -> Child {
    let _alone = WRITING_OR_STARTING.lock();
    let xtask = dir.path().join("xtask");
    std::fs::copy(env!("CARGO_BIN_EXE_xtask"), &xtask).unwrap();
    script(&dir.path().join("life-agent"), SERVER);
    script(&dir.path().join("cargo"), &format!("#!/bin/sh\n{cargo}\n"));
    let mut command = Command::new(xtask);
    command.env("CARGO", dir.path().join("cargo")).arg("dev").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn it_runs_the_server_as_asked_and_ends_it_when_it_is_interrupted() {
    for (signal, reload) in [(Signal::INT, &["--reload"][..]), (Signal::TERM, &[])] {
        let dir = tempfile::tempdir().unwrap();
        let flags = ["--host", "127.0.0.1", "--port", "4321", "--api-key", "k", "--log-file", "-"];
        let mut child = dev(&dir, "exit 0", &[&flags[..], reload].concat());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "started 127.0.0.1 4321 k -");
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "stopped");
        assert!(child.wait().unwrap().success());
        let left = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 3, "the copy it ran from is gone");
    }
}

#[test]
fn it_ends_when_it_is_interrupted_while_it_builds() {
    for signal in [Signal::INT, Signal::TERM] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = dev(&dir, "echo building; exec sleep 60", &[]);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "building");
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(lines.next().is_none(), "neither cargo nor a server is left");
    }
}

#[test]
fn it_starts_nothing_that_does_not_build() {
    let dir = tempfile::tempdir().unwrap();
    let output = dev(&dir, "exit 101", &[]).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("the build failed"), "{said}");
    assert_eq!(output.stdout, b"", "nothing was started");
}
