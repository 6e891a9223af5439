//! An append-only journal: every row is durable before its caller is answered, and a hash chain makes
//! later changes evident.
//!
//! A [`Journal`] queues [`WriteBatch`]es in order ([`Journal::append`]) and commits them in groups on one
//! thread: everything that arrived during a commit goes into the next one. The [`CommitHandle`] resolves
//! once the batch is durable or has failed. Named methods read ([`Journal::page`], [`Journal::agent`]),
//! and a [`Follower`] receives every row once and in order, however slow it is. [`chain`] defines the
//! hashes, [`verify`] checks them.
//!
//! Rows live in a [`Backend`]. This crate contains no SQL and no file format; `life-agent-observer-sqlite`
//! stores a journal in one SQLite file.

mod batch;
pub mod chain;
mod committed;
mod error;
mod expiry;
mod export;
mod filter;
mod follower;
mod idempotency;
mod jobs;
mod journal;
mod notes;
mod page;
mod precondition;
mod published;
mod records;
mod retention;
mod ring;
pub mod store;
pub mod verify;
mod writer;

pub use batch::{AgentStep, MAX_DATA, Proposal, SideWrite, Snapshot, StateHash, Usage, WriteBatch};
pub use committed::{Committed, Head, JournalRow};
pub use error::{Cause, JournalError};
pub use expiry::{Expired, ExpiryLimits};
pub use export::export;
pub use filter::{Filter, UnknownKind};
pub use follower::Follower;
pub use idempotency::{IdempotencyEntry, IdempotencyRecord, StoredResponse};
pub use jobs::{JobChange, JobRecord, JobStatus, Lease, NewJob, OpenJob};
pub use journal::{CommitHandle, Journal, Options, QueueSlot};
pub use notes::{MAX_QUERY_WORDS, NoteChange, query_words};
pub use page::{MAX_PAGE_BYTES, MAX_PAGE_ROWS, Page, PageRows};
pub use precondition::{AgentVersion, Precondition, Rejection};
pub use records::{AgentHistory, AgentRecord, ProposalRecord, RecentActivity, StoredSnapshot};
pub use retention::{PruneReport, Retention};
pub use store::{Backend, Opened, Read, Readers, Store};
pub use verify::{Broken, ChainFault, Verdict, Whole};
