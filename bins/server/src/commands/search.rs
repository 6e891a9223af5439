//! `life-agent audit search`: finds rows at the running service, or in a journal without one.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use life_agent_engine::observer::Readers;
use reqwest::Url;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::service::{Trouble, get};
use super::terminal::{print_json_text, print_out};
use super::{CommandResult, rows};
use crate::place::Place;
use crate::routes::journal::search_journal;

/// Most rows of one page.
const MAX_PAGE: usize = 1000;

/// Options of `audit search`.
#[derive(Debug, Args)]
pub struct Search {
    /// Rows that contain all of these words, in upper or lower case.
    words: Vec<String>,
    /// Rows of this kind, such as `gate.denied`; a final `*` matches any ending, as in `obs.*`.
    #[arg(long)]
    kind: Option<String>,
    /// Rows of this agent.
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// Rows of this caller.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Rows of this request.
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Tool calls of this session, and their results.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Rows of requests with this outcome: allowed, `would_deny`, denied or failed.
    #[arg(long, value_parser = ["allowed", "would_deny", "denied", "failed"])]
    outcome: Option<String>,
    /// Rows that this rule or pattern decided, matched, or would have refused.
    #[arg(long)]
    rule: Option<String>,
    /// Rows of requests that took at least this many milliseconds.
    #[arg(long, value_name = "MS")]
    slower_than: Option<u32>,
    /// Rows from this time on: `2026-11-22T08:00:00Z`, a local `2026-11-22 08:00`, or an age such as `2h` or `3d`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Rows before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Rows after this one.
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// Rows before this one.
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// Oldest first, instead of newest first.
    #[arg(long)]
    oldest_first: bool,
    /// Largest number of rows; 0 for all.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Put texts that rows share into the rows, in place of references.
    #[arg(long)]
    texts: bool,
    /// Print each row as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Search this journal, without a service.
    #[arg(long, value_name = "FILE|URL")]
    db: Option<PathBuf>,
}

/// A time: absolute, local, or so long ago.
fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Ok(local) = text.parse::<DateTime>() {
        let zoned = local.to_zoned(TimeZone::system()).map_err(|error| error.to_string())?;
        return Ok(zoned.timestamp());
    }
    let age = text.parse::<Span>().ok().filter(|age| age.is_positive());
    let then = age.and_then(|age| Zoned::now().checked_sub(age).ok());
    let then =
        then.ok_or("expected a time such as `2026-11-22T08:00:00Z`, `2026-11-22 08:00` or `2h`");
    Ok(then?.timestamp())
}

/// Where to search.
pub(super) enum Source {
    Service,
    Journal(Box<dyn Readers>),
}

/// Runs it. A service is asked if the environment names one and the options name no journal.
pub(super) fn run(options: &Search, settings: &Place) -> CommandResult {
    let named = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let found = match &options.db {
        None if named("LIFE_AGENT_URL") || named("LIFE_AGENT_KEY") => {
            search(options, &Source::Service)
        }
        db => Place::or(db.as_deref(), settings)
            .and_then(|place| place.reader())
            .map_err(Trouble::from)
            .and_then(|journal| search(options, &Source::Journal(journal))),
    };
    found.map(|()| ExitCode::SUCCESS).or_else(Trouble::end)
}

fn search(options: &Search, source: &Source) -> Result<(), Trouble> {
    let mut left = if options.limit == 0 { usize::MAX } else { options.limit };
    let mut cursor = None;
    while left > 0 {
        let page = source.page(&query(options, cursor, left.min(MAX_PAGE)))?;
        for row in &page.events {
            if print_row(row.get(), options.json).is_err() {
                // The reader of the pipe has seen enough.
                return Ok(());
            }
        }
        left = left.saturating_sub(page.events.len());
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
    Ok(())
}

/// A page of rows, each byte for byte: their hashes cover the data as it is.
#[derive(Deserialize)]
pub(super) struct JournalPage {
    pub(super) events: Vec<Box<RawValue>>,
    pub(super) next: Option<u64>,
}

impl Source {
    /// The rows of a query.
    pub(super) fn page(&self, query: &str) -> Result<JournalPage, Trouble> {
        let page = match self {
            Source::Service => get(&format!("/journal?{query}"))?,
            Source::Journal(journal) => search_journal(&**journal, query).map_err(|error| {
                let body = serde_json::to_value(error.envelope("")).unwrap_or_default();
                Trouble::Refused(error.code.status().as_u16(), body)
            })?,
        };
        let read = serde_json::from_slice(&page);
        read.map_err(|error| Trouble::Failed(format!("the page cannot be read: {error}")))
    }
}

/// Prints a row as a line.
pub(super) fn print_row(row: &str, as_json: bool) -> std::io::Result<()> {
    if as_json {
        return print_json_text(row);
    }
    print_out(&rows::line(&serde_json::from_str(row).unwrap_or_default()))
}

/// The parameters of `GET /journal`.
fn query(options: &Search, cursor: Option<u64>, limit: usize) -> String {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let oldest_first = options.oldest_first;
    let words = (!options.words.is_empty()).then(|| options.words.join(" "));
    query_of(&[
        ("after", number(cursor.filter(|_| oldest_first).or(options.after))),
        ("before", number(cursor.filter(|_| !oldest_first).or(options.before))),
        ("order", Some(if oldest_first { "asc" } else { "desc" }.to_owned())),
        ("limit", Some(limit.to_string())),
        ("kind", options.kind.clone()),
        ("agent_id", options.agent.clone()),
        ("principal", options.principal.clone()),
        ("request_id", options.request.clone()),
        ("session_id", options.session.clone()),
        ("outcome", options.outcome.clone()),
        ("rule", options.rule.clone()),
        ("min_elapsed_us", number(options.slower_than.map(|ms| u64::from(ms) * 1000))),
        ("since", options.since.map(|time| time.to_string())),
        ("until", options.until.map(|time| time.to_string())),
        ("q", words),
        ("expand", options.texts.then(|| "texts".to_owned())),
    ])
}

/// Parameters as a query, without those that are absent.
pub(super) fn query_of(parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let url = Url::parse_with_params("http://localhost/", given);
    url.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_local_or_ages() {
        let absolute: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        assert_eq!(time("2026-11-22T08:00:00Z").unwrap(), absolute);
        assert_eq!(time("2026-11-22T09:00:00+01:00").unwrap(), absolute);
        let local = time("2026-11-22 08:00").unwrap();
        assert_eq!(time("2026-11-22T08:00").unwrap(), local);
        assert!(time("2026-11-22").unwrap() <= local);
        assert!(time("3d").unwrap() < time("2h").unwrap());
        for bad in ["yesterday", "", "-2h", "08:00", "2026-13-01"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn queries_are_encoded() {
        let query = query_of(&[("q", Some("a&b=c ü".to_owned())), ("after", None)]);
        assert_eq!(query, "q=a%26b%3Dc+%C3%BC");
    }
}
