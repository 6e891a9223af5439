//! Promises about the rows, and about what streams and answers say of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, History, Kind, Promise, Row};

impl History {
    pub(super) fn chain(&self, broken: &mut Broken) {
        let mut before = (0, "0".repeat(64));
        for row in &self.rows {
            if row.id != before.0 + 1 || row.prev_hash != before.1 {
                let why = format!("row {} does not continue row {}", row.id, before.0);
                broken.add(Promise::Chain, why);
            }
            before = (row.id, row.hash.clone());
        }
    }

    fn markers(&self) -> BTreeMap<&str, Vec<&Row>> {
        let mut markers: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            if let Some(marker) = row.marker() {
                markers.entry(marker).or_default().push(row);
            }
        }
        markers
    }

    pub(super) fn answers(&self, broken: &mut Broken) {
        let markers = self.markers();
        for (marker, rows) in markers.iter().filter(|(_, rows)| rows.len() > 1) {
            let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
            broken.add(Promise::Effects, format!("`{marker}` has the effects {ids:?}"));
        }
        let mut jobs: BTreeMap<&str, &str> = BTreeMap::new();
        for (key, job) in self.calls.iter().filter_map(|call| Some((call.key()?, call.job()?))) {
            let first = *jobs.entry(key).or_insert(job);
            if first != job {
                broken.add(Promise::Effects, format!("`{key}` is queued as {first} and as {job}"));
            }
        }
        for call in &self.calls {
            let (Kind::Act { marker, .. } | Kind::Bare { marker, .. } | Kind::Approved { marker }) =
                &call.kind
            else {
                continue;
            };
            let answer = call.event_id();
            let Some(id) = answer.or_else(|| call.earlier_row()) else { continue };
            let rows = markers.get(marker.as_str());
            let why = match rows.and_then(|rows| rows.iter().find(|row| row.id == id)) {
                None => format!("`{marker}` was answered with row {id}, which is not its row"),
                Some(row)
                    if answer.is_some()
                        && row.data["state_version"] != call.body["state_version"] =>
                {
                    format!("`{marker}` was answered with another version than row {id}")
                }
                Some(_) => continue,
            };
            broken.add(Promise::Answers, why);
        }
    }

    pub(super) fn refusals(&self, broken: &mut Broken) {
        let markers = self.markers();
        for call in self.calls.iter().filter(|call| call.is_refused()) {
            let Kind::Bare { marker, .. } = &call.kind else { continue };
            if let Some(row) = markers.get(marker.as_str()).and_then(|rows| rows.first()) {
                let (code, id) = (call.code(), row.id);
                let why = format!("`{marker}` was refused with `{code}` and is row {id}");
                broken.add(Promise::Honesty, why);
            }
        }
    }

    pub(super) fn agents(&self, broken: &mut Broken) {
        let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.is_step()) {
            let version = versions.entry(row.agent_id.as_deref().unwrap_or_default()).or_default();
            *version += 1;
            if row.data["state_version"] != *version {
                let why = format!("row {} is not version {version} of its agent", row.id);
                broken.add(Promise::Agents, why);
            }
        }
    }

    pub(super) fn controls(&self, broken: &mut Broken) {
        let mut on = None;
        for row in &self.rows {
            match row.kind.as_str() {
                "kill_switch.on" => on = Some(row.id),
                "kill_switch.off" => on = None,
                kind if kind.starts_with("obs.") || kind == "approval.used" => {
                    if let Some(switch) = on {
                        let why =
                            format!("row {} ({kind}) follows the kill switch {switch}", row.id);
                        broken.add(Promise::Controls, why);
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn approvals(&self, broken: &mut Broken) {
        let (mut decided, mut used) = (BTreeSet::new(), BTreeSet::new());
        for row in &self.rows {
            let id = row.data["approval_id"].as_u64().unwrap_or_default();
            let why = match row.kind.as_str() {
                "approval.decided" if !decided.insert(id) => "is decided again",
                "approval.used" if !decided.contains(&id) => "is used before it is approved",
                "approval.used" if !used.insert(id) => "is used again",
                _ => continue,
            };
            broken.add(Promise::Approvals, format!("approval {id} {why} in row {}", row.id));
        }
    }

    pub(super) fn streams(&self, broken: &mut Broken) {
        for (number, followed) in self.followed.iter().enumerate() {
            let rows = self.rows.iter().map(|row| (row.id, row.hash.as_str()));
            let mut events = followed.iter().map(|event| (event.id, event.hash.as_str()));
            for row in rows {
                let event = events.next();
                if event != Some(row) {
                    let why = format!(
                        "stream {number} has {event:?} where the journal has row {}",
                        row.0
                    );
                    broken.add(Promise::Streams, why);
                    break;
                }
            }
        }
    }
}
