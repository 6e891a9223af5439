//! The checker: what must hold for every history, whatever was struck.

mod falsify;
mod money;
mod order;
mod rows;
mod times;

use std::time::Instant;

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::http::Response;

pub(crate) use falsify::Fault;

/// What a client did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// An act under the idempotency key `marker`.
    Act { marker: String, agent: String },
    /// An act without a key, sent once.
    Bare { marker: String, agent: String },
    /// An act that a person approved once.
    Approved { marker: String },
    /// A queued turn under the idempotency key `marker`.
    Turn { marker: String },
    /// A model call under the idempotency key `marker`.
    Chat { marker: String },
    /// The state of an agent.
    Read { agent: String },
    /// A change of the kill switch.
    Switch,
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

    /// The id of the turn that was queued.
    fn job(&self) -> Option<&str> {
        self.body["id"].as_str().filter(|_| self.status == 202)
    }

    /// The key that lets a repetition have the response of an earlier call.
    fn key(&self) -> Option<&str> {
        match &self.kind {
            Kind::Act { marker, .. } | Kind::Chat { marker } | Kind::Turn { marker } => {
                Some(marker)
            }
            _ => None,
        }
    }

    /// The row that a call with the same key left, whose response was lost.
    fn earlier_row(&self) -> Option<u64> {
        self.body["error"]["details"]["event_id"].as_u64().filter(|_| self.code() == "conflict")
    }

    /// Whether nothing remains to be known or done.
    pub(super) fn is_final(&self) -> bool {
        self.is_answered()
            || self.job().is_some()
            || self.code() == "conflict"
            || ["kill_switch", "budget_exceeded"].contains(&self.code())
    }

    /// Whether the response says that nothing was done.
    fn is_refused(&self) -> bool {
        self.status >= 400 && self.code() != "outcome_unknown"
    }
}

/// A row as the journal shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Row {
    pub(super) id: u64,
    #[serde(deserialize_with = "time")]
    ts: Timestamp,
    kind: String,
    agent_id: Option<String>,
    request_id: String,
    data: Value,
    prev_hash: String,
    hash: String,
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(D::Error::custom)
}

impl Row {
    /// What the request of a step was marked with.
    fn marker(&self) -> Option<&str> {
        match self.kind.as_str() {
            "obs.act" => self.data["payload"]["marker"].as_str(),
            "obs.turn" => self.data["input"].as_str(),
            _ => None,
        }
    }

    /// Whether it changes the state of its agent.
    fn is_step(&self) -> bool {
        ["obs.act", "obs.turn"].contains(&self.kind.as_str())
    }
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) id: u64,
    pub(super) hash: String,
}

/// Everything that was seen.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// On the clock of the database.
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) calls: Vec<Call>,
    pub(super) rows: Vec<Row>,
    /// Of each follower.
    pub(super) followed: Vec<Vec<Followed>>,
    /// The markers of the calls that the model got.
    pub(super) modeled: Vec<String>,
    /// Whether the budgets are counted in the rows alone.
    pub(super) counted_in_rows: bool,
}

/// What the service promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// Numbers without gaps, each row on the one before.
    Chain,
    /// Each answer has its row.
    Answers,
    /// A key, or a request without one, has at most one effect.
    Effects,
    /// A refusal means that nothing was done.
    Honesty,
    /// The versions of an agent are dense and in the order of its rows.
    Agents,
    /// No act follows the kill switch.
    Controls,
    /// An approval is decided once, and then used once.
    Approvals,
    /// What was answered before a request was sent precedes it.
    RealTime,
    /// Each stream has every row once and in order.
    Streams,
    /// No budget is exceeded, and no call is made without a reservation.
    Budgets,
    /// Times are those of one clock.
    Times,
}

/// The promises that do not hold, and why.
pub(super) struct Broken(Vec<(Promise, String)>);

impl Broken {
    fn add(&mut self, promise: Promise, why: String) {
        self.0.push((promise, why));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, promise: Promise) -> bool {
        self.0.iter().any(|(broken, _)| *broken == promise)
    }

    /// In words.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(promise, why)| format!("{promise:?}: {why}"))
    }
}

impl History {
    /// The promises that do not hold.
    pub(super) fn check(&self) -> Broken {
        let mut broken = Broken(Vec::new());
        self.chain(&mut broken);
        self.answers(&mut broken);
        self.refusals(&mut broken);
        self.agents(&mut broken);
        self.controls(&mut broken);
        self.approvals(&mut broken);
        self.real_time(&mut broken);
        self.streams(&mut broken);
        self.budgets(&mut broken);
        self.times(&mut broken);
        broken
    }

    /// Answered calls of a kind.
    pub(super) fn answered(&self, is_kind: impl Fn(&Kind) -> bool) -> usize {
        self.calls.iter().filter(|call| call.is_answered() && is_kind(&call.kind)).count()
    }

    /// Queued turns that were run.
    pub(super) fn turns(&self) -> usize {
        self.rows.iter().filter(|row| row.kind == "obs.turn").count()
    }

    /// Calls that were answered with an error.
    pub(super) fn refused_with(&self, code: &str) -> usize {
        self.calls.iter().filter(|call| call.code() == code).count()
    }
}
