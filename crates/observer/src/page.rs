//! Pages of rows in order.

use life_agent_domain::governance::event::Row;
use serde_json::value::RawValue;

use crate::error::JournalError;

/// Upper bound on the rows of a page, whatever its limit.
pub const MAX_PAGE_ROWS: usize = 10_000;

/// A page ends before its rows hold more than this many bytes of data.
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Rows in order and the cursor for the next page.
#[derive(Debug)]
pub struct Page {
    /// At most as many rows as requested; fewer if they are large or rare.
    pub rows: Vec<Row>,
    /// The `after` of the next page if more rows exist.
    pub next: Option<u64>,
    /// Every row up to this one was considered.
    pub scanned_to: u64,
}

/// Collects the rows of a page up to its limits.
#[derive(Debug)]
pub struct PageRows {
    limit: usize,
    rows: Vec<Row>,
    bytes: usize,
    full: bool,
}

impl PageRows {
    /// An empty page of at most `limit` rows.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.clamp(1, MAX_PAGE_ROWS), rows: Vec::new(), bytes: 0, full: false }
    }

    /// The number of rows to read: one more than the page holds, to learn whether another page exists.
    pub fn wanted(&self) -> usize {
        self.limit + 1
    }

    /// Adds a row. Returns false once the page is full; that row belongs to the next page.
    pub fn push(&mut self, row: Row) -> bool {
        let bytes = self.bytes + row.data.get().len();
        if self.rows.len() == self.limit || bytes > MAX_PAGE_BYTES && !self.rows.is_empty() {
            self.full = true;
            return false;
        }
        self.bytes = bytes;
        self.rows.push(row);
        true
    }

    /// The page. `end` is the last row that was searched, `head` the last row of the journal.
    pub fn finish(self, end: u64, head: u64) -> Page {
        let last = self.rows.last().filter(|_| self.full);
        let scanned_to = last.map_or(end, |row| row.id);
        Page { rows: self.rows, next: (scanned_to < head).then_some(scanned_to), scanned_to }
    }
}

/// Stored data as JSON on one line.
///
/// # Errors
/// [`JournalError::Damaged`] if it is not JSON, or holds a line break, which would start another field
/// of an event stream.
pub fn parse_data(id: u64, data: String) -> Result<Box<RawValue>, JournalError> {
    let data = Some(data).filter(|data| !data.contains(['\n', '\r']));
    match data.map(RawValue::from_string) {
        Some(Ok(data)) => Ok(data),
        _ => Err(JournalError::damaged(format!("the data of row {id} is not JSON"))),
    }
}
