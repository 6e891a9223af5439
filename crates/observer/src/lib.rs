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
//! stores a journal in one SQLite file. The feature `testing` adds a backend in memory and the suite
//! that every backend must pass.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use life_agent_domain::governance::event::{Entry, EventKind};
//! use life_agent_observer::testing::Memory;
//! use life_agent_observer::{Filter, Journal, Options, WriteBatch};
//!
//! let journal = Journal::open(Memory::new(), Options::default())?;
//! let entry = Entry {
//!     kind: EventKind::ServiceStarted,
//!     agent: None,
//!     principal: "example".to_owned(),
//!     request_id: String::new(),
//!     data: serde_json::value::RawValue::from_string("{}".to_owned())?,
//! };
//! // The first call reserves the place in the order, the second waits until the row is durable.
//! let committed = journal.append(WriteBatch::of(entry))?.await?;
//! assert_eq!(committed.id, 1);
//! let page = journal.page(0, 10, Filter::default()).await?;
//! assert_eq!(page.rows[0].hash, journal.head().hash);
//! journal.close().await?;
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```

mod batch;
pub mod chain;
mod clock;
mod committed;
mod declared;
mod error;
mod expiry;
mod export;
mod filter;
mod follower;
mod idempotency;
mod identity;
mod jobs;
mod journal;
mod notes;
mod observe;
mod page;
mod precondition;
mod published;
mod records;
mod retention;
mod ring;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod texts;
pub mod transfer;
mod usage;
pub mod verify;
mod writer;

pub use batch::{
    AgentStep, MAX_DATA, PlanFile, Proposal, SideWrite, Snapshot, StateHash, Usage, WriteBatch,
};
pub use committed::{Committed, Head, JournalRow};
pub use error::{Cause, JournalError};
pub use expiry::{Expired, ExpiryLimits};
pub use export::export;
pub use filter::{Criteria, Filter, RowColumns, UnknownKind};
pub use follower::{Follower, Gap, GapReason};
pub use idempotency::{IdempotencyEntry, IdempotencyRecord, StoredResponse};
pub use jobs::{JobChange, JobRecord, JobStatus, Lease, NewJob, OpenJob};
pub use journal::{CommitHandle, Journal, Options, QueueSlot};
pub use notes::{MAX_QUERY_WORDS, NoteChange, query_words, rank_notes};
pub use observe::{Origin, RowObserver};
pub use page::{MAX_PAGE_BYTES, MAX_PAGE_ROWS, Page, PageRows, Span};
pub use precondition::{AgentVersion, Guard, Precondition, Rejection};
pub use records::{
    AgentHistory, AgentRecord, Dangling, ProposalRecord, RecentActivity, StoredSnapshot,
};
pub use retention::{PruneReport, Retention};
pub use store::{Backend, Opened, Read, Readers, Sharing, Store};
pub use texts::{
    RowTexts, StoredText, TextFault, TextId, TextKind, TextLookup, TextVisitor, check_texts,
    compact, expand, roots_of, with_texts,
};
pub use usage::{MAX_COUNTED, UsageBy, UsageTotal};
pub use verify::{Broken, ChainFault, Verdict, Whole};
