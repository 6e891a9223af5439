//! The checker: what must hold for every history, whatever was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use clap::ValueEnum;
use serde_json::Value;

use super::http::Response;
use super::world::Row;

/// What a client did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// An act under the idempotency key `marker`.
    Act { marker: String, agent: String },
    /// An act that a person approved once.
    Approved { marker: String },
    /// The state of an agent.
    Read { agent: String },
    /// A change of the kill switch.
    Switch { on: bool },
}

/// A request and its response. Without one, the status is 0: the effect is unknown.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) kind: Kind,
    sent: Instant,
    ended: Instant,
    pub(super) status: u16,
    body: Value,
}

impl Call {
    pub(super) fn new(kind: Kind, sent: Instant, answer: Option<Response>) -> Self {
        let ended = Instant::now();
        let (status, body) = answer.map_or((0, Value::Null), |answer| (answer.status, answer.body));
        Self { kind, sent, ended, status, body }
    }

    pub(super) fn is_answered(&self) -> bool {
        self.status == 200
    }

    /// The code of the error.
    pub(super) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn event_id(&self) -> Option<u64> {
        self.body["event_id"].as_u64().filter(|_| self.is_answered())
    }
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) id: u64,
    pub(super) hash: String,
}

/// Everything that was seen.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub(super) calls: Vec<Call>,
    pub(super) rows: Vec<Row>,
    pub(super) followed: Vec<Followed>,
}

/// A falsification that the checker must detect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// An answered row is missing.
    LostRow,
    /// A key has two effects.
    DoubleEffect,
    /// An act follows the row that turned the kill switch on.
    ActWhileStopped,
    /// An approval is used twice.
    ApprovalUsedTwice,
    /// A stream leaves out a row.
    SkippedEvent,
    /// A state is older than an answer before the request.
    StaleRead,
}

impl History {
    /// The promises that do not hold.
    pub(super) fn check(&self) -> Vec<String> {
        let mut broken = Vec::new();
        self.chain(&mut broken);
        self.answers(&mut broken);
        self.agents(&mut broken);
        self.controls(&mut broken);
        self.approvals(&mut broken);
        self.real_time(&mut broken);
        self.stream(&mut broken);
        broken
    }

    fn chain(&self, broken: &mut Vec<String>) {
        let mut before = (0, "0".repeat(64));
        for row in &self.rows {
            if row.id != before.0 + 1 || row.prev_hash != before.1 {
                broken.push(format!("row {} does not continue row {}", row.id, before.0));
            }
            before = (row.id, row.hash.clone());
        }
    }

    fn markers(&self) -> BTreeMap<&str, Vec<&Row>> {
        let mut markers: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.kind == "obs.act") {
            if let Some(marker) = row.data["payload"]["marker"].as_str() {
                markers.entry(marker).or_default().push(row);
            }
        }
        markers
    }

    /// Every answer has its row, and every key at most one effect.
    fn answers(&self, broken: &mut Vec<String>) {
        let markers = self.markers();
        for (marker, rows) in markers.iter().filter(|(_, rows)| rows.len() > 1) {
            let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
            broken.push(format!("`{marker}` has the effects {ids:?}"));
        }
        for call in &self.calls {
            let (Kind::Act { marker, .. } | Kind::Approved { marker }) = &call.kind else {
                continue;
            };
            let Some(id) = call.event_id() else { continue };
            let row =
                markers.get(marker.as_str()).and_then(|rows| rows.iter().find(|row| row.id == id));
            match row {
                None => broken
                    .push(format!("`{marker}` was answered with row {id}, which is not its row")),
                Some(row) if row.data["state_version"] != call.body["state_version"] => {
                    broken.push(format!(
                        "`{marker}` was answered with another version than row {id}"
                    ));
                }
                Some(_) => {}
            }
        }
    }

    /// The versions of an agent are dense and in the order of its rows.
    fn agents(&self, broken: &mut Vec<String>) {
        let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.kind == "obs.act") {
            let version = versions.entry(row.agent_id.as_deref().unwrap_or_default()).or_default();
            *version += 1;
            if row.data["state_version"] != *version {
                broken.push(format!("row {} is not version {version} of its agent", row.id));
            }
        }
    }

    /// No act follows the switch.
    fn controls(&self, broken: &mut Vec<String>) {
        let mut on = None;
        for row in &self.rows {
            match row.kind.as_str() {
                "kill_switch.on" => on = Some(row.id),
                "kill_switch.off" => on = None,
                "obs.act" => {
                    if let Some(switch) = on {
                        broken.push(format!("act {} follows the kill switch {switch}", row.id));
                    }
                }
                _ => {}
            }
        }
    }

    /// An approval is decided once, used once, and only after it was approved.
    fn approvals(&self, broken: &mut Vec<String>) {
        let (mut decided, mut used) = (BTreeSet::new(), BTreeSet::new());
        for row in &self.rows {
            let id = row.data["approval_id"].as_u64().unwrap_or_default();
            match row.kind.as_str() {
                "approval.decided" if !decided.insert(id) => {
                    broken.push(format!("approval {id} is decided again in row {}", row.id));
                }
                "approval.used" if !decided.contains(&id) => {
                    broken.push(format!(
                        "approval {id} is used in row {} before it is approved",
                        row.id
                    ));
                }
                "approval.used" if !used.insert(id) => {
                    broken.push(format!("approval {id} is used again in row {}", row.id));
                }
                _ => {}
            }
        }
    }

    /// What was answered before a request was sent precedes it: in rows, and in states that are read.
    fn real_time(&self, broken: &mut Vec<String>) {
        let mut ended: Vec<_> =
            self.calls.iter().filter(|call| call.event_id().is_some()).collect();
        ended.sort_by_key(|call| call.ended);
        let mut sent: Vec<_> = self.calls.iter().filter(|call| call.is_answered()).collect();
        sent.sort_by_key(|call| call.sent);
        let (mut next, mut newest) = (0, 0);
        let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
        // A repetition is answered with the row of the first call.
        let mut first: BTreeMap<&str, Instant> = BTreeMap::new();
        for call in &self.calls {
            if let Kind::Act { marker, .. } = &call.kind {
                let earliest = first.entry(marker).or_insert(call.sent);
                *earliest = call.sent.min(*earliest);
            }
        }
        for call in sent {
            while let Some(done) = ended.get(next).filter(|done| done.ended < call.sent) {
                newest = newest.max(done.event_id().unwrap_or_default());
                if let (Kind::Act { agent, .. }, Some(version)) =
                    (&done.kind, done.body["state_version"].as_u64())
                {
                    let known = versions.entry(agent).or_default();
                    *known = version.max(*known);
                }
                next += 1;
            }
            match &call.kind {
                Kind::Read { agent } => {
                    let version = call.body["state"]["version"].as_u64().unwrap_or_default();
                    let known = versions.get(agent.as_str()).copied().unwrap_or_default();
                    if version < known {
                        broken
                            .push(format!("`{agent}` was read at version {version} after {known}"));
                    }
                }
                _ => {
                    let Some(id) = call.event_id() else { continue };
                    let earliest = match &call.kind {
                        Kind::Act { marker, .. } => first.get(marker.as_str()),
                        _ => None,
                    };
                    let is_first = earliest.is_none_or(|earliest| *earliest == call.sent);
                    if is_first && id <= newest {
                        broken.push(format!("row {id} was sent after row {newest} was answered"));
                    }
                }
            }
        }
    }

    /// The stream has every row once and in order.
    fn stream(&self, broken: &mut Vec<String>) {
        let rows = self.rows.iter().map(|row| (row.id, row.hash.as_str()));
        let mut followed = self.followed.iter().map(|event| (event.id, event.hash.as_str()));
        for row in rows {
            let event = followed.next();
            if event != Some(row) {
                broken
                    .push(format!("the stream has {event:?} where the journal has row {}", row.0));
                return;
            }
        }
    }

    /// Falsifies what was seen.
    pub(super) fn falsify(&mut self, fault: Fault) -> anyhow::Result<()> {
        let none = || anyhow::anyhow!("the history has nothing to falsify; run more rounds");
        let act = |row: &Row| row.kind == "obs.act" && row.data["payload"]["marker"].is_string();
        match fault {
            Fault::LostRow => {
                let answered: BTreeSet<_> = self.calls.iter().filter_map(Call::event_id).collect();
                let lost = self.rows.iter().rposition(|row| act(row) && answered.contains(&row.id));
                self.rows.remove(lost.ok_or_else(none)?);
            }
            Fault::DoubleEffect => {
                let one = self.rows.iter().find(|row| act(row)).ok_or_else(none)?.data.clone();
                self.rows.iter_mut().rfind(|row| act(row)).ok_or_else(none)?.data = one;
            }
            Fault::ActWhileStopped => {
                let on = self.rows.iter().position(|row| row.kind == "kill_switch.on");
                let on = on.ok_or_else(none)?;
                let later = self.rows[on..].iter_mut().find(|row| row.kind == "kill_switch.off");
                later.ok_or_else(none)?.kind = "gate.denied".to_owned();
            }
            Fault::ApprovalUsedTwice => {
                let mut used = self.rows.iter().filter(|row| row.kind == "approval.used");
                let data = used.next_back().ok_or_else(none)?.data.clone();
                let mut used = self.rows.iter_mut().filter(|row| row.kind == "approval.used");
                used.next().ok_or_else(none)?.data = data;
            }
            Fault::SkippedEvent => {
                self.followed.remove(self.followed.len() / 2);
            }
            Fault::StaleRead => {
                let reads =
                    self.calls.iter_mut().filter(|call| matches!(call.kind, Kind::Read { .. }));
                let read =
                    reads.filter(|call| call.body["state"]["version"].as_u64() > Some(1)).last();
                read.ok_or_else(none)?.body["state"]["version"] = 0.into();
            }
        }
        Ok(())
    }
}
