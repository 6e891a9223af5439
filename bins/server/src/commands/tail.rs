//! `life-agent tail`: the newest rows of a running service, and further rows as they are written.

mod sse;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::client::Service;
use super::search::{Source, print_row, query_of};
use super::service::{Trouble, call, service_help};
use super::{CommandResult, visible};
use sse::Events;

/// The longest silence of a stream; the service sends a comment every 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// Waits before the attempts to connect again; the last one is repeated.
const WAITS: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// Options of `tail`.
#[derive(Debug, Args)]
#[command(after_help = service_help!(
    "Examples:\n  life-agent tail\n  life-agent tail -f --kind 'gate.*'\n  \
    life-agent tail -f -n 0 --json | jq .data"
))]
pub struct Tail {
    /// Print further rows as they are written; after a disconnect, continue after the last printed row.
    #[arg(long, short)]
    follow: bool,
    /// Number of rows to begin with.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=1000))]
    lines: u16,
    /// Rows of this kind, such as `gate.denied`; a final `*` matches any ending, as in `obs.*`.
    #[arg(long)]
    kind: Option<String>,
    /// Rows of this agent.
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// Print each row as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Why following ends.
enum End {
    /// The connection, which can be made again.
    Connection(Trouble),
    /// For good.
    Final(Trouble),
    /// The reader of standard output is gone.
    Output,
}

/// Runs it.
pub fn run(options: &Tail) -> CommandResult {
    tail(options).map(|()| ExitCode::SUCCESS).or_else(Trouble::end)
}

fn tail(options: &Tail) -> Result<(), Trouble> {
    // Before the rows, so that no row is missed between them and the stream.
    let head = call("GET", "/journal/head", None)?["id"].as_u64().unwrap_or(0);
    if !newest(options, head)? || !options.follow {
        return Ok(());
    }
    let mut position = Position { last: head, journal: None };
    let mut failures = 0;
    loop {
        let before = position.last;
        match follow(options, &mut position) {
            End::Output => return Ok(()),
            End::Final(trouble) => return Err(trouble),
            // The first connection must succeed: an address that is wrong stays wrong.
            End::Connection(trouble) if position.journal.is_none() => return Err(trouble),
            End::Connection(_) => {}
        }
        failures = if position.last > before { 0 } else { failures + 1 };
        if failures <= 1 {
            eprintln!("life-agent: the connection ended; connecting again");
        }
        std::thread::sleep(WAITS[failures.min(WAITS.len() - 1)]);
    }
}

/// Prints the newest rows up to the head, oldest first. Returns whether their reader is still there.
fn newest(options: &Tail, head: u64) -> Result<bool, Trouble> {
    let (mut rows, mut before) = (Vec::new(), Some(head + 1));
    while let Some(cursor) = before
        && rows.len() < usize::from(options.lines)
    {
        let left = usize::from(options.lines) - rows.len();
        let page = Source::Service.page(&query_of(&[
            ("order", Some("desc".to_owned())),
            ("before", Some(cursor.to_string())),
            ("limit", Some(left.to_string())),
            ("kind", options.kind.clone()),
            ("agent_id", options.agent.clone()),
        ]))?;
        rows.extend(page.events);
        before = page.next;
    }
    Ok(rows.iter().rev().all(|row| print_row(row.get(), options.json).is_ok()))
}

/// The position in a stream.
struct Position {
    /// The last row that was printed or skipped.
    last: u64,
    /// The identity of the journal, once a stream has stated it.
    journal: Option<String>,
}

/// The data of `ready`.
#[derive(Deserialize)]
struct Ready {
    journal_id: Option<String>,
}

/// Prints rows until the stream ends.
fn follow(options: &Tail, position: &mut Position) -> End {
    let query = query_of(&[
        ("kind", options.kind.clone()),
        ("agent_id", options.agent.clone()),
        ("journal_id", position.journal.clone()),
    ]);
    let last = position.last.to_string();
    let opened = Service::from_environment().and_then(|service| {
        service.stream(&format!("/events?{query}"), &[("Last-Event-ID", &last)], SILENCE)
    });
    let mut response = match opened {
        Ok(response) => response,
        Err(failure) => return End::Connection(failure.into()),
    };
    let status = response.status();
    if status != 200 {
        let body: Value = serde_json::from_reader(&mut response).unwrap_or_default();
        let trouble = Trouble::Refused(status, body);
        let passes = matches!(status, 429 | 500..=599);
        return if passes { End::Connection(trouble) } else { End::Final(trouble) };
    }
    let mut events = Events::new(response);
    loop {
        let event = match events.next() {
            Ok(Some(event)) => event,
            Ok(None) => return End::Connection(Trouble::Failed("the stream ended".to_owned())),
            Err(error) => return End::Connection(Trouble::Failed(error.to_string())),
        };
        match event.name.as_str() {
            "ready" => {
                let ready = serde_json::from_str(&event.data).unwrap_or(Ready { journal_id: None });
                // A journal without rows has no identity yet, but the stream did begin.
                position.journal = Some(ready.journal_id.unwrap_or_default());
            }
            "gap" => report_gap(&event.data),
            _ if print_row(&event.data, options.json).is_err() => return End::Output,
            _ => {}
        }
        position.last = event.id.unwrap_or(position.last);
    }
}

/// Rows that no longer exist, on standard error.
fn report_gap(data: &str) {
    let gap: Value = serde_json::from_str(data).unwrap_or_default();
    let reason = gap["reason"].as_str().unwrap_or("unknown");
    let text = format!("rows {} to {} are missing: {reason}", gap["from"], gap["to"]);
    eprintln!("life-agent: {}", visible(&text));
}
