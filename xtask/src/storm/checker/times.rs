//! Times: the clocks of the instances differ by more than a day, and no row may show it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Broken, History, Promise};
use crate::storm::model::EXPIRY;

/// Times are taken before a row is written, which may wait for an outage.
const SLACK: SignedDuration = SignedDuration::from_secs(60);

impl History {
    pub(super) fn times(&self, broken: &mut Broken) {
        let mut before = self.began - SLACK;
        let mut expiries: BTreeMap<u64, Timestamp> = BTreeMap::new();
        for row in &self.rows {
            if row.ts < before || row.ts > self.ended + SLACK {
                broken.add(Promise::Times, format!("row {} has the time {}", row.id, row.ts));
            }
            before = row.ts.max(before);
            let time = |name: &str| row.data[name].as_str().and_then(|text| text.parse().ok());
            let approval = row.data["approval_id"].as_u64().and_then(|id| expiries.get(&id));
            let expected: Option<(Timestamp, Timestamp)> = match (row.kind.as_str(), approval) {
                ("approval.requested", _) => {
                    let expires: Timestamp = time("expires_at").unwrap_or_default();
                    expiries.insert(row.id, expires);
                    Some((expires, row.ts + SignedDuration::from_secs(EXPIRY)))
                }
                ("budget.reserved", _) => {
                    let at = row.data["at_ms"].as_i64().unwrap_or_default();
                    Some((Timestamp::from_millisecond(at).unwrap_or_default(), row.ts))
                }
                ("approval.expired", Some(expires)) if row.ts + SLACK < *expires => {
                    Some((row.ts, *expires))
                }
                ("approval.used" | "approval.decided", Some(expires))
                    if row.ts > *expires + SLACK =>
                {
                    Some((row.ts, *expires))
                }
                _ => None,
            };
            if let Some((found, due)) = expected
                && found.duration_since(due).abs() > SLACK
            {
                let why = format!("row {} ({}) is {found} in place of {due}", row.id, row.kind);
                broken.add(Promise::Times, why);
            }
        }
    }
}
