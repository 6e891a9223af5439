//! The life-agent journal in one SQLite file.
//!
//! [`Sqlite`] is a [`Backend`](life_agent_observer::Backend): pass it to
//! [`Journal::open`](life_agent_observer::Journal::open). The file has one writer, which holds a lock next
//! to the file, and any number of readers. [`SqliteFile`] opens a file for reading only, whether or not a
//! service has it open.
//!
//! Commits use the write-ahead log with `synchronous=FULL`: an answered row survives a power failure. A
//! second thread moves pages from the log into the database file, so that no commit waits for it.
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("agent.db");
//! use life_agent_observer::verify::{Verdict, verify};
//! use life_agent_observer::{Journal, Options, Readers};
//! use life_agent_observer_sqlite::{Sqlite, SqliteFile};
//!
//! let journal = Journal::open(Sqlite::at(&path), Options::default())?;
//! journal.close().await?;
//!
//! let file = SqliteFile::open(&path)?;
//! let verdict = verify(&*file.view()?, None, |_, _| ())?;
//! assert!(matches!(verdict, Verdict::Whole(whole) if whole.rows == 0));
//! # Ok(())
//! # })
//! # }
//! ```

mod agent_heads;
mod agent_history;
mod backend;
mod checkpoint;
mod control;
mod expiry;
mod file;
mod idempotency;
mod identity;
mod insert;
mod jobs;
mod notes;
mod packing;
mod page;
mod preconditions;
mod range;
mod reader;
mod records;
mod scan;
mod schema;
mod search;
mod sqlite_error;
mod store;
mod texts;
mod transfer;
pub mod version7;

pub use backend::{Sqlite, SqliteOptions};
pub use file::PageLimit;
pub use reader::SqliteFile;
pub use transfer::{SqliteSource, SqliteTarget};
