//! The journal: every step on the record, durable before it is answered, chained so that nobody can
//! change it unseen.
//!
//! A [`Journal`] is one SQLite file with one writer. Work is queued in order ([`Journal::append`]) and
//! committed in groups: whatever has gathered while the last commit was under way goes into the next.
//! An answer ([`Pending`]) comes when the rows are on the disk, or when they never will be; then the
//! [`Journal::epoch`] grows, and work that builds on lost rows is refused. Readers have connections of
//! their own ([`Journal::read`]), and followers ([`Journal::follow`]) get every row once and in order,
//! however slow they are. The chain is explained in [`chain`]. No other crate knows SQLite.

mod batch;
pub mod chain;
mod error;
mod export;
mod facts;
mod file;
mod filter;
mod forget;
mod jobs;
mod journal;
mod marks;
mod page;
mod read;
mod retention;
mod ring;
mod schema;
mod shared;
mod stand;
mod tail;
mod trail;
mod verify;
mod wal;
mod work;
mod writer;

pub use error::JournalError;
pub use facts::FactChange;
pub use file::PageLimit;
pub use filter::{BadKind, Filter};
pub use forget::{Forget, Forgotten};
pub use jobs::{JobChange, JobRecord, JobStatus, NewJob, OpenJob};
pub use journal::{Journal, Options, Pending, Place};
pub use marks::{Answer, Mark, MarkRecord};
pub use page::{MAX_PAGE_ROWS, Page};
pub use read::{AgentRecord, ProposalRecord, Reader, StoredSnapshot};
pub use retention::{Keep, Pruned};
pub use tail::Follower;
pub use trail::Past;
pub use verify::{Broken, Fault, Verdict, Whole};
pub use work::{
    AgentStep, Extra, Head, MAX_DATA, Proposal, Recorded, Snapshot, Usage, Work, Written,
};
