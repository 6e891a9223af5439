//! Opens a database as a journal.

use std::sync::Arc;

use life_agent_observer::chain::Tip;
use life_agent_observer::{Backend, JournalError, Opened, Read, Readers, Sharing};

use crate::address::Address;
use crate::bell::Bell;
use crate::known::KnownAgents;
use crate::net::{Net, ROUND_TRIP};
use crate::pg_error::PgError;
use crate::replica::Replicated;
use crate::schema;
use crate::session::{Role, Session, pipelined};
use crate::store::PostgresStore;
use crate::stored::{LOCK_HEAD, StoredHead, stored_end};
use crate::view::{Pool, View};

/// The default schema of the tables.
pub(crate) const SCHEMA: &str = "life_agent";

/// Limits of a PostgreSQL journal. The defaults suit a service.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Connections that read at the same time. Three more are open: one writes, one listens, and one is spare for a
    /// reconnection.
    pub readers: usize,
    /// The schema of the tables: lower-case letters, digits and `_`.
    pub schema: String,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { readers: 8, schema: SCHEMA.to_owned() }
    }
}

/// A journal in a PostgreSQL database that is not opened yet.
pub struct Postgres {
    address: Address,
    direct: Option<Address>,
    replica: Option<Address>,
    options: PostgresOptions,
}

impl Postgres {
    /// The journal in the database at `address`, created if there is none.
    pub fn at(address: Address) -> Self {
        Self { address, direct: None, replica: None, options: PostgresOptions::default() }
    }

    /// Sets the limits.
    #[must_use]
    pub fn with(self, options: PostgresOptions) -> Self {
        Self { options, ..self }
    }

    /// Names the server itself, if `address` leads through a pooler that gives each transaction another session.
    #[must_use]
    pub fn direct(self, direct: Option<Address>) -> Self {
        Self { direct, ..self }
    }

    /// Names a replica of the server for pages of the journal and reports. It may lag or fail: the server itself then
    /// serves them.
    #[must_use]
    pub fn replica(self, replica: Option<Address>) -> Self {
        Self { replica, ..self }
    }

    /// The two ways to the server: through the pooler if there is one, and past it.
    pub(crate) fn nets(
        address: Address,
        direct: Option<Address>,
        schema: &str,
    ) -> Result<[Arc<Net>; 2], String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if schema.is_empty()
            || schema.len() > 63
            || !schema.chars().all(fits)
            || schema.starts_with("pg_")
        {
            return Err("the schema's name may hold lower-case letters, digits and `_`".to_owned());
        }
        let net = Arc::new(Net::new(address, schema.to_owned(), direct.is_some())?);
        let direct = match direct {
            Some(direct) => Arc::new(Net::new(direct, schema.to_owned(), false)?),
            None => Arc::clone(&net),
        };
        Ok([net, direct])
    }
}

impl Backend for Postgres {
    fn open(self) -> Result<Opened, JournalError> {
        let Self { address, direct, replica, options } = self;
        let name = address.to_string();
        let failed = |error: PgError| JournalError::open(&name, error.cause());
        let nets = Self::nets(address, direct, &options.schema);
        let [net, direct] = nets.map_err(|why| JournalError::open(&name, why))?;
        let (bell, was_alone) = Bell::join(&direct).map_err(failed)?;
        let opened = prepare(&direct).and_then(|()| {
            let session = PostgresStore::connect(&net)?;
            let end = net.wait(ROUND_TRIP, end(&session))?;
            Ok((session, end))
        });
        let (session, end) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                bell.release(&direct);
                return Err(failed(error));
            }
        };
        let tip = Tip { head: end.head, ts: end.ts };
        let store = PostgresStore {
            net: Arc::clone(&net),
            direct: Arc::clone(&direct),
            bell: Arc::clone(&bell),
            session: Some(session),
            tip: tip.clone(),
            control: end.control,
            agents: KnownAgents::default(),
            begun: None,
        };
        let pool = Pool::new(net, options.readers.max(1));
        if let Err(error) = check_end(&pool).and_then(|()| bell.watch(&direct).map_err(failed)) {
            bell.release(&direct);
            return Err(error);
        }
        let pool = Arc::new(pool);
        let readers: Arc<dyn Readers> = match replica {
            None => pool,
            Some(replica) => {
                let replicated = Replicated::new(pool, replica, &options.schema);
                Arc::new(replicated.map_err(|why| {
                    bell.release(&direct);
                    JournalError::open(&name, format!("the replica cannot be used: {why}"))
                })?)
            }
        };
        Ok(Opened {
            name,
            tip,
            control: end.control,
            set_back: None,
            store: Box::new(store),
            readers,
            sharing: Some(Sharing {
                instance: bell.instance().to_owned(),
                was_alone,
                leads: bell.leads(),
                lead: bell.lead(),
            }),
        })
    }
}

/// Checks the server and migrates the tables.
pub(crate) fn prepare(direct: &Net) -> Result<(), PgError> {
    let session = direct.connect(Role::Locks)?;
    schema::check_server(direct, &session)?;
    schema::migrate(direct, &session)?;
    match schema::foreign_code(direct, &session)? {
        None => Ok(()),
        Some(name) => Err(PgError::Other(format!(
            "its tables have a trigger or rule that this service did not create (`{name}`), which could change rows; \
             drop it after an inspection, or name another database"
        ))),
    }
}

/// The stored end of the journal.
async fn end(session: &Session) -> Result<StoredHead, PgError> {
    let requests = vec![session.begin(), session.query(LOCK_HEAD, vec![]), session.batch("COMMIT")];
    let rows = pipelined(requests).await?;
    stored_end(rows.get(1).map_or(&[], Vec::as_slice))
}

/// Compares the last row with the head: rows may have been removed behind the service's back.
fn check_end(pool: &Pool) -> Result<(), JournalError> {
    let view = View::begin(pool)?;
    let head = view.head()?;
    let rows = view.query("SELECT id, hash FROM events ORDER BY id DESC LIMIT 1", vec![])?;
    let id: Option<i64> = view.column(&rows, 0)?;
    let hash: Option<String> = view.column(&rows, 1)?;
    let matches = match (id, hash) {
        (Some(id), Some(hash)) => u64::try_from(id) == Ok(head.id) && hash == head.hash,
        _ => head.id == 0,
    };
    if matches {
        return Ok(());
    }
    Err(JournalError::damaged(format!(
        "the last row is not row {}, with which the journal ends: rows were added, removed or changed by another \
         program; restore a backup",
        head.id
    )))
}

/// A journal in a database, opened for reading only, whether or not a service has it open.
pub struct PostgresReader(Pool);

impl PostgresReader {
    /// Opens the journal.
    ///
    /// # Errors
    /// [`JournalError::Open`] if the database cannot be read or holds no journal of this version.
    pub fn open(address: Address) -> Result<Self, JournalError> {
        Self::in_schema(address, SCHEMA)
    }

    /// The same with another schema than the default.
    ///
    /// # Errors
    /// See [`PostgresReader::open`].
    pub fn in_schema(address: Address, schema: &str) -> Result<Self, JournalError> {
        let name = address.to_string();
        let nets = Postgres::nets(address, None, schema);
        let [net, _] = nets.map_err(|why| JournalError::open(&name, why))?;
        let checked =
            net.connect(Role::Locks).and_then(|session| schema::require_current(&net, &session));
        checked.map_err(|error| JournalError::open(&name, error.cause()))?;
        let pool = Pool::new(net, 2);
        check_end(&pool)?;
        Ok(Self(pool))
    }
}

impl Readers for PostgresReader {
    fn limit(&self) -> usize {
        self.0.limit()
    }

    fn view(&self) -> Result<Box<dyn Read + '_>, JournalError> {
        self.0.view()
    }
}
