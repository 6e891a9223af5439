//! Reads a database of Version_7 for the import.
//!
//! Its tables are `events(id, ts, kind, data)`, `actions`, `proposals` and `llm_usage`, with times in seconds as
//! `REAL`. Columns are read by name, so that databases of its earlier and later versions can be read too.
//! The file is opened for reading only, and nothing in its schema is executed.

use std::path::Path;

use life_agent_observer::JournalError;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde_json::{Map, Number, Value};

use crate::file::{configure_reader, read_only};
use crate::schema::APPLICATION_ID;
use crate::sqlite_error::describe;

/// The longest text of a column, in bytes; a longer text is truncated and marked.
const MAX_TEXT: usize = 256 * 1024;
/// The maximum number of columns of a table; further columns are ignored.
const MAX_COLUMNS: usize = 64;
/// Columns that hold JSON as text.
const JSON_COLUMNS: [&str; 3] = ["data", "meta", "target_files"];

/// A table of Version_7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Events.
    Events,
    /// Observed calls with their latency.
    Actions,
    /// Plans.
    Proposals,
    /// Tokens of model calls.
    LlmUsage,
}

impl Table {
    /// Every table, in the order in which it is read.
    pub const ALL: [Table; 4] = [Table::Events, Table::Actions, Table::Proposals, Table::LlmUsage];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Table::Events => "events",
            Table::Actions => "actions",
            Table::Proposals => "proposals",
            Table::LlmUsage => "llm_usage",
        }
    }
}

/// A row of Version_7: the values of its columns by name.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRow {
    /// Its table.
    pub table: Table,
    /// Its columns. Texts that hold JSON are parsed.
    pub columns: Map<String, Value>,
}

/// A database of Version_7.
pub struct Version7 {
    connection: Connection,
    tables: Vec<Table>,
}

impl Version7 {
    /// Opens the file.
    ///
    /// # Errors
    /// [`JournalError::Open`] if it is not a database of Version_7.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |why: String| JournalError::open(path.display(), why);
        if !path.is_file() {
            return Err(failed("the file does not exist".to_owned()));
        }
        let opened = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(path, read_only())?;
            configure_reader(&connection)?;
            // One view of the file from here on.
            connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")?;
            Ok(connection)
        };
        let connection = opened().map_err(|error| failed(describe(&error)))?;
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        if number("PRAGMA application_id").ok() == Some(APPLICATION_ID) {
            return Err(failed("it is a journal of this service, not of Version_7".to_owned()));
        }
        let exists = |table: Table| {
            // A view or virtual table of this name would run the schema's code.
            let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1
                AND sql LIKE 'CREATE TABLE%'";
            connection.query_row(sql, [table.as_str()], |row| row.get::<_, i64>(0))
        };
        let mut tables = Vec::new();
        for table in Table::ALL {
            if exists(table).map_err(|error| failed(describe(&error)))? == 1 {
                tables.push(table);
            }
        }
        let has_times = connection.prepare("SELECT id, ts, kind, data FROM events LIMIT 0").is_ok();
        if !tables.contains(&Table::Events) || !has_times {
            let why =
                "it is no database of Version_7: there is no table `events(id, ts, kind, data)`";
            return Err(failed(why.to_owned()));
        }
        Ok(Self { connection, tables })
    }

    /// Visits every row, table by table, each in the order of its ids. Ends with the visitor's first error.
    ///
    /// # Errors
    /// The file cannot be read, or the visitor's error.
    pub fn visit<E: From<JournalError>>(
        &self,
        mut visitor: impl FnMut(SourceRow) -> Result<(), E>,
    ) -> Result<(), E> {
        for table in &self.tables {
            let unreadable = |error: rusqlite::Error| E::from(unavailable(&error));
            let sql = format!("SELECT * FROM {} ORDER BY rowid", table.as_str());
            let mut statement = self.connection.prepare(&sql).map_err(unreadable)?;
            let names: Vec<String> = statement
                .column_names()
                .iter()
                .take(MAX_COLUMNS)
                .map(ToString::to_string)
                .collect();
            let mut rows = statement.query([]).map_err(unreadable)?;
            while let Some(row) = rows.next().map_err(unreadable)? {
                let columns = columns(row, &names).map_err(unreadable)?;
                visitor(SourceRow { table: *table, columns })?;
            }
        }
        Ok(())
    }
}

fn unavailable(error: &rusqlite::Error) -> JournalError {
    JournalError::unavailable(describe(error))
}

fn columns(row: &Row<'_>, names: &[String]) -> rusqlite::Result<Map<String, Value>> {
    let mut columns = Map::new();
    for (index, name) in names.iter().enumerate() {
        let value = match row.get_ref(index)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => number.into(),
            // JSON has no infinity.
            ValueRef::Real(number) => {
                Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
            }
            ValueRef::Text(text) => self::text(name, text),
            ValueRef::Blob(bytes) => format!("{} bytes that are no text", bytes.len()).into(),
        };
        columns.insert(name.clone(), value);
    }
    Ok(columns)
}

fn text(name: &str, bytes: &[u8]) -> Value {
    if bytes.len() > MAX_TEXT {
        let kept = String::from_utf8_lossy(&bytes[..MAX_TEXT]);
        return format!("{kept} […{} bytes cut off]", bytes.len() - MAX_TEXT).into();
    }
    let text = String::from_utf8_lossy(bytes);
    let parsed = JSON_COLUMNS.contains(&name).then(|| serde_json::from_str(&text).ok()).flatten();
    parsed.unwrap_or_else(|| text.into_owned().into())
}
