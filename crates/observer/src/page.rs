//! Pages of rows in order.

use life_agent_domain::governance::event::Row;
use serde_json::value::RawValue;

use crate::error::JournalError;
use crate::filter::Filter;

/// Upper bound on the rows of a page, whatever its limit.
pub const MAX_PAGE_ROWS: usize = 10_000;

/// A page ends before its rows hold more than this many bytes of data.
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Rows that are compared by their columns for one page.
const MAX_COMPARED: usize = 12_000;
/// The cost of parsing a row to compare it, in comparisons of columns, and of each further part of its data.
const PARSED: usize = 16;
const PARSED_BYTES: usize = 512;

/// The rows between two rows, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Rows after this one; 0 for all.
    pub after: u64,
    /// Rows before this one; `u64::MAX` for all.
    pub before: u64,
    /// Whether the last row comes first.
    pub newest_first: bool,
}

impl Span {
    /// Rows after this one, oldest first.
    pub fn after(after: u64) -> Self {
        Self { after, before: u64::MAX, newest_first: false }
    }

    /// Rows before this one, newest first.
    pub fn before(before: u64) -> Self {
        Self { after: 0, before, newest_first: true }
    }

    /// The first and the last row of the span in a journal with these rows; `None` if it holds none.
    pub fn within(&self, first: u64, head: u64) -> Option<(u64, u64)> {
        let low = self.after.saturating_add(1).max(first);
        let high = self.before.saturating_sub(1).min(head);
        (low <= high && head > 0).then_some((low, high))
    }
}

/// Rows in order and the cursor for the next page.
#[derive(Debug)]
pub struct Page {
    /// At most as many rows as requested; fewer if they are large or rare.
    pub rows: Vec<Row>,
    /// The `after` of the next page if more rows exist; newest first, its `before`.
    pub next: Option<u64>,
    /// Every row up to this one was considered; newest first, every row from this one on.
    pub scanned_to: u64,
}

/// Collects the rows of a page up to its limits.
#[derive(Debug)]
pub struct PageRows {
    limit: usize,
    rows: Vec<Row>,
    bytes: usize,
    compared: usize,
    /// The last considered row, once the page is full.
    full_at: Option<u64>,
    last: Option<u64>,
}

impl PageRows {
    /// An empty page of at most `limit` rows.
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, MAX_PAGE_ROWS);
        Self { limit, rows: Vec::new(), bytes: 0, compared: 0, full_at: None, last: None }
    }

    /// The number of rows to read: one more than the page holds, to learn whether another page exists.
    pub fn wanted(&self) -> usize {
        self.limit + 1
    }

    /// Adds a row. Returns false once the page is full; that row belongs to the next page.
    pub fn push(&mut self, row: Row) -> bool {
        let bytes = self.bytes + row.data.get().len();
        if self.rows.len() == self.limit || bytes > MAX_PAGE_BYTES && !self.rows.is_empty() {
            self.full_at = self.last;
            return false;
        }
        self.bytes = bytes;
        self.last = Some(row.id);
        self.rows.push(row);
        true
    }

    /// Adds a row if the filter selects it. Returns false once the page is full or enough rows were compared, so
    /// that a page takes a bounded time whatever the filter excludes. `with_texts` returns the row with the texts that
    /// it shares with other rows, which a search for words includes; `None` if it shares none.
    pub fn push_matching(
        &mut self,
        row: Row,
        filter: &Filter,
        with_texts: impl Fn(&Row) -> Option<Row>,
    ) -> bool {
        let id = row.id;
        if !self.count() {
            return false;
        }
        if filter.may_match(&row) {
            let expanded = filter.searches_words().then(|| with_texts(&row)).flatten();
            let whole = expanded.as_ref().unwrap_or(&row);
            if filter.reads_data() {
                self.compared += PARSED + whole.data.get().len() / PARSED_BYTES;
            }
            if filter.matches(whole) && !self.push(row) {
                return false;
            }
        }
        self.last = Some(id);
        true
    }

    /// Counts a row that the filter does not select, as far as its columns tell. Returns false once enough rows were
    /// compared.
    pub fn skip(&mut self, id: u64) -> bool {
        let counted = self.count();
        if counted {
            self.last = Some(id);
        }
        counted
    }

    /// Counts a comparison. Returns false if the page may make no further one.
    fn count(&mut self) -> bool {
        if self.compared >= MAX_COMPARED {
            self.full_at = self.last;
            return false;
        }
        self.compared += 1;
        true
    }

    /// Whether a row was refused.
    pub fn is_full(&self) -> bool {
        self.full_at.is_some()
    }

    /// The page. `end` is the last row that was searched, `head` the last row of the journal.
    pub fn finish(self, end: u64, head: u64) -> Page {
        let scanned_to = self.full_at.unwrap_or(end);
        Page { rows: self.rows, next: (scanned_to < head).then_some(scanned_to), scanned_to }
    }

    /// The page of a span. `end` is the last row that was searched: the highest one, or newest first the lowest.
    /// `within` are the first and last row of the span.
    pub fn finish_span(self, span: &Span, end: u64, within: (u64, u64)) -> Page {
        if !span.newest_first {
            return self.finish(end, within.1);
        }
        let scanned_to = self.full_at.unwrap_or(end);
        Page { rows: self.rows, next: (scanned_to > within.0).then_some(scanned_to), scanned_to }
    }
}

impl Page {
    /// The page of a span without rows.
    pub fn empty(scanned_to: u64) -> Self {
        Self { rows: Vec::new(), next: None, scanned_to }
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
