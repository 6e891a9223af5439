//! A file as the source or the target of a move between stores.

use std::path::Path;

use life_agent_observer::chain::Tip;
use life_agent_observer::transfer::{Cell, TEXTS, Table, TransferSource, TransferTarget, Visit};
use life_agent_observer::{Head, JournalError};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};

use crate::control;
use crate::file::{LockedFile, open_for_reading};
use crate::insert::read_tip;
use crate::schema::{self, Found};
use crate::sqlite_error::{cause, read_error};
use crate::texts;

/// The file to copy, locked.
pub struct SqliteSource {
    connection: Connection,
    _file: LockedFile,
}

impl SqliteSource {
    /// Opens a file that no service has open.
    ///
    /// # Errors
    /// [`JournalError::Open`] if it does not exist, is in use, or holds no journal of this version.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |why: String| JournalError::open(path.display(), why);
        if !path.is_file() {
            return Err(failed("the file does not exist".to_owned()));
        }
        let file = LockedFile::claim(path)?;
        let opened = open_for_reading(path);
        let connection =
            opened.map_err(|error| JournalError::open(path.display(), cause(error)))?;
        match schema::inspect(&connection).map_err(failed)? {
            Found::Journal(schema::VERSION) => Ok(Self { connection, _file: file }),
            Found::Journal(_) => {
                Err(failed("its schema is older; start the service on it once".to_owned()))
            }
            Found::Empty => Err(failed("it holds no journal".to_owned())),
        }
    }
}

impl TransferSource for SqliteSource {
    fn tip(&self) -> Result<Tip, JournalError> {
        read_tip(&self.connection).map_err(read_error)
    }

    fn control(&self) -> Result<u64, JournalError> {
        control::read(&self.connection).map_err(read_error)
    }

    fn visit(&self, table: &Table, visit: Visit<'_>) -> Result<(), JournalError> {
        let (name, columns) = stored(table);
        let wanted = match table.name {
            "settings" => format!(" WHERE key <> '{}'", control::KEY),
            _ => String::new(),
        };
        let order = if is_notes(table) { "rowid" } else { table.order };
        let sql = format!("SELECT {columns} FROM {name}{wanted} ORDER BY {order}");
        let mut statement = self.connection.prepare(&sql).map_err(read_error)?;
        let mut rows = statement.query([]).map_err(read_error)?;
        while let Some(row) = rows.next().map_err(read_error)? {
            let mut record = Vec::with_capacity(table.columns.len());
            for column in 0..table.columns.len() {
                record.push(cell(row.get_ref(column).map_err(read_error)?)?);
            }
            if is_notes(table)
                && let Some(Cell::Text(owner)) = record.first_mut()
            {
                *owner = agent_of(owner)?;
            }
            if table.name == TEXTS {
                texts::unpack_record(&mut record)?;
            }
            visit(record)?;
        }
        Ok(())
    }
}

fn cell(value: ValueRef<'_>) -> Result<Cell, JournalError> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Int(number),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => return Err(JournalError::damaged("a stored text is not UTF-8")),
        },
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(JournalError::damaged("a stored number is no integer")),
    })
}

/// A new file.
pub struct SqliteTarget {
    connection: Connection,
    _file: LockedFile,
}

impl SqliteTarget {
    /// Creates the file.
    ///
    /// # Errors
    /// [`JournalError::Open`] if it exists or cannot be created.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        if path.exists() {
            return Err(JournalError::open(
                path.display(),
                "the file exists already; name another one",
            ));
        }
        let file = LockedFile::claim(path)?;
        let connection = file.prepare(path)?;
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(|error| JournalError::open(path.display(), cause(error)))?;
        Ok(Self { connection, _file: file })
    }
}

impl TransferTarget for SqliteTarget {
    fn put(&mut self, table: &Table, records: Vec<Vec<Cell>>) -> Result<(), JournalError> {
        if table.name == TEXTS {
            return records
                .iter()
                .try_for_each(|record| texts::put_record(&self.connection, record));
        }
        let (name, columns) = stored(table);
        let places = vec!["?"; table.columns.len()].join(", ");
        let sql = format!("INSERT INTO {name} ({columns}) VALUES ({places})");
        let mut insert = self.connection.prepare_cached(&sql).map_err(read_error)?;
        for mut record in records {
            if is_notes(table)
                && let Some(Cell::Text(agent)) = record.first_mut()
            {
                *agent = crate::notes::owner(agent);
            }
            let values = record.into_iter().map(|cell| match cell {
                Cell::Null => Value::Null,
                Cell::Int(number) => Value::Integer(number),
                Cell::Text(text) => Value::Text(text),
                Cell::Bytes(bytes) => Value::Blob(bytes),
            });
            insert.execute(params_from_iter(values)).map_err(read_error)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>, tip: &Tip, control: u64) -> Result<(), JournalError> {
        let stored = read_tip(&self.connection).map_err(read_error)?;
        if stored.head != tip.head && tip.head != Head::empty() {
            return Err(JournalError::damaged("the last row is not the end of the chain"));
        }
        control::write(&self.connection, control).map_err(read_error)?;
        self.connection.execute_batch(ROWS_OF_USAGE).map_err(read_error)?;
        self.connection.execute_batch("COMMIT").map_err(read_error)?;
        // The file alone is the journal.
        let moved = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        moved.map_err(read_error)
    }
}

fn is_notes(table: &Table) -> bool {
    table.name == "notes"
}

/// The table and its columns as the file names them.
fn stored(table: &Table) -> (&'static str, String) {
    match table.name {
        TEXTS => ("texts JOIN text_bodies ON id = body_id", table.column_list()),
        "notes" => ("facts", "owner, version, text".to_owned()),
        "idempotency_records" => ("marks", table.column_list()),
        // Views for scripts have the logical names.
        "events" => ("journal", table.column_list()),
        "proposals" => ("plans", table.column_list()),
        "llm_usage" => ("usage", table.column_list()),
        name => (name, table.column_list()),
    }
}

/// Other stores do not keep the row of a call: it is the first row of its request at that time.
const ROWS_OF_USAGE: &str = "UPDATE usage SET event_id = called.row FROM (
        SELECT usage.id AS id, min(journal.id) AS row
        FROM usage JOIN journal ON journal.request_id = usage.request_id AND journal.ts = usage.ts
        GROUP BY usage.id) AS called
    WHERE called.id = usage.id";

/// The agent whose notes are stored under this owner.
fn agent_of(owner: &str) -> Result<String, JournalError> {
    let digits = owner.strip_prefix('x').unwrap_or_default().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    let agent = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    agent.ok_or_else(|| JournalError::damaged("a note belongs to no agent"))
}
