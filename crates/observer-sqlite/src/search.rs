//! The search index: a file next to the journal's, which a thread fills after the rows are committed.
//!
//! The index finds candidates; a page compares each of them with its row. A row that is not in the index yet is read
//! from the journal, so a search is complete at any time, and the index can be removed at any time. It is a sequence
//! of parts of [`PART_ROWS`] rows: a search reads one part after the other, and a part whose rows retention has
//! removed goes as a whole.
//!
//! Each part is a full-text table without columns or positions. A row's words, its kind, agent, caller, request,
//! session, outcome, rules and the magnitude of its duration are tokens of one kind, so that any combination of
//! conditions is one query, which SQLite answers in the order of row numbers.

mod file;
mod fill;
mod find;
mod tokens;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use r2d2_sqlite::SqliteConnectionManager;

use crate::file::{configure_reader, read_only};
pub(crate) use fill::SearchThread;
pub(crate) use find::{Found, SearchReader};

/// Rows of a part, as a power of two. A part's index has about 40 MB.
const PART_BITS: u32 = 17;
/// Rows of a part.
const PART_ROWS: u64 = 1 << PART_BITS;
/// Rows of a block, whose earliest and latest times are kept, as a power of two.
const BLOCK_BITS: u32 = 9;

/// The part that holds a row.
fn part_of(id: u64) -> u64 {
    id >> PART_BITS
}

/// The reading side. Clones share it.
#[derive(Clone)]
pub(crate) struct SearchIndex(Arc<Shared>);

struct Shared {
    path: PathBuf,
    size: u32,
    /// None until the file can be read, and after an error.
    readers: RwLock<Option<r2d2::Pool<SqliteConnectionManager>>>,
    /// Set by a reader that found the file damaged.
    is_damaged: AtomicBool,
}

impl SearchIndex {
    /// The index of the journal at `path`, for this many readers.
    pub(crate) fn of(journal: &Path, size: u32) -> Self {
        let mut path = journal.to_owned().into_os_string();
        path.push("-search");
        Self(Arc::new(Shared {
            path: path.into(),
            size,
            readers: RwLock::default(),
            is_damaged: AtomicBool::new(false),
        }))
    }

    /// A connection that reads the index, if there is one.
    pub(crate) fn reader(&self) -> Option<SearchReader> {
        let readers = self.0.readers.read().clone()?;
        SearchReader::begin(readers.get().ok()?).inspect_err(|error| self.report(error)).ok()
    }

    /// Notes an error of a reader. The thread then builds the index again.
    pub(crate) fn report(&self, error: &rusqlite::Error) {
        tracing::warn!(%error, "the search index cannot be read; it is built again");
        self.0.is_damaged.store(true, Ordering::Relaxed);
        self.close();
    }

    /// Lets readers use the file.
    fn publish(&self) {
        let manager = SqliteConnectionManager::file(&self.0.path)
            .with_flags(read_only())
            .with_init(|connection| configure_reader(connection));
        let readers = r2d2::Pool::builder()
            .max_size(self.0.size)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(Duration::from_secs(1))
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(manager);
        *self.0.readers.write() = Some(readers);
    }

    fn close(&self) {
        *self.0.readers.write() = None;
    }

    fn take_damage(&self) -> bool {
        self.0.is_damaged.swap(false, Ordering::Relaxed)
    }
}
