//! Stops: kill switches of one agent or one principal, which survive a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use life_agent_domain::governance::event::{Record, Row, StopRecord};
use life_agent_domain::governance::gate::KillSwitch;
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_observer::{Journal, JournalError, Precondition, SideWrite};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::clock::Timestamps;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::policy::PolicyCell;
use crate::recorder::{Batch, Recorder, raw_json};
use crate::views::StopStatus;

/// The journal's setting that stores the stops.
pub(crate) const STOPS: &str = "stops";
/// Attempts to change the stops while other instances change them, too.
const ATTEMPTS: usize = 8;
/// Most stops.
const MAX_STOPS: usize = 1000;

/// The agent or the principal that a stop is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopTarget {
    /// An agent.
    Agent(AgentId),
    /// The name of a principal.
    Principal(String),
}

/// The stops, shared with the governor.
pub(crate) struct Stops {
    /// Whether there is any, so that a request without stops costs one load.
    any: AtomicBool,
    table: ArcSwap<Table>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Table {
    agents: BTreeMap<String, Stop>,
    principals: BTreeMap<String, Stop>,
    /// The stored stops could not be read, so that everything counts as stopped.
    #[serde(skip)]
    unreadable: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stop {
    reason: String,
    since: String,
    by: String,
}

impl Stops {
    /// The stored stops (`kept`, the text of the journal's setting).
    pub(crate) fn new(kept: Option<&str>) -> Self {
        let unreadable = |_| Table { unreadable: true, ..Table::default() };
        let table: Table = kept
            .map(|text| serde_json::from_str(text).unwrap_or_else(unreadable))
            .unwrap_or_default();
        Self::of_table(table)
    }

    fn of_table(table: Table) -> Self {
        let stops = Self {
            any: AtomicBool::default(),
            table: ArcSwap::default(),
            changed: watch::Sender::new(()),
        };
        stops.replace(table);
        stops
    }

    /// The stops of a journal. Without a stored table that its last row vouches for, everything is stopped until an
    /// operator sets the stops again.
    pub(crate) async fn open(journal: &Journal) -> Result<Self, JournalError> {
        let kept = journal.setting(STOPS).await?;
        let mut last: Option<Row> = None;
        for kind in StopRecord::KINDS {
            let row = journal.last_row(kind.as_str(), None).await?;
            last = [last, row].into_iter().flatten().max_by_key(|row| row.id);
        }
        Ok(match stops_of(kept, last, journal.pruned().await?.is_some()) {
            Ok(kept) => Self::new(kept.as_deref()),
            Err(why) => {
                tracing::error!(
                    why,
                    "the stored stops do not match the journal; everything is stopped"
                );
                Self::of_table(Table { unreadable: true, ..Table::default() })
            }
        })
    }

    /// Takes over what a row says.
    pub(crate) fn apply(&self, row: &Row) {
        let Ok(record) = row.read::<StopRecord>() else {
            tracing::error!(row = row.id, "a stop cannot be read; everything is stopped");
            return self.replace(Table { unreadable: true, ..Table::default() });
        };
        let mut table = Table::clone(&self.table.load());
        table.unreadable = false;
        let (stops, name) = match (record.agent, record.principal) {
            (Some(agent), _) => (&mut table.agents, agent),
            (None, Some(principal)) => (&mut table.principals, principal),
            (None, None) => return,
        };
        let stop = Stop { reason: record.reason, since: row.ts.clone(), by: row.principal.clone() };
        match record.on {
            true => {
                // The instance that set it knows the time that it stored.
                let own = stops
                    .get(&name)
                    .filter(|own| (&own.reason, &own.by) == (&stop.reason, &stop.by));
                if own.is_none() {
                    stops.insert(name, stop);
                }
            }
            false => drop(stops.remove(&name)),
        }
        self.replace(table);
    }

    fn replace(&self, table: Table) {
        let any = table.unreadable || !table.agents.is_empty() || !table.principals.is_empty();
        self.table.store(Arc::new(table));
        self.any.store(any, Ordering::Release);
        self.changed.send_replace(());
    }

    /// The stop of a request of this principal for this agent.
    pub(crate) fn of(&self, principal: &Principal, agent: Option<&AgentId>) -> Option<KillSwitch> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let table = self.table.load();
        if table.unreadable {
            let reason = "the stored stops do not match the journal".to_owned();
            return Some(KillSwitch::On { reason });
        }
        let agent = agent.map(AgentId::as_str);
        let of_agent = agent.and_then(|agent| Some(("agent", agent, table.agents.get(agent)?)));
        let name = principal.as_str();
        let of_principal = || Some(("principal", name, table.principals.get(name)?));
        let (what, name, stop) = of_agent.or_else(of_principal)?;
        let what = format!("the {what} `{name}`");
        Some(KillSwitch::Stopped { what, reason: stop.reason.clone() })
    }

    /// Returns once a request of this principal for this agent is stopped.
    pub(crate) async fn stopped(
        &self,
        principal: &Principal,
        agent: Option<&AgentId>,
    ) -> EngineError {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(stop) = self.of(principal, agent) {
                return EngineError::Stopped(stop.message());
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// All stops.
    pub(crate) fn list(&self) -> Vec<StopStatus> {
        let table = self.table.load();
        let status = |agent: Option<&String>, principal: Option<&String>, stop: &Stop| StopStatus {
            agent: agent.cloned(),
            principal: principal.cloned(),
            reason: stop.reason.clone(),
            since: stop.since.clone(),
            by: stop.by.clone(),
        };
        let agents = table.agents.iter().map(|(name, stop)| status(Some(name), None, stop));
        let principals = table.principals.iter().map(|(name, stop)| status(None, Some(name), stop));
        agents.chain(principals).collect()
    }
}

/// The stored stops, if the last row about stops vouches for them.
pub(crate) fn stops_of(
    kept: Option<String>,
    last: Option<Row>,
    is_pruned: bool,
) -> Result<Option<String>, String> {
    let Some(row) = last else {
        return match kept {
            // Retention removes rows, and the table stays.
            Some(_) if !is_pruned => Err("no row states the stored stops".to_owned()),
            kept => Ok(kept),
        };
    };
    let stored = row.read::<StopRecord>().map(|record| record.stored);
    match &kept {
        Some(text) if stored.is_ok_and(|stored| stored == digest(text)) => Ok(kept),
        _ => Err(format!("the stored stops differ from row {}, which decided them", row.id)),
    }
}

/// What a row states about the stored stops.
fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// Changes the stops.
pub(crate) struct StopService {
    pub(crate) stops: Arc<Stops>,
    policy: Arc<PolicyCell>,
    recorder: Recorder,
    timestamps: Timestamps,
    /// Held while a stop changes.
    changing: tokio::sync::Mutex<()>,
}

impl StopService {
    pub(crate) fn new(
        stops: Arc<Stops>,
        policy: Arc<PolicyCell>,
        recorder: Recorder,
        timestamps: Timestamps,
    ) -> Self {
        Self { stops, policy, recorder, timestamps, changing: tokio::sync::Mutex::default() }
    }

    /// Stops or releases an agent or a principal. A stop takes effect immediately, even if the journal fails;
    /// a release takes effect once its row is durable.
    pub(crate) async fn set(
        &self,
        context: &RequestContext,
        target: &StopTarget,
        on: bool,
        reason: &str,
    ) -> Result<u64, EngineError> {
        let reason = self.policy.redact(reason);
        let name = match target {
            StopTarget::Agent(agent) => agent.as_str(),
            StopTarget::Principal(name) => name,
        };
        if self.policy.redact(name) != name {
            let why = "the name contains a credential, which no agent's or principal's name does";
            return Err(EngineError::Conflict(why.to_owned()));
        }
        let _order = self.changing.lock().await;
        for _ in 0..ATTEMPTS {
            match self.try_set(context, target, on, &reason).await {
                // Another instance was faster; its change is known now.
                Err(EngineError::Outdated) => {}
                set => return set,
            }
        }
        Err(EngineError::Outdated)
    }

    async fn try_set(
        &self,
        context: &RequestContext,
        target: &StopTarget,
        on: bool,
        reason: &str,
    ) -> Result<u64, EngineError> {
        let policy = self.policy.active();
        // Before the table: a later change of another instance makes the write fail.
        let control = self.recorder.shared_control();
        let mut table = Table::clone(&self.stops.table.load());
        // An operator who sets a stop has seen that the stored ones are lost.
        table.unreadable = false;
        let count = table.agents.len() + table.principals.len();
        let (stops, name) = match target {
            StopTarget::Agent(agent) => (&mut table.agents, agent.as_str()),
            StopTarget::Principal(principal) => (&mut table.principals, principal.as_str()),
        };
        let is_new = !stops.contains_key(name);
        if on {
            if is_new && count >= MAX_STOPS {
                let message = format!("{MAX_STOPS} stops are set; release some of them first");
                return Err(EngineError::Conflict(message));
            }
            let by = context.principal.as_str().to_owned();
            let stop = Stop { reason: reason.to_owned(), since: self.timestamps.text(), by };
            stops.insert(name.to_owned(), stop);
        } else if stops.remove(name).is_none() {
            return Err(EngineError::Conflict("it is not stopped".to_owned()));
        }
        let value = raw_json(&table)?.get().to_owned();
        let stored = digest(&value);
        if on {
            self.stops.replace(table.clone());
        }
        let (agent, principal) = match target {
            StopTarget::Agent(agent) => (Some(agent), None),
            StopTarget::Principal(principal) => (None, Some(principal.clone())),
        };
        let record = StopRecord {
            on,
            agent: agent.map(|a| a.as_str().to_owned()),
            principal,
            reason: reason.to_owned(),
            stored,
        };
        let side =
            vec![SideWrite::Setting { key: STOPS.to_owned(), value }, SideWrite::AdvanceControl];
        let hash = &policy.snapshot.hash;
        let mut batch = Batch::new(context, hash);
        batch.push(agent, &record)?;
        batch.extend(side);
        if let Some(version) = control {
            batch.require(Precondition::Control { version });
        }
        // Its row changes the table, in the order of the rows of all instances.
        Ok(self.recorder.commit(batch).await?.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_stopped(kept: Option<&str>, principal: &str, agent: Option<&str>) -> bool {
        let agent = agent.map(|agent| AgentId::new(agent).unwrap());
        Stops::new(kept).of(&Principal::new(principal), agent.as_ref()).is_some()
    }

    #[test]
    fn a_stop_concerns_its_agent_or_principal_only() {
        let stop = r#"{"reason":"r","since":"","by":"b"}"#;
        let kept = format!(r#"{{"agents":{{"a":{stop}}},"principals":{{"p":{stop}}}}}"#);
        let kept = Some(kept.as_str());
        assert!(is_stopped(kept, "q", Some("a")) && is_stopped(kept, "p", None));
        assert!(is_stopped(kept, "p", Some("b")));
        assert!(!is_stopped(kept, "q", Some("b")) && !is_stopped(kept, "q", None));
        assert!(!is_stopped(None, "p", Some("a")));
    }

    #[test]
    fn stops_that_cannot_be_read_stop_everything() {
        assert!(is_stopped(Some("{"), "q", None) && is_stopped(Some("{}"), "q", Some("b")));
    }

    #[tokio::test]
    async fn a_wait_ends_when_the_stop_comes() {
        let stops = Stops::new(None);
        let principal = Principal::new("p");
        let mut wait = Box::pin(stops.stopped(&principal, None));
        assert!(futures_util::poll!(&mut wait).is_pending());
        stops.replace(Table { unreadable: true, ..Table::default() });
        assert!(matches!(wait.await, EngineError::Stopped(_)));
    }
}
