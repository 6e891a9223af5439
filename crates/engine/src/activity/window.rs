//! The counts of the last day, one entry per minute with requests. Bounded: a minute keeps its most recent causes
//! up to a limit, and counts the others together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use life_agent_domain::governance::event::Outcome;

use super::report::{
    ActivityReport, DenialCount, MinuteCounts, OutcomeAverages, OutcomeCounts, RuleCount,
    SlowRequest,
};
use super::row::{Counted, KINDS};

/// The minutes that are kept: a day.
pub(super) const MINUTES: i64 = 24 * 60;
/// Causes of denials, and rules, that are counted by themselves per minute.
const MAX_CAUSES: usize = 24;
/// Entries of each list of a report.
const MAX_LISTED: usize = 20;
/// Slow requests of a report.
const MAX_SLOW: usize = 5;
/// The longest rule that is kept, in bytes.
const MAX_RULE: usize = 128;
/// The name of causes beyond the limit.
const OTHERS: &str = "others";

type Cause = (String, Option<String>);

/// The counts of the last day.
#[derive(Default)]
pub(super) struct Window {
    minutes: VecDeque<Minute>,
    /// The first minute whose requests are all counted, once counting has begun.
    since: Option<i64>,
    is_complete: bool,
}

struct Minute {
    at: i64,
    kinds: [OutcomeCounts; KINDS.len()],
    denied_by: BTreeMap<Cause, u64>,
    would_deny_by: BTreeMap<String, u64>,
    slowest: Option<SlowRequest>,
}

impl Minute {
    fn new(at: i64) -> Self {
        let kinds = [OutcomeCounts::default(); KINDS.len()];
        Self {
            at,
            kinds,
            denied_by: BTreeMap::new(),
            would_deny_by: BTreeMap::new(),
            slowest: None,
        }
    }

    fn total(&self) -> OutcomeCounts {
        let mut total = OutcomeCounts::default();
        self.kinds.iter().for_each(|counts| total += *counts);
        total
    }

    fn add(&mut self, row: Counted) {
        let count = u64::from(row.count);
        if let Some(counts) = self.kinds.get_mut(row.kind) {
            counts.add(row.outcome, count);
        }
        if let Some((reason, rule)) = row.denied_by {
            let rule = rule.map(bounded);
            bump(&mut self.denied_by, (reason, rule), (OTHERS.to_owned(), None), count);
        }
        if row.outcome == Outcome::WouldDeny {
            for rule in row.would_deny.into_iter().take(MAX_CAUSES) {
                bump(&mut self.would_deny_by, bounded(rule), OTHERS.to_owned(), count);
            }
        }
        let slow = row.elapsed_us.map(|elapsed_us| SlowRequest { elapsed_us, event_id: row.id });
        self.slowest = self.slowest.max(slow);
    }
}

/// Adds to a count, or to that of the others where there are too many.
fn bump<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, others: K, by: u64) {
    let key = if counts.len() < MAX_CAUSES || counts.contains_key(&key) { key } else { others };
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(by);
}

fn bounded(mut rule: String) -> String {
    if rule.len() > MAX_RULE {
        rule.truncate(rule.floor_char_boundary(MAX_RULE));
    }
    rule
}

impl Window {
    /// Counting begins; every request from this minute on is counted.
    pub(super) fn begin(&mut self, since: i64) {
        self.since = Some(since);
    }

    /// Everything up to now is counted.
    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }

    pub(super) fn add(&mut self, row: Counted) {
        let newest = self.minutes.back().map_or(i64::MIN, |minute| minute.at);
        // A clock that was set back must not reorder minutes: the row counts for the newest one.
        let at = row.minute.max(newest);
        if at > newest {
            self.minutes.push_back(Minute::new(at));
            while self.minutes.front().is_some_and(|oldest| oldest.at <= at - MINUTES) {
                self.minutes.pop_front();
            }
        }
        if let Some(minute) = self.minutes.back_mut() {
            minute.add(row);
        }
    }

    /// The last `minutes` up to `now`.
    pub(super) fn report(&self, minutes: usize, now: i64) -> ActivityReport {
        let length = i64::try_from(minutes).unwrap_or(MINUTES).clamp(1, MINUTES);
        // A clock that was set back must not hide the newest minute.
        let now = self.minutes.back().map_or(now, |newest| newest.at.max(now));
        let known = self.since.unwrap_or(now).max(now - MINUTES + 1).min(now);
        let from = known.max(now - length + 1);
        let inside = || self.minutes.iter().filter(|minute| minute.at >= from);
        let mut report = ActivityReport {
            complete: self.is_complete,
            since: text(from),
            minutes: Vec::new(),
            total: OutcomeCounts::default(),
            usual: self.usual(known, from, length),
            kinds: BTreeMap::new(),
            denied_by: Vec::new(),
            would_deny_by: Vec::new(),
            slowest: Vec::new(),
        };
        let mut counted = inside().peekable();
        for at in from..=now {
            let minute = counted.next_if(|minute| minute.at == at);
            let counts = minute.map(Minute::total).unwrap_or_default();
            report.total += counts;
            report.minutes.push(MinuteCounts { at: text(at), counts });
        }
        for (index, kind) in KINDS.into_iter().enumerate() {
            let counts = report.kinds.entry(kind).or_default();
            inside().filter_map(|minute| minute.kinds.get(index)).for_each(|of| *counts += *of);
        }
        let denied = ranked(inside().flat_map(|minute| &minute.denied_by));
        report.denied_by.extend(denied.into_iter().map(|((reason, decided_by), count)| {
            DenialCount { reason: reason.clone(), decided_by: decided_by.clone(), count }
        }));
        let rules = ranked(inside().flat_map(|minute| &minute.would_deny_by));
        let rules = rules.into_iter().map(|(rule, count)| RuleCount { rule: rule.clone(), count });
        report.would_deny_by.extend(rules);
        report.slowest.extend(inside().filter_map(|minute| minute.slowest));
        report.slowest.sort_unstable_by_key(|slow| Reverse(*slow));
        report.slowest.truncate(MAX_SLOW);
        report
    }

    /// The average of the periods between `known` and `from`.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn usual(&self, known: i64, from: i64, length: i64) -> Option<OutcomeAverages> {
        let earlier = from - known;
        if earlier < length {
            return None;
        }
        let mut total = OutcomeCounts::default();
        let inside = self.minutes.iter().filter(|minute| (known..from).contains(&minute.at));
        inside.for_each(|minute| total += minute.total());
        let average =
            |count: u64| (count as f64 * length as f64 / earlier as f64 * 10.0).round() / 10.0;
        Some(OutcomeAverages {
            allowed: average(total.allowed),
            denied: average(total.denied),
            would_deny: average(total.would_deny),
            failed: average(total.failed),
        })
    }
}

/// The highest counts, with equal ones in the order of their keys.
fn ranked<'a, K: Ord>(counts: impl Iterator<Item = (&'a K, &'a u64)>) -> Vec<(&'a K, u64)> {
    let mut totals = BTreeMap::<&K, u64>::new();
    for (key, count) in counts {
        let total = totals.entry(key).or_default();
        *total = total.saturating_add(*count);
    }
    let mut totals: Vec<_> = totals.into_iter().collect();
    totals.sort_by_key(|(_, count)| Reverse(*count));
    totals.truncate(MAX_LISTED);
    totals
}

/// The minute since 1970 of a row's time; `None` if it is not a time.
pub(super) fn minute_of(ts: &str) -> Option<i64> {
    let time: Timestamp = ts.parse().ok()?;
    Some(time.as_second().div_euclid(60))
}

fn text(minute: i64) -> String {
    Timestamp::from_second(minute * 60).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, minute: i64, outcome: Outcome) -> Counted {
        let denied_by = (outcome == Outcome::Denied)
            .then(|| ("rule_deny".to_owned(), Some("rules/a".to_owned())));
        Counted {
            id,
            minute,
            kind: 1,
            outcome,
            count: 1,
            denied_by,
            would_deny: Vec::new(),
            elapsed_us: Some(id),
        }
    }

    fn window(since: i64, rows: impl IntoIterator<Item = Counted>) -> Window {
        let mut window = Window::default();
        window.begin(since);
        rows.into_iter().for_each(|row| window.add(row));
        window
    }

    #[test]
    fn minutes_have_no_gaps_and_end_with_the_current_one() {
        let window = window(100, [row(1, 101, Outcome::Allowed), row(2, 103, Outcome::Denied)]);
        let report = window.report(60, 104);
        let denied: Vec<_> = report.minutes.iter().map(|minute| minute.counts.denied).collect();
        assert_eq!(
            (report.minutes[0].at.as_str(), denied.as_slice()),
            ("1970-01-01T01:40:00Z", &[0, 0, 0, 1, 0][..])
        );
        assert_eq!((report.total.allowed, report.total.denied), (1, 1));
        assert_eq!(report.kinds["turn"], report.total);
        assert_eq!(report.denied_by[0].decided_by.as_deref(), Some("rules/a"));
        assert_eq!(report.slowest, [2, 1].map(|id| SlowRequest { elapsed_us: id, event_id: id }));
        assert_eq!(report.usual, None, "no earlier period is known");
    }

    #[test]
    fn the_usual_period_is_the_average_of_the_earlier_ones() {
        let rows = (0..40).map(|minute| row(1, minute, Outcome::Denied));
        let report = window(0, rows).report(10, 39);
        assert_eq!(report.total.denied, 10);
        assert_eq!(report.usual.unwrap().denied.to_string(), "10");
        assert_eq!(window(35, []).report(10, 39).usual, None);
    }

    #[test]
    fn memory_is_bounded_and_a_clock_set_back_loses_nothing() {
        let causes = (0..100_u64).map(|n| Counted {
            denied_by: Some((format!("r{n}"), Some("x".repeat(10_000)))),
            ..row(n, 5, Outcome::Denied)
        });
        let many = window(0, causes);
        let minute = &many.minutes[0];
        assert_eq!(minute.denied_by.len(), MAX_CAUSES + 1);
        assert_eq!(minute.denied_by.values().sum::<u64>(), 100);
        assert!(
            minute
                .denied_by
                .keys()
                .all(|(_, rule)| rule.as_ref().is_none_or(|r| r.len() <= MAX_RULE))
        );
        let long = window(0, (0..3 * MINUTES).map(|minute| row(1, minute, Outcome::Allowed)));
        assert_eq!(long.minutes.len(), usize::try_from(MINUTES).unwrap());
        let back = window(0, [row(1, 50, Outcome::Allowed), row(2, 10, Outcome::Allowed)]);
        assert_eq!(back.report(1, 10).total.allowed, 2);
    }
}
