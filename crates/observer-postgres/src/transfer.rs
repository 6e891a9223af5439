//! A database as the source or the target of a move between stores.

use std::sync::Arc;
use std::time::Duration;

use life_agent_observer::JournalError;
use life_agent_observer::chain::Tip;
use life_agent_observer::transfer::{
    Cell, CellType, TEXTS, Table, TransferSource, TransferTarget, Visit,
};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::address::Address;
use crate::backend::{Postgres, SCHEMA, prepare};
use crate::locks;
use crate::net::{Net, ROUND_TRIP};
use crate::pg_error::PgError;
use crate::schema;
use crate::session::{Role, Session};
use crate::stored::{LOCK_HEAD, StoredHead, UNLOCKED_HEAD, signed, stored_end};
use crate::view::{Pool, View};

/// Records of one response, and the longest wait for storing some.
const RECORDS: u32 = 200;
const WRITE: Duration = Duration::from_secs(600);

/// The database to copy. Its lock is held, so that no service writes to it.
pub struct PostgresSource {
    pool: Pool,
    /// Holds the lock.
    _lock: Claim,
}

/// The database to fill.
pub struct PostgresTarget {
    net: Arc<Net>,
    session: Session,
    /// Holds the lock.
    _lock: Claim,
}

/// The journal's lock, given back at the end.
struct Claim {
    net: Arc<Net>,
    session: Session,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Err(error) = self.net.wait(ROUND_TRIP, locks::release(&self.session)) {
            tracing::debug!(?error, "the lock of the database ends with its connection");
        }
    }
}

fn claim(address: Address) -> Result<(String, Arc<Net>, Claim), JournalError> {
    let name = address.to_string();
    let nets = Postgres::nets(address, None, SCHEMA);
    let [net, _] = nets.map_err(|why| JournalError::open(&name, why))?;
    let session = locks::exclusive(&net);
    let session = session.map_err(|error| JournalError::open(&name, error.cause()))?;
    let lock = Claim { net: Arc::clone(&net), session };
    Ok((name, net, lock))
}

impl PostgresSource {
    /// Opens a database that no service has open.
    ///
    /// # Errors
    /// [`JournalError::Open`] if it cannot be read, is in use, or holds no journal of this version.
    pub fn open(address: Address) -> Result<Self, JournalError> {
        let (name, net, lock) = claim(address)?;
        let checked = schema::require_current(&net, &lock.session);
        checked.map_err(|error| JournalError::open(name, error.cause()))?;
        Ok(Self { pool: Pool::new(net, 1), _lock: lock })
    }

    fn end(&self) -> Result<StoredHead, JournalError> {
        let view = View::begin(&self.pool)?;
        let rows = view.query(UNLOCKED_HEAD, vec![])?;
        stored_end(&rows).map_err(PgError::of_read)
    }
}

impl TransferSource for PostgresSource {
    fn tip(&self) -> Result<Tip, JournalError> {
        let StoredHead { head, ts, .. } = self.end()?;
        Ok(Tip { head, ts })
    }

    fn control(&self) -> Result<u64, JournalError> {
        Ok(self.end()?.control)
    }

    fn visit(&self, table: &Table, visit: Visit<'_>) -> Result<(), JournalError> {
        let view = View::begin(&self.pool)?;
        let columns = match table.name {
            TEXTS => "digest, is_item::int::bigint, body, uses".to_owned(),
            _ => table.column_list(),
        };
        let (name, order) = (table.name, table.order);
        let declare = format!(
            "DECLARE records NO SCROLL CURSOR FOR SELECT {columns} FROM {name} ORDER BY {order}"
        );
        view.query(&declare, vec![])?;
        loop {
            let rows = view.query(&format!("FETCH {RECORDS} FROM records"), vec![])?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                visit(record(table, row).map_err(|error| PgError::from(error).of_read())?)?;
            }
        }
    }
}

fn record(table: &Table, row: &Row) -> Result<Vec<Cell>, tokio_postgres::Error> {
    let cell = |(column, (_, kind)): (usize, &(&str, CellType))| {
        let cell = match kind {
            CellType::Int => row.try_get::<_, Option<i64>>(column)?.map(Cell::Int),
            CellType::Text => row.try_get::<_, Option<String>>(column)?.map(Cell::Text),
            CellType::Bytes => row.try_get::<_, Option<Vec<u8>>>(column)?.map(Cell::Bytes),
        };
        Ok(cell.unwrap_or(Cell::Null))
    };
    table.columns.iter().enumerate().map(cell).collect()
}

impl PostgresTarget {
    /// Creates the tables in a database without a journal.
    ///
    /// # Errors
    /// [`JournalError::Open`] if it holds a journal with rows, is in use, or cannot be one.
    pub fn create(address: Address) -> Result<Self, JournalError> {
        let (name, net, lock) = claim(address)?;
        let opened = prepare(&net).and_then(|()| {
            let session = net.connect(Role::Writer)?;
            let begun = async {
                session.begin().await?;
                let unlimited = "SET LOCAL statement_timeout = 0;
                    SET LOCAL idle_in_transaction_session_timeout = 0";
                session.batch(unlimited).await?;
                session.query(LOCK_HEAD, vec![]).await
            };
            let rows = net.wait(WRITE, begun)?;
            match stored_end(&rows)?.head.id == 0 {
                true => Ok(session),
                false => Err(PgError::Other(
                    "the database holds a journal already; name an empty one".to_owned(),
                )),
            }
        });
        let session = opened.map_err(|error| JournalError::open(name, error.cause()))?;
        Ok(Self { net, session, _lock: lock })
    }

    fn run(&self, sql: &str, values: &[Column]) -> Result<(), JournalError> {
        let values = values.iter().map(|column| column.value()).collect();
        let run = self.session.query(sql, values);
        self.net.wait(WRITE, run).map(drop).map_err(PgError::of_read)
    }
}

impl TransferTarget for PostgresTarget {
    fn put(&mut self, table: &Table, records: Vec<Vec<Cell>>) -> Result<(), JournalError> {
        let kinds = table.columns.iter().map(|(_, kind)| *kind);
        let mut columns: Vec<Column> = kinds.map(Column::of).collect();
        for record in records {
            for (column, cell) in columns.iter_mut().zip(record) {
                column.push(table, cell)?;
            }
        }
        let places: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(n, column)| format!("${}::{}", n + 1, column.sql_type()))
            .collect();
        let (name, list, places) = (table.name, table.column_list(), places.join(", "));
        let values = match name {
            TEXTS => "digest, is_item = 1, body, uses",
            _ => "*",
        };
        let sql = format!(
            "INSERT INTO {name} ({list}) SELECT {values} FROM unnest({places}) AS given ({list})"
        );
        self.run(&sql, &columns)
    }

    fn finish(self: Box<Self>, tip: &Tip, control: u64) -> Result<(), JournalError> {
        for (table, column) in
            [("jobs", "seq"), ("idempotency_records", "seq"), ("llm_usage", "id")]
        {
            let sql = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', '{column}'),
                    (SELECT coalesce(max({column}), 0) + 1 FROM {table}), false)"
            );
            self.run(&sql, &[])?;
        }
        let (id, control) = (signed(tip.head.id), signed(control));
        let end = "UPDATE head SET id = $1, hash = $2, ts = $3, control = $4 WHERE one";
        let values: Vec<(&(dyn ToSql + Sync), Type)> = vec![
            (&id, Type::INT8),
            (&tip.head.hash, Type::TEXT),
            (&tip.ts, Type::TEXT),
            (&control, Type::INT8),
        ];
        let committed = async {
            self.session.query(end, values).await?;
            self.session.batch("COMMIT").await?;
            // The planner knows nothing of new tables.
            self.session.batch("ANALYZE").await
        };
        self.net.wait(WRITE, committed).map(drop).map_err(PgError::of_read)
    }
}

/// One column of several records.
enum Column {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Column {
    fn of(kind: CellType) -> Self {
        match kind {
            CellType::Int => Column::Ints(Vec::new()),
            CellType::Text => Column::Texts(Vec::new()),
            CellType::Bytes => Column::Bytes(Vec::new()),
        }
    }

    fn push(&mut self, table: &Table, cell: Cell) -> Result<(), JournalError> {
        match (self, cell) {
            (Column::Ints(column), Cell::Int(number)) => column.push(Some(number)),
            (Column::Ints(column), Cell::Null) => column.push(None),
            (Column::Texts(column), Cell::Text(text)) if !text.contains('\0') => {
                column.push(Some(text));
            }
            // Not part of what was recorded: a name that a provider sent, and a search index.
            (Column::Texts(column), Cell::Text(text))
                if matches!(table.name, "llm_usage" | "notes") =>
            {
                column.push(Some(text.replace('\0', "\u{fffd}")));
            }
            (Column::Texts(_), Cell::Text(_)) => {
                return Err(JournalError::damaged(format!(
                    "a text in the table `{}` holds a NUL character, which PostgreSQL cannot store",
                    table.name
                )));
            }
            (Column::Texts(column), Cell::Null) => column.push(None),
            (Column::Bytes(column), Cell::Bytes(bytes)) => column.push(Some(bytes)),
            (Column::Bytes(column), Cell::Null) => column.push(None),
            _ => {
                return Err(JournalError::damaged(format!(
                    "a value in the table `{}` has another type than its column",
                    table.name
                )));
            }
        }
        Ok(())
    }

    fn sql_type(&self) -> &'static str {
        match self {
            Column::Ints(_) => "int8[]",
            Column::Texts(_) => "text[]",
            Column::Bytes(_) => "bytea[]",
        }
    }

    fn value(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Column::Ints(column) => (column, Type::INT8_ARRAY),
            Column::Texts(column) => (column, Type::TEXT_ARRAY),
            Column::Bytes(column) => (column, Type::BYTEA_ARRAY),
        }
    }
}
