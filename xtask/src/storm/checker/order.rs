//! The order of rows and states against the order of requests and responses.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Broken, Call, History, Kind, Promise};

impl History {
    /// What was answered before a request was sent precedes it: in rows, and in states that are read.
    pub(super) fn real_time(&self, broken: &mut Broken) {
        let mut ended: Vec<_> =
            self.calls.iter().filter(|call| call.event_id().is_some()).collect();
        ended.sort_by_key(|call| call.ended);
        let mut sent: Vec<_> = self.calls.iter().filter(|call| call.is_answered()).collect();
        sent.sort_by_key(|call| call.sent);
        let (mut next, mut newest) = (0, 0);
        let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
        let first = self.first_attempts();
        for call in sent {
            while let Some(done) = ended.get(next).filter(|done| done.ended < call.sent) {
                newest = newest.max(done.event_id().unwrap_or_default());
                if let (Kind::Act { agent, .. } | Kind::Bare { agent, .. }, Some(version)) =
                    (&done.kind, done.body["state_version"].as_u64())
                {
                    let known = versions.entry(agent).or_default();
                    *known = version.max(*known);
                }
                next += 1;
            }
            let why = match &call.kind {
                Kind::Read { agent } => {
                    let version = call.body["state"]["version"].as_u64().unwrap_or_default();
                    let known = versions.get(agent.as_str()).copied().unwrap_or_default();
                    let why = format!("`{agent}` was read at version {version} after {known}");
                    (version < known).then_some(why)
                }
                _ => {
                    let is_first = call.key().is_none_or(|key| first.get(key) == Some(&call.sent));
                    let late = call.event_id().filter(|id| is_first && *id <= newest);
                    late.map(|id| format!("row {id} was sent after row {newest} was answered"))
                }
            };
            if let Some(why) = why {
                broken.add(Promise::RealTime, why);
            }
        }
    }

    /// When each key was sent first. A repetition may be answered with the row of an earlier call.
    fn first_attempts(&self) -> BTreeMap<&str, Instant> {
        let mut first: BTreeMap<&str, Instant> = BTreeMap::new();
        for (key, call) in self.calls.iter().filter_map(|call: &Call| Some((call.key()?, call))) {
            let earliest = first.entry(key).or_insert(call.sent);
            *earliest = call.sent.min(*earliest);
        }
        first
    }
}
