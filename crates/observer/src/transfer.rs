//! Moves a journal from one store to another: all tables as they are, rows with their numbers and hashes.

use crate::chain::Tip;
use crate::error::JournalError;

/// One value of a stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// No value.
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// The type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellType {
    /// [`Cell::Int`]
    Int,
    /// [`Cell::Text`]
    Text,
    /// [`Cell::Bytes`]
    Bytes,
}

/// A table under its logical name, with its columns. A store maps both to its own.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Names and types of its columns.
    pub columns: &'static [(&'static str, CellType)],
    /// The columns that order it.
    pub order: &'static str,
}

impl Table {
    /// The names of its columns, comma separated.
    pub fn column_list(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

use CellType::{Bytes, Int, Text};

/// The table of the texts that rows share.
pub const TEXTS: &str = "texts";

/// All tables of a journal. The control version is moved by itself.
#[rustfmt::skip]
pub const TABLES: [Table; 10] = [
    Table { name: "events", order: "id", columns: &[
        ("id", Int), ("ts", Text), ("kind", Text), ("data", Text), ("agent_id", Text), ("principal", Text),
        ("request_id", Text), ("prev_hash", Text), ("hash", Text), ("prev_step", Int)] },
    Table { name: "agents", order: "agent_id", columns: &[
        ("agent_id", Text), ("state_version", Int), ("turns", Int), ("last_seen", Text), ("last_event", Int),
        ("first_open", Int), ("state_hash", Bytes)] },
    Table { name: "snapshots", order: "agent_id", columns: &[
        ("agent_id", Text), ("event_id", Int), ("version", Int), ("state", Text), ("state_hash", Text)] },
    Table { name: "proposals", order: "event_id", columns: &[
        ("id", Text), ("event_id", Int), ("ts", Text), ("status", Text), ("intent", Text), ("artifact", Text),
        ("data", Text)] },
    Table { name: "llm_usage", order: "id", columns: &[
        ("id", Int), ("ts", Text), ("request_id", Text), ("principal", Text), ("agent_id", Text), ("model", Text),
        ("prompt_tokens", Int), ("completion_tokens", Int), ("total_tokens", Int)] },
    Table { name: "settings", order: "key", columns: &[("key", Text), ("value", Text)] },
    Table { name: "jobs", order: "seq", columns: &[
        ("seq", Int), ("id", Text), ("status", Text), ("agent_id", Text), ("principal", Text), ("request_id", Text),
        ("input", Text), ("created", Text), ("started", Text), ("finished", Text), ("event_id", Int),
        ("result", Text), ("error", Text), ("owner", Text), ("lease_until", Text)] },
    Table { name: "idempotency_records", order: "seq", columns: &[
        ("seq", Int), ("id", Text), ("digest", Text), ("ts", Text), ("event_id", Int), ("job_id", Text),
        ("status", Int), ("headers", Text), ("body", Bytes)] },
    Table { name: "notes", order: "agent_id, version", columns: &[
        ("agent_id", Text), ("version", Int), ("text", Text)] },
    Table { name: TEXTS, order: "digest", columns: &[
        ("digest", Bytes), ("is_item", Int), ("body", Bytes), ("uses", Int)] },
];

/// Receives the values of one record, in the order of [`Table::columns`].
pub type Visit<'v> = &'v mut dyn FnMut(Vec<Cell>) -> Result<(), JournalError>;

/// A journal to copy. No process writes to it while this exists.
pub trait TransferSource {
    /// The end of the chain.
    ///
    /// # Errors
    /// The store cannot be read.
    fn tip(&self) -> Result<Tip, JournalError>;

    /// The control version.
    ///
    /// # Errors
    /// The store cannot be read.
    fn control(&self) -> Result<u64, JournalError>;

    /// Visits every record of a table in order.
    ///
    /// # Errors
    /// The store cannot be read, or the visitor's error.
    fn visit(&self, table: &Table, visit: Visit<'_>) -> Result<(), JournalError>;
}

/// An empty store to fill, in one transaction.
pub trait TransferTarget {
    /// Stores records of a table.
    ///
    /// # Errors
    /// They cannot be stored. Nothing remains once the target is dropped.
    fn put(&mut self, table: &Table, records: Vec<Vec<Cell>>) -> Result<(), JournalError>;

    /// Sets the end of the chain and the control version, and makes everything durable.
    ///
    /// # Errors
    /// Nothing was stored.
    fn finish(self: Box<Self>, tip: &Tip, control: u64) -> Result<(), JournalError>;
}

/// Bounds on the records that are stored at once.
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;

/// Copies all tables and returns the end of the chain. `progress` receives the number of copied records from time
/// to time. The caller verifies the copy.
///
/// # Errors
/// The source cannot be read or the target not written.
pub fn transfer(
    source: &dyn TransferSource,
    mut target: Box<dyn TransferTarget>,
    progress: &mut dyn FnMut(u64),
) -> Result<Tip, JournalError> {
    let mut copied = 0;
    for table in &TABLES {
        let (mut records, mut bytes) = (Vec::new(), 0);
        source.visit(table, &mut |record| {
            bytes += record.iter().map(size).sum::<usize>();
            records.push(record);
            if records.len() >= RECORDS || bytes >= BYTES {
                copied += records.len() as u64;
                progress(copied);
                bytes = 0;
                return target.put(table, std::mem::take(&mut records));
            }
            Ok(())
        })?;
        if !records.is_empty() {
            copied += records.len() as u64;
            target.put(table, records)?;
        }
        progress(copied);
    }
    let tip = source.tip()?;
    target.finish(&tip, source.control()?)?;
    Ok(tip)
}

fn size(cell: &Cell) -> usize {
    match cell {
        Cell::Null | Cell::Int(_) => 8,
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
    }
}
