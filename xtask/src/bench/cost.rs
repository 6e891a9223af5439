//! The cost of a request: processor time by thread, rows per commit, system calls.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use super::Scale;
use super::report::{Section, count, time};
use super::wrk::Run;
use crate::load::server::Server;

/// The system calls that are shown; others are rare.
const CALLS: [&str; 8] =
    ["recvfrom", "sendto", "epoll_wait", "write", "futex", "pwrite64", "fcntl", "fdatasync"];

pub(super) fn measure(scale: Scale) -> anyhow::Result<Section> {
    let mut section = Section::new("cost");
    section.line(&format!(
        "32 connections, 1,000 agents, {} s each. Processor time is per request, as the system accounts it, \
         including system calls. A separate run under `strace` counts system calls per request; it is slower and \
         commits fewer rows together.",
        scale.seconds
    ));
    let mut rows = Vec::new();
    let mut calls = Vec::new();
    for kind in ["act", "turn", "check", "state"] {
        let run = Run { kind, agents: 1_000, connections: 32, seconds: scale.seconds, pause: 0 };
        rows.push(cost(run)?);
        calls.push(system_calls(Run { seconds: 2, ..run })?);
    }
    let head = [
        "call",
        "req/s",
        "workers",
        "journal thread",
        "checkpoint thread",
        "log thread",
        "rows per commit",
    ];
    section.table(&head, &rows);
    let head: Vec<&str> = std::iter::once("call").chain(CALLS).collect();
    section.table(&head, &calls);
    Ok(section)
}

fn cost(run: Run<'_>) -> anyhow::Result<Vec<String>> {
    let server = Server::start()?;
    Run { seconds: 1, ..run }.on(server.addr)?;
    let (threads, commits) = (server.thread_seconds(), commits(&server)?);
    let measured = run.on(server.addr)?;
    let done = measured.rate * run.seconds as f64;
    let spent = server.thread_seconds();
    let each = |name: &str| {
        let of = |all: &BTreeMap<String, f64>| all.get(name).copied().unwrap_or_default();
        time((of(&spent) - of(&threads)) / done * 1e6)
    };
    let commits = self::commits(&server)? - commits;
    let shared = if commits > 0.0 { format!("{:.1}", done / commits) } else { String::new() };
    Ok(vec![
        format!("`/{}`", run.kind),
        count(measured.rate),
        each("actix-rt|system"),
        each("journal"),
        each("journal-log"),
        each("log"),
        shared,
    ])
}

/// Commits so far; 0 before the first.
fn commits(server: &Server) -> anyhow::Result<f64> {
    Ok(server.counted("journal_commit_seconds_count").unwrap_or_default())
}

/// The number of each of [`CALLS`] per request; question marks without `strace`.
fn system_calls(run: Run<'_>) -> anyhow::Result<Vec<String>> {
    let server = Server::start()?;
    Run { seconds: 1, ..run }.on(server.addr)?;
    let counts = tempfile::NamedTempFile::new()?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-p", &server.pid().to_string(), "-o"]).arg(counts.path());
    let traced = strace.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let measured = run.on(server.addr)?;
    // strace writes its counts when the traced process ends.
    drop(server);
    if let Ok(mut traced) = traced {
        traced.wait()?;
    }
    let text = std::fs::read_to_string(counts.path())?;
    let done = measured.rate * run.seconds as f64;
    let each = |call: &&str| match counted(&text, call) {
        Some(times) => format!("{:.2}", times / done),
        None if text.is_empty() => "?".to_owned(),
        None => "0".to_owned(),
    };
    Ok(std::iter::once(format!("`/{}`", run.kind)).chain(CALLS.iter().map(each)).collect())
}

/// The count of one call in the output of `strace -c`.
fn counted(text: &str, call: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.split_whitespace().next_back() == Some(call))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_strace_are_read_with_and_without_errors() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n \
                    46.90    2.302480        1704      1351           epoll_wait\n  \
                    5.04    0.247551          57      4314         5 recvfrom\n";
        assert_eq!(counted(text, "epoll_wait"), Some(1351.0));
        assert_eq!(counted(text, "recvfrom"), Some(4314.0));
        assert_eq!(counted(text, "futex"), None);
    }
}
