//! The unit that a caller hands to the journal.

use std::any::Any;
use std::sync::Arc;

use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::event::Entry;
use life_agent_domain::governance::ids::AgentId;
use serde_json::value::RawValue;

use crate::error::JournalError;
use crate::expiry::Expired;
use crate::idempotency::{IdempotencyRecord, StoredResponse};
use crate::jobs::JobChange;
use crate::notes::NoteChange;
use crate::precondition::{AgentVersion, Guard, Precondition};
use crate::texts::RowTexts;

/// Longest `data` of one row, in bytes.
pub const MAX_DATA: usize = 4 * 1024 * 1024;

/// Rows and side writes that are stored together or not at all.
#[derive(Debug, Default)]
pub struct WriteBatch {
    /// The rows in order.
    pub entries: Vec<Entry>,
    /// The [`crate::Journal::epoch`] that the batch builds on. A batch that builds on rows which never
    /// became durable is refused. `None` for a batch that builds on nothing.
    pub epoch: Option<u64>,
    /// Conditions under which the batch may be stored, in addition to [`AgentStep::from`].
    pub preconditions: Vec<Precondition>,
    /// A condition on what this process knows, for a journal that several instances share.
    pub guard: Option<Guard>,
    /// The effect of the step among the entries on its agent.
    pub step: Option<AgentStep>,
    /// The agent's state after that step, so that loading the agent reads fewer rows.
    pub snapshot: Option<Snapshot>,
    /// Records stored in addition to the rows.
    pub side_writes: Vec<SideWrite>,
    /// Released once the batch is durable or has failed. A caller that finds it released knows that
    /// nothing of the batch is queued any longer.
    pub held: Option<Arc<dyn Any + Send + Sync>>,
}

/// The 32 bytes of a state's BLAKE3 hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StateHash([u8; 32]);

impl StateHash {
    /// From lower-case hex, as [`AgentState::hash`] returns it. Any other text gives a hash that no state
    /// has, so that a comparison with it fails.
    pub fn from_hex(text: &str) -> Self {
        let mut bytes = [0; 32];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Self(bytes),
            Err(_) => Self::default(),
        }
    }

    /// From stored bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A step of the agent of the batch's last step entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentStep {
    /// Number of steps that the agent has taken after this batch.
    pub version: u64,
    /// Number of turns among them.
    pub turns: u64,
    /// Hash of the agent's state after this batch.
    pub state_hash: StateHash,
    /// The state that the step was decided on. `None` stores the step unconditionally.
    pub from: Option<AgentVersion>,
}

/// A serialized state.
#[derive(Debug, Clone)]
pub struct Snapshot {
    version: u64,
    state: String,
    state_hash: String,
}

/// A record stored in addition to the rows. The hash chain does not cover it.
#[derive(Debug)]
#[non_exhaustive]
pub enum SideWrite {
    /// A change plan, new or changed. Requires an entry.
    Proposal(Proposal),
    /// A setting that outlives the process.
    Setting {
        /// Its name.
        key: String,
        /// Its new value.
        value: String,
    },
    /// Increments the control version, see [`Precondition::Control`].
    AdvanceControl,
    /// Token usage of a model call. Requires an entry, which names the caller.
    Usage(Usage),
    /// The present state of an agent that takes no step now, so that retention may remove its rows.
    /// Ignored if the agent has reached another version in the meantime.
    Snapshot(AgentId, Snapshot),
    /// A step's changes to the search index over its agent's notes.
    Notes(AgentId, NoteChange),
    /// A change to a queued turn.
    Job(JobChange),
    /// The repeatable call that caused the batch. Ignored if the call is already recorded.
    Idempotency(IdempotencyRecord),
    /// The response to such a call.
    Response(IdempotencyRecord, StoredResponse),
    /// A file of a plan. A store that several instances share keeps it; any other leaves it to the plans folder.
    PlanFile(PlanFile),
    /// Jobs and idempotency records that are removed.
    Expire(Expired),
    /// The texts that the data of a row of the batch refers to. Texts that are stored are not stored again;
    /// [`RowTexts::add_each`] leads to those that are not.
    Texts(RowTexts),
}

/// A change plan.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Its id.
    pub id: String,
    /// `created`, `approved`, `rejected` …
    pub status: String,
    /// The purpose of the change.
    pub intent: String,
    /// The artifact's path.
    pub artifact: String,
    /// All other fields, a JSON object.
    pub data: Box<RawValue>,
}

/// A file of a plan's artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFile {
    /// The plan.
    pub plan: String,
    /// The file's name, without a folder.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Token usage of one model call.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The model that responded.
    pub model: String,
    /// Tokens of the request.
    pub prompt_tokens: u64,
    /// Tokens of the response.
    pub completion_tokens: u64,
    /// The sum that the provider reports.
    pub total_tokens: u64,
}

impl WriteBatch {
    /// A batch of one row.
    pub fn of(entry: Entry) -> Self {
        Self { entries: vec![entry], ..Self::default() }
    }

    /// A batch of side writes without rows.
    pub fn side(side_writes: Vec<SideWrite>) -> Self {
        Self { side_writes, ..Self::default() }
    }

    /// Rejects a batch that would make the whole group fail later.
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let invalid = |why: &'static str| Err(JournalError::Invalid(why.into()));
        for entry in &self.entries {
            let data = entry.data.get();
            if [&entry.principal, &entry.request_id].iter().any(|name| has_control(name)) {
                return invalid("a principal or request id holds a control character");
            }
            let one_line = memchr::memchr2(b'\n', b'\r', data.as_bytes()).is_none();
            if !data.starts_with('{') || !one_line || data.len() > MAX_DATA {
                return invalid(
                    "the data of a row must be a JSON object on one line, at most 4 MiB",
                );
            }
        }
        // SQLite could store it; a store that cannot must not fail with a whole group.
        if self.side_writes.iter().any(SideWrite::has_nul) {
            return invalid("a stored text holds a NUL character");
        }
        let stepless = self.stepping_agent().is_none();
        if stepless && (self.step.is_some() || self.snapshot.is_some()) {
            return invalid("a step or its snapshot needs the entry of that step");
        }
        let needs_row = |write: &SideWrite| {
            matches!(
                write,
                SideWrite::Proposal(_)
                    | SideWrite::Usage(_)
                    | SideWrite::Texts(_)
                    | SideWrite::Job(JobChange::Done { .. })
            )
        };
        if self.entries.is_empty() && self.side_writes.iter().any(needs_row) {
            return invalid("a proposal, a usage, texts or a job that is done needs an entry");
        }
        Ok(())
    }

    /// Agent of the last step entry.
    pub fn stepping_agent(&self) -> Option<&AgentId> {
        let mut entries = self.entries.iter().rev();
        entries.find_map(|entry| entry.agent.as_ref().filter(|_| entry.kind.is_step()))
    }
}

impl SideWrite {
    /// Whether a column of its own would hold a NUL character. JSON escapes it.
    fn has_nul(&self) -> bool {
        let has_nul = |text: &String| memchr::memchr(0, text.as_bytes()).is_some();
        match self {
            SideWrite::Setting { key, value } => [key, value].into_iter().any(has_nul),
            SideWrite::Proposal(Proposal { id, status, intent, artifact, data: _ }) => {
                [id, status, intent, artifact].into_iter().any(has_nul)
            }
            SideWrite::Job(JobChange::Queued(job)) => {
                [&job.id, &job.principal, &job.request_id, &job.input].into_iter().any(has_nul)
            }
            _ => false,
        }
    }
}

fn has_control(text: &str) -> bool {
    let in_ascii = text.bytes().any(|byte| byte.is_ascii_control());
    in_ascii || !text.is_ascii() && text.chars().any(char::is_control)
}

impl Snapshot {
    /// A snapshot of `state`, whose [`AgentState::hash`] is `state_hash`.
    pub fn of(state: &AgentState, state_hash: &str) -> Self {
        // Serializing a state cannot fail, and reading an empty text back is an error.
        let text = serde_json::to_string(state).unwrap_or_default();
        Self { version: state.version, state: text, state_hash: state_hash.to_owned() }
    }

    /// Number of steps that lead to the state.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The state as JSON.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// [`AgentState::hash`] of the state, in hex.
    pub fn state_hash(&self) -> &str {
        &self.state_hash
    }
}
