//! Finds candidates in the index.

use std::ops::ControlFlow;

use life_agent_observer::Filter;
use r2d2::PooledConnection;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OptionalExtension};

use super::file::Progress;
use super::tokens::Query;
use super::{BLOCK_BITS, PART_BITS, part_of, tokens};
use crate::range::Range;

/// Parts that one page searches.
const MAX_PARTS: u64 = 8;
/// Rows of a part that are compared rather than searched for words.
const FEW: u64 = 256;

/// Where a search in the index ended.
pub(crate) enum Found {
    /// Every candidate of the range was visited.
    All,
    /// The visitor ended the search.
    Ended,
    /// No further part is searched: every candidate up to this row was visited.
    UpTo(u64),
}

/// A view of the index.
pub(crate) struct SearchReader {
    index: PooledConnection<SqliteConnectionManager>,
    progress: Progress,
}

impl Drop for SearchReader {
    fn drop(&mut self) {
        let _ = self.index.execute_batch("COMMIT");
    }
}

impl SearchReader {
    pub(super) fn begin(
        index: PooledConnection<SqliteConnectionManager>,
    ) -> rusqlite::Result<Self> {
        index.execute_batch("BEGIN")?;
        let progress = Progress::read(&index)?;
        Ok(Self { index, progress })
    }

    /// The last indexed row.
    pub(crate) fn upto(&self) -> u64 {
        self.progress.upto
    }

    /// The part of a range of indexed rows in which rows can be of the filter's time; `None` for none.
    pub(crate) fn of_time(&self, range: Range, filter: &Filter) -> rusqlite::Result<Option<Range>> {
        let mut range = range;
        let criteria = filter.criteria();
        if let Some(since) = criteria.and_then(|criteria| criteria.since.as_deref()) {
            let sql = "SELECT min(block) FROM blocks WHERE latest >= ?1";
            let Some(block) = self.block(sql, since)? else { return Ok(None) };
            range.low = range.low.max(block << BLOCK_BITS);
        }
        if let Some(until) = criteria.and_then(|criteria| criteria.until.as_deref()) {
            let sql = "SELECT max(block) FROM blocks WHERE earliest < ?1";
            let Some(block) = self.block(sql, until)? else { return Ok(None) };
            range.high = range.high.min(((block + 1) << BLOCK_BITS) - 1);
        }
        Ok((range.low <= range.high).then_some(range))
    }

    fn block(&self, sql: &str, time: &str) -> rusqlite::Result<Option<u64>> {
        self.index.prepare_cached(sql)?.query_row([time], |row| row.get(0))
    }

    /// The query for a filter; `None` if the index does not narrow it down.
    pub(crate) fn query(filter: &Filter) -> Option<Query> {
        tokens::of_filter(filter)
    }

    /// Visits the candidates of a range in its direction.
    pub(crate) fn visit<E>(
        &self,
        range: Range,
        query: &Query,
        mut visitor: impl FnMut(u64) -> Result<ControlFlow<()>, E>,
    ) -> rusqlite::Result<Result<Found, E>> {
        let (first, last) = (part_of(range.low), part_of(range.high));
        for n in 0..=last - first {
            let part = if range.newest_first { last - n } else { first + n };
            let within = Range {
                low: range.low.max(part << PART_BITS),
                high: range.high.min(((part + 1) << PART_BITS) - 1),
                ..range
            };
            if n == MAX_PARTS {
                let done = if range.newest_first { within.high + 1 } else { within.low - 1 };
                return Ok(Ok(Found::UpTo(done)));
            }
            if !exists(&self.index, part)? {
                continue;
            }
            let sql = format!(
                "SELECT rowid FROM part_{part} WHERE part_{part} MATCH ?1 AND rowid BETWEEN ?2 AND ?3
                 ORDER BY rowid {}",
                range.direction()
            );
            let query = match &query.without_words {
                Some(narrow) if self.finds_few(part, narrow, within)? => narrow,
                _ => &query.whole,
            };
            let mut statement = self.index.prepare_cached(&sql)?;
            let mut ids = statement.query((query, within.low, within.high))?;
            while let Some(row) = ids.next()? {
                match visitor(row.get(0)?) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => return Ok(Ok(Found::Ended)),
                    Err(error) => return Ok(Err(error)),
                }
            }
        }
        Ok(Ok(Found::All))
    }
}

impl SearchReader {
    /// Whether a query finds few rows of a part.
    fn finds_few(&self, part: u64, query: &str, within: Range) -> rusqlite::Result<bool> {
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM part_{part} WHERE part_{part} MATCH ?1
             AND rowid BETWEEN ?2 AND ?3 LIMIT ?4)"
        );
        let mut statement = self.index.prepare_cached(&sql)?;
        let found: u64 =
            statement.query_row((query, within.low, within.high, FEW), |row| row.get(0))?;
        Ok(found < FEW)
    }
}

fn exists(index: &Connection, part: u64) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'part_' || ?1";
    Ok(index.prepare_cached(sql)?.query_row([part], |_| Ok(())).optional()?.is_some())
}
