//! Records that a journal holds in addition to its rows, as reads return them.

use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::event::Row;

use crate::batch::Proposal;
use crate::error::JournalError;

/// Reads of agents and plans return at most this many records.
pub const MAX_RECORDS: usize = 10_000;

/// Number of latest steps in which [`crate::store::Read::recent_turns`] and
/// [`crate::store::Read::recent_events`] look.
pub const RECENT_STEPS: usize = 256;

/// The present position of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its id.
    pub agent_id: String,
    /// Number of steps that it has taken.
    pub state_version: u64,
    /// Number of turns among them.
    pub turns: u64,
    /// Time of the last step: RFC 3339, UTC, microseconds.
    pub last_seen: String,
    /// Row of the last step.
    pub last_event: u64,
}

/// The state of an agent after one of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The row of the step that led to the state.
    pub event_id: u64,
    /// The state.
    pub state: AgentState,
    /// Its hash, which matches the state. The chain does not cover snapshots: compare the hash with the
    /// one that the row states.
    pub state_hash: String,
}

impl StoredSnapshot {
    /// A stored text as the snapshot of `agent_id`.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if the text is not a state with this hash.
    pub fn parse(
        agent_id: &str,
        event_id: u64,
        text: &str,
        state_hash: String,
    ) -> Result<Self, JournalError> {
        let state = serde_json::from_str::<AgentState>(text).ok();
        match state.filter(|state| state.hash() == state_hash) {
            Some(state) => Ok(Self { event_id, state, state_hash }),
            None => Err(JournalError::damaged(format!(
                "the stored state of agent `{agent_id}` does not match its hash"
            ))),
        }
    }
}

/// An agent's last snapshot and the steps after it, from one view of the journal.
#[derive(Debug)]
pub struct AgentHistory {
    /// The snapshot; `None` if the agent has taken no step or began under an older version.
    pub snapshot: Option<StoredSnapshot>,
    /// The step that the snapshot was taken after, unless retention has removed it.
    pub snapshot_row: Option<Row>,
    /// The steps after the snapshot, oldest first; without a snapshot, all steps.
    pub steps: Vec<Row>,
    /// The last row that retention has removed; 0 for none.
    pub pruned: u64,
}

impl AgentHistory {
    /// The error for an agent whose steps do not lead back to its snapshot.
    pub fn broken(agent_id: &str, row: u64) -> JournalError {
        JournalError::damaged(format!(
            "the steps of agent `{agent_id}` do not lead back to its snapshot: row {row} is missing \
             or is not one of them"
        ))
    }
}

/// The latest rows of an agent, oldest first.
#[derive(Debug, Default)]
pub struct RecentActivity {
    /// Acts, turns and denials.
    pub events: Vec<Row>,
    /// Turns.
    pub turns: Vec<Row>,
}

/// A record that names a row which does not exist, or which states something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dangling {
    /// The kind of record: `job`, `idempotency record`, `agent` or `usage`.
    pub record: &'static str,
    /// Its id; the request for usage.
    pub id: String,
    /// The row that it names.
    pub row: u64,
    /// Whether the row exists and differs from the record.
    pub differs: bool,
}

/// A change plan with the row that created it.
#[derive(Debug, Clone)]
pub struct ProposalRecord {
    /// The row that created the plan; also the cursor for older plans.
    pub event_id: u64,
    /// Time of that row: RFC 3339, UTC, microseconds.
    pub ts: String,
    /// The plan.
    pub proposal: Proposal,
}
