//! The query of `GET /journal`: which rows, in which order, and how many.

use jiff::Timestamp;
use life_agent_engine::domain::governance::event::{Outcome, words};
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::observer::{Criteria, Filter, MAX_QUERY_WORDS, Span};
use utoipa::IntoParams;

use crate::http::extract::{Faults, Given, Parameters};

const USUAL_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// Longest text of a condition, in characters.
const MAX_TEXT: usize = 256;
const TIME: &str = "must be a time such as `2026-11-22T00:00:00Z`";

/// The parameters, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes the parameters that `JournalQuery` reads")]
pub(super) struct JournalParameters {
    /// Rows after this one; 0 for all. With `order=asc`, the cursor.
    after: Option<u64>,
    /// Rows before this one. With `order=desc`, the cursor.
    before: Option<u64>,
    /// `asc` (oldest first, the default) or `desc` (newest first).
    #[param(pattern = "^(asc|desc)?$")]
    order: Option<String>,
    /// Largest number of rows, 1 to 1,000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// Ends the page before it exceeds this many characters, 1,000 to 1,000,000. A single row that exceeds it is
    /// listed in `left_out`.
    #[param(minimum = 1000, maximum = 1_000_000)]
    max_chars: Option<u64>,
    /// Rows of this kind; a final `*` matches any ending, as in `obs.*`.
    kind: Option<String>,
    /// Rows of this agent.
    #[param(pattern = "^[A-Za-z0-9._:-]{0,64}$")]
    agent_id: Option<String>,
    /// Rows from this time on, such as `2026-11-22T00:00:00Z`.
    since: Option<String>,
    /// Rows before this time.
    until: Option<String>,
    /// Rows of this caller.
    #[param(max_length = 256)]
    principal: Option<String>,
    /// Rows of this request.
    #[param(max_length = 256)]
    request_id: Option<String>,
    /// Tool calls of this session, and their results.
    #[param(max_length = 256)]
    session_id: Option<String>,
    /// Rows of requests with this outcome: `allowed`, `would_deny` (allowed, although a rule that only observes
    /// matched), `denied` or `failed`.
    #[param(pattern = "^(allowed|would_deny|denied|failed)?$")]
    outcome: Option<String>,
    /// Rows that this rule or pattern decided, matched, or would have refused.
    #[param(max_length = 256)]
    rule: Option<String>,
    /// Rows that contain all of these words, in any order, in upper or lower case.
    #[param(max_length = 256)]
    q: Option<String>,
    /// Rows of requests that took at least this many microseconds.
    min_elapsed_us: Option<u64>,
    /// `texts` puts the texts that rows share into their data, in place of `references`. The hash of a row covers
    /// its data as it is without this.
    #[param(pattern = "^(texts)?$")]
    expand: Option<String>,
}

/// How to return one row.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RowQuery {
    /// `texts` puts the texts that rows share into the data, in place of `references`. The hash of the row covers
    /// its data as it is without this.
    #[param(value_type = Option<String>, pattern = "^(texts)?$")]
    pub(super) expand: bool,
}

impl Parameters for RowQuery {
    const NAMES: &'static [&'static str] = &["expand"];

    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        Some(Self { expand: given.expand(faults) })
    }
}

/// Which rows to return. All conditions must hold.
#[derive(Debug)]
pub(super) struct JournalQuery {
    pub(super) span: Span,
    pub(super) limit: usize,
    pub(super) max_chars: Option<usize>,
    pub(super) agent_id: Option<AgentId>,
    pub(super) filter: Filter,
    pub(super) expand: bool,
}

impl Parameters for JournalQuery {
    const NAMES: &'static [&'static str] = &[
        "after",
        "before",
        "order",
        "limit",
        "max_chars",
        "kind",
        "agent_id",
        "since",
        "until",
        "principal",
        "request_id",
        "session_id",
        "outcome",
        "rule",
        "q",
        "min_elapsed_us",
        "expand",
    ];

    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        let order = given.parsed("order", "must be `asc` or `desc`", faults, |text| match text {
            "asc" => Some(false),
            "desc" => Some(true),
            _ => None,
        });
        let span = Span {
            after: given.row("after", faults).unwrap_or(0),
            before: given.row("before", faults).unwrap_or(u64::MAX),
            newest_first: order.unwrap_or(false),
        };
        let limit = given.limit(USUAL_LIMIT, MAX_LIMIT, faults);
        let max_chars = given.max_chars(faults);
        let expand = given.expand(faults);
        let criteria = criteria(given, faults);
        let filter = given.filter(faults)?.with(criteria);
        Some(Self { span, limit, max_chars, agent_id: given.known_agent_id(), filter, expand })
    }
}

fn criteria(given: &Given, faults: &mut Faults) -> Criteria {
    let mut text = |name| {
        let must = format_args!("must have at most {MAX_TEXT} characters");
        let short = |text: &str| (text.chars().count() <= MAX_TEXT).then(|| text.to_owned());
        given.parsed(name, must, faults, short)
    };
    let (principal, request_id) = (text("principal"), text("request_id"));
    let (session_id, rule, q) = (text("session_id"), text("rule"), text("q"));
    let must = "must be `allowed`, `would_deny`, `denied` or `failed`";
    let outcome = given.parsed("outcome", must, faults, Outcome::from_name);
    let mut time = |name| given.parsed(name, TIME, faults, as_in_rows);
    let (since, until) = (time("since"), time("until"));
    let must = "must be a number of microseconds";
    let micros = |text: &str| text.parse::<i64>().ok().and_then(|micros| micros.try_into().ok());
    let min_elapsed_us = given.parsed("min_elapsed_us", must, faults, micros);
    let words: Vec<String> = q.iter().flat_map(|q| words(q)).collect();
    if q.is_some() && words.is_empty() {
        faults.add("q", "must contain a letter or digit");
    }
    if words.len() > MAX_QUERY_WORDS {
        faults.add("q", format!("must have at most {MAX_QUERY_WORDS} words"));
    }
    Criteria {
        since,
        until,
        principal,
        request_id,
        session_id,
        outcome,
        rule,
        words,
        min_elapsed_us,
    }
}

/// A time in the form of rows, whose order as texts is that of the times.
fn as_in_rows(text: &str) -> Option<String> {
    text.parse::<Timestamp>().ok().map(|time| format!("{time:.6}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_in_the_form_of_rows() {
        for (given, expected) in [
            ("2026-11-22T00:00:00Z", Some("2026-11-22T00:00:00.000000Z")),
            ("2026-11-22T01:00:00.5+01:00", Some("2026-11-22T00:00:00.500000Z")),
            ("2026-11-22", None),
            ("yesterday", None),
        ] {
            assert_eq!(as_in_rows(given).as_deref(), expected, "{given}");
        }
    }
}
