//! The thread that fills the index.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use life_agent_domain::governance::event::Row;
use life_agent_observer::{TextId, with_texts};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::file::{self, Progress};
use super::{BLOCK_BITS, PART_ROWS, SearchIndex, part_of, tokens};
use crate::file::open_for_reading;
use crate::page::{COLUMNS, raw_row};
use crate::reader::first_id;
use crate::sqlite_error::{describe, read_error};
use crate::texts;

/// Rows that are indexed in one transaction, and their bytes.
const BATCH_ROWS: usize = 2_000;
const BATCH_BYTES: usize = 4 << 20;
/// Pages of the index that are merged in one transaction.
const MERGED_PAGES: i64 = 500;
/// The largest number of a row.
const MAX_ROW: u64 = i64::MAX.unsigned_abs();
/// The pause when every row is indexed. Later rows are read from the journal until then.
const IDLE: Duration = Duration::from_millis(250);
/// The pause after an error.
const RETRY: Duration = Duration::from_secs(10);

/// The thread. It ends when this is dropped.
pub(crate) struct SearchThread {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SearchThread {
    /// Starts to fill the index of the journal at `path`.
    pub(crate) fn start(path: &Path, index: SearchIndex) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel(0);
        let path = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("journal-search".to_owned())
            .spawn(move || run(&path, &index, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for SearchThread {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(path: &Path, index: &SearchIndex, stopped: &Receiver<()>) {
    let mut filling: Option<Filling> = None;
    let mut warned = false;
    loop {
        let started = Instant::now();
        if index.take_damage() {
            filling = None;
            let _ = file::remove(&index.0.path);
        }
        if filling.is_some() && !index.0.path.exists() {
            filling = None;
            index.close();
        }
        let step = match filling.take() {
            Some(filling) => Ok(filling),
            None => Filling::open(path, index),
        };
        let step = step.and_then(|mut filling| {
            let more = filling.step(stopped).map_err(|error| describe(&error))?;
            Ok((filling, more))
        });
        let pause = match step {
            // Takes at most half of a processor.
            Ok((open, true)) => {
                filling = Some(open);
                started.elapsed()
            }
            Ok((open, false)) => {
                filling = Some(open);
                warned = false;
                IDLE
            }
            Err(why) => {
                index.close();
                if !warned {
                    tracing::warn!(
                        why,
                        "the search index cannot be filled; searches read the journal"
                    );
                }
                warned = true;
                RETRY
            }
        };
        match stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return,
        }
    }
}

/// An index that is being filled.
struct Filling {
    journal: Connection,
    index: Connection,
    progress: Progress,
    /// The journal's first row at the step before.
    first: u64,
}

impl Filling {
    fn open(path: &Path, shared: &SearchIndex) -> Result<Self, String> {
        let why = |error: rusqlite::Error| describe(&error);
        let journal = open_for_reading(path).map_err(why)?;
        let index = file::open(&shared.0.path, &journal)?;
        let progress = Progress::read(&index).map_err(why)?;
        let first = first_id(&journal).map_err(why)?;
        shared.publish();
        Ok(Self { journal, index, progress, first })
    }

    /// Indexes some rows. Returns whether more are waiting.
    fn step(&mut self, stopped: &Receiver<()>) -> rusqlite::Result<bool> {
        let first = first_id(&self.journal)?;
        // Retention removes rows in many small steps; the index follows after the last one.
        if first == self.first && first > self.progress.first {
            self.forget(first, stopped)?;
        }
        self.first = first;
        let rows = read(&self.journal, self.progress.upto + 1, MAX_ROW)?;
        let Some(last) = rows.last() else { return Ok(false) };
        let upto = Progress { first: self.progress.first, upto: last.id, hash: last.hash.clone() };
        let full = rows.len() == BATCH_ROWS || size(&rows) >= BATCH_BYTES;
        let transaction = immediate(&mut self.index)?;
        add(&transaction, &rows)?;
        upto.write(&transaction)?;
        transaction.commit()?;
        let completed = part_of(self.progress.upto + 1)..part_of(upto.upto + 1);
        self.progress = upto;
        for part in parts(&self.index)?.into_iter().filter(|part| completed.contains(part)) {
            self.merge(part, stopped)?;
        }
        Ok(full)
    }

    /// Merges the lists of a completed part: one per word instead of one per word and transaction.
    fn merge(&self, part: u64, stopped: &Receiver<()>) -> rusqlite::Result<()> {
        let sql = format!("INSERT INTO part_{part} (part_{part}, rank) VALUES ('merge', ?1)");
        // A negative number of pages begins, positive ones continue. Fewer than two changes mean that all is done.
        let mut pages = -MERGED_PAGES;
        loop {
            let before = self.index.total_changes();
            self.index.execute(&sql, [pages])?;
            if self.index.total_changes() - before < 2 || is_stopped(stopped) {
                return Ok(());
            }
            pages = MERGED_PAGES;
        }
    }

    /// Removes everything about rows before `first`.
    fn forget(&mut self, first: u64, stopped: &Receiver<()>) -> rusqlite::Result<()> {
        let upto = self.progress.upto;
        let progress = Progress { first, ..self.progress.clone() };
        let parts = parts(&self.index)?;
        let (journal, boundary) = (&self.journal, part_of(first));
        let transaction = immediate(&mut self.index)?;
        for part in parts.into_iter().filter(|part| *part <= boundary) {
            transaction.execute_batch(&format!("DROP TABLE part_{part}"))?;
        }
        transaction.execute("DELETE FROM blocks WHERE block <= ?1", [first >> BLOCK_BITS])?;
        // The rest of the part at the boundary is read again: a full-text table forgets words only as a whole.
        let end = upto.min((boundary + 1) * PART_ROWS - 1);
        let mut next = first;
        while next <= end {
            if is_stopped(stopped) {
                return Ok(());
            }
            let rows = read(journal, next, end)?;
            let Some(last) = rows.last() else { break };
            next = last.id + 1;
            add(&transaction, &rows)?;
        }
        progress.write(&transaction)?;
        transaction.commit()?;
        self.progress = progress;
        // The log held the words of removed rows.
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.index.query_row(checkpoint, [], |_| Ok(()))
    }
}

fn is_stopped(stopped: &Receiver<()>) -> bool {
    stopped.try_recv() != Err(TryRecvError::Empty)
}

fn immediate(index: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    index.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Rows from `from` to `upto`, up to the size of a batch.
fn read(journal: &Connection, from: u64, upto: u64) -> rusqlite::Result<Vec<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM journal WHERE id BETWEEN ?1 AND ?2 ORDER BY id");
    let mut statement = journal.prepare_cached(&sql)?;
    let mut found = statement.query([from, upto])?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let row = whole(journal, raw_row(row)?.searchable());
        bytes += row.data.get().len();
        rows.push(row);
        if rows.len() == BATCH_ROWS || bytes >= BATCH_BYTES {
            break;
        }
    }
    Ok(rows)
}

/// The row with the texts that it shares with others. One whose texts cannot be read is searched without them.
fn whole(journal: &Connection, row: Row) -> Row {
    let lookup = |id: &TextId| texts::find(journal, id).map_err(read_error);
    with_texts(&lookup, &row).unwrap_or(row)
}

fn size(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.data.get().len()).sum()
}

/// Adds rows in the open transaction.
fn add(index: &Connection, rows: &[Row]) -> rusqlite::Result<()> {
    let mut part = None;
    for row in rows {
        let of_row = part_of(row.id);
        if part != Some(of_row) {
            part = Some(of_row);
            index.execute_batch(&format!(
                "CREATE VIRTUAL TABLE IF NOT EXISTS part_{of_row} USING fts5 (tokens, content = '', columnsize = 0,
                 detail = none, tokenize = 'ascii')"
            ))?;
        }
        let sql = format!("INSERT INTO part_{of_row} (rowid, tokens) VALUES (?1, ?2)");
        index.prepare_cached(&sql)?.execute(params![row.id, tokens::of_row(row)])?;
    }
    let sql = "INSERT INTO blocks VALUES (?1, ?2, ?3) ON CONFLICT (block) DO UPDATE SET
        earliest = min(earliest, excluded.earliest), latest = max(latest, excluded.latest)";
    for block in rows.chunk_by(|a, b| a.id >> BLOCK_BITS == b.id >> BLOCK_BITS) {
        let times = || block.iter().map(|row| row.ts.as_str());
        let number = block.first().map(|row| row.id >> BLOCK_BITS);
        index.prepare_cached(sql)?.execute(params![number, times().min(), times().max()])?;
    }
    Ok(())
}

/// The numbers of the parts.
fn parts(index: &Connection) -> rusqlite::Result<Vec<u64>> {
    let sql = "SELECT CAST(substr(name, 6) AS INTEGER) FROM sqlite_schema
        WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%' AND name GLOB 'part_*'";
    index.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
}
