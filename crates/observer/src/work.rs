//! What is handed to the journal, and what comes back once it is durable.

use std::any::Any;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::event::{Entry, Row};
use life_agent_domain::governance::ids::AgentId;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::JournalError;
use crate::facts::FactChange;
use crate::forget::Forgotten;
use crate::jobs::JobChange;
use crate::marks::{Answer, Mark};

/// Longest `data` of one row, in bytes.
pub const MAX_DATA: usize = 4 * 1024 * 1024;

/// Things that are recorded together or not at all.
#[derive(Debug, Default)]
pub struct Work {
    /// The rows, in their order.
    pub entries: Vec<Entry>,
    /// The epoch ([`crate::Journal::epoch`]) that the work builds on; work that builds on rows which
    /// never became durable is refused. None for work that builds on nothing.
    pub epoch: Option<u64>,
    /// What the step among the entries makes of its agent.
    pub step: Option<AgentStep>,
    /// The agent's state after that step, to shorten its loading.
    pub snapshot: Option<Snapshot>,
    /// What is kept beside the rows.
    pub extra: Vec<Extra>,
    /// Let go once the work is durable or has failed: whoever finds it gone knows that nothing of this is
    /// queued any more.
    pub held: Option<Arc<dyn Any + Send + Sync>>,
}

/// Where an agent stands after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentStep {
    /// How many steps it has taken.
    pub version: u64,
    /// How many of them were turns.
    pub turns: u64,
}

/// A state, ready to be stored.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) version: u64,
    pub(crate) state: String,
    pub(crate) state_hash: String,
}

/// What is kept beside the rows; not chained.
#[derive(Debug)]
pub enum Extra {
    /// A change plan, new or as it now is. Needs an entry.
    Proposal(Proposal),
    /// A setting that outlives the process.
    Setting {
        /// Its name.
        key: String,
        /// Its new value.
        value: String,
    },
    /// Tokens that a model call used. Needs an entry, which says who called.
    Usage(Usage),
    /// The present state of an agent that takes no step now, so that retention may remove its rows.
    /// Not kept if the agent has meanwhile gone on to another version.
    Snapshot(AgentId, Snapshot),
    /// What a step changes in the facts of its agent, for searching them.
    GateInputs(AgentId, FactChange),
    /// What becomes of a turn that is taken later.
    Job(JobChange),
    /// The call that all of this comes from, if it may be repeated.
    Mark(Mark),
    /// What such a call was answered.
    Answer(Mark, Answer),
    /// Jobs and marks that need not be kept any longer.
    Forget(Forgotten),
}

/// A change plan as the journal keeps it.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Its id.
    pub id: String,
    /// `created`, `approved`, `rejected` …
    pub status: String,
    /// What it is for.
    pub intent: String,
    /// The artifact's path.
    pub artifact: String,
    /// Everything else, a JSON object.
    pub data: Box<RawValue>,
}

/// Tokens that a model call used.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The model that answered.
    pub model: String,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
}

impl Work {
    /// One row, and nothing else.
    pub fn of(entry: Entry) -> Self {
        Self { entries: vec![entry], ..Self::default() }
    }

    /// Refused here is what would fail a whole group of other people's rows later on.
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let refuse = |why: &str| Err(JournalError::Refused(why.to_owned()));
        for entry in &self.entries {
            let data = entry.data.get();
            if [&entry.principal, &entry.request_id].iter().any(|name| has_control(name)) {
                return refuse("a principal or request id holds a control character");
            }
            let one_line = memchr::memchr2(b'\n', b'\r', data.as_bytes()).is_none();
            if !data.starts_with('{') || !one_line || data.len() > MAX_DATA {
                return refuse(
                    "the data of a row must be a JSON object on one line, at most 4 MiB",
                );
            }
        }
        let stepless = self.stepping().is_none();
        if stepless && (self.step.is_some() || self.snapshot.is_some()) {
            return refuse("a step or its snapshot needs the entry of that step");
        }
        let rowless = |extra: &Extra| {
            matches!(
                extra,
                Extra::Proposal(_) | Extra::Usage(_) | Extra::Job(JobChange::Done { .. })
            )
        };
        if self.entries.is_empty() && self.extra.iter().any(rowless) {
            return refuse("a proposal, a usage or a job that is done needs an entry");
        }
        Ok(())
    }

    /// The agent that the last of the entries changes which changes one.
    pub(crate) fn stepping(&self) -> Option<&AgentId> {
        let mut entries = self.entries.iter().rev();
        entries.find_map(|entry| entry.agent.as_ref().filter(|_| entry.kind.is_step()))
    }
}

fn has_control(text: &str) -> bool {
    let in_ascii = text.bytes().any(|byte| byte.is_ascii_control());
    in_ascii || !text.is_ascii() && text.chars().any(char::is_control)
}

impl Snapshot {
    /// The snapshot of a state whose [`AgentState::hash`] is `state_hash`.
    pub fn of(state: &AgentState, state_hash: &str) -> Self {
        // A state has nothing that JSON cannot say, and an empty text would be refused on reading.
        let text = serde_json::to_string(state).unwrap_or_default();
        Self { version: state.version, state: text, state_hash: state_hash.to_owned() }
    }
}

/// A place in the journal: its number and the hash that binds everything up to there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// The row's number; 0 for a journal without rows.
    pub id: u64,
    /// Its hash; 64 zeros for a journal without rows.
    pub hash: String,
}

/// A durable row. Everyone who sees it shares it, and its line of JSON is made once.
#[derive(Debug)]
pub struct Recorded {
    row: Row,
    line: OnceLock<Box<str>>,
}

impl Recorded {
    pub(crate) fn new(row: Row) -> Arc<Self> {
        Arc::new(Self { row, line: OnceLock::new() })
    }

    /// The row as one line of JSON.
    pub fn line(&self) -> &str {
        // A row has nothing that JSON cannot say.
        self.line.get_or_init(|| serde_json::to_string(&self.row).unwrap_or_default().into())
    }
}

impl Deref for Recorded {
    type Target = Row;
    fn deref(&self) -> &Row {
        &self.row
    }
}

/// What became of a piece of work.
#[derive(Debug, Clone)]
pub struct Written {
    /// The number of its last row; for work without rows, that of the journal's last row.
    pub id: u64,
    /// Its rows, in their order.
    pub rows: Vec<Arc<Recorded>>,
}
