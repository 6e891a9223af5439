//! The place of the journal: a file, or a database with `DATABASE_URL`.

#![cfg_attr(not(feature = "postgres"), allow(unused_variables, reason = "a file needs no reason"))]

use std::fmt;
use std::path::{Path, PathBuf};

use life_agent_engine::observer::transfer::{TransferSource, TransferTarget};
use life_agent_engine::observer::{Backend, JournalError, Opened, Readers};
use life_agent_observer_sqlite::{Sqlite, SqliteFile, SqliteSource, SqliteTarget};

/// Where a journal is.
#[derive(Debug, Clone)]
pub enum Place {
    /// An SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    #[cfg(feature = "postgres")]
    Database(Box<Database>),
}

/// A PostgreSQL database and the limits of its connections.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone)]
pub struct Database {
    /// `DATABASE_URL`
    pub address: life_agent_observer_postgres::Address,
    /// `DATABASE_LISTEN_URL`
    pub direct: Option<life_agent_observer_postgres::Address>,
    /// `DATABASE_READ_URL`
    pub replica: Option<life_agent_observer_postgres::Address>,
    /// `DATABASE_READERS`
    pub readers: usize,
}

/// Whether a text names a database and not a file.
pub fn is_database(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

impl Place {
    /// The place that `--db` names: a path, or the address of a database.
    ///
    /// # Errors
    /// A sentence that does not repeat an address, which holds a password.
    pub fn named(text: &Path) -> Result<Self, String> {
        match text.to_str().filter(|text| is_database(text)) {
            None => Ok(Place::File(text.to_owned())),
            Some(address) => Self::database(address),
        }
    }

    #[cfg(feature = "postgres")]
    fn database(address: &str) -> Result<Self, String> {
        let address = life_agent_observer_postgres::Address::parse(address)?;
        let database = Database { address, direct: None, replica: None, readers: 2 };
        Ok(Place::Database(Box::new(database)))
    }

    #[cfg(not(feature = "postgres"))]
    fn database(_: &str) -> Result<Self, String> {
        Err("this build has no PostgreSQL; build it with the feature `postgres`".to_owned())
    }

    /// The place that an option names, or else the one of the settings.
    pub(crate) fn or(named: Option<&Path>, settings: &Self) -> Result<Self, String> {
        named.map_or_else(|| Ok(settings.clone()), Self::named)
    }

    /// Opens the journal for reading, whether or not a service has it open.
    pub(crate) fn reader(&self) -> Result<Box<dyn Readers>, String> {
        let words = |error: JournalError| error.to_string();
        match self {
            Place::File(path) => Ok(Box::new(SqliteFile::open(path).map_err(words)?)),
            #[cfg(feature = "postgres")]
            Place::Database(database) => {
                let address = database.direct.as_ref().unwrap_or(&database.address).clone();
                let opened = life_agent_observer_postgres::PostgresReader::open(address);
                Ok(Box::new(opened.map_err(words)?))
            }
        }
    }

    /// The file.
    ///
    /// # Errors
    /// `why`, if it is a database.
    pub(crate) fn file(&self, why: &str) -> Result<&Path, String> {
        match self {
            Place::File(path) => Ok(path),
            #[cfg(feature = "postgres")]
            Place::Database(_) => Err(why.to_owned()),
        }
    }

    /// The journal to move.
    pub(crate) fn source(&self) -> Result<Box<dyn TransferSource>, String> {
        let words = |error: JournalError| error.to_string();
        match self {
            Place::File(path) => Ok(Box::new(SqliteSource::open(path).map_err(words)?)),
            #[cfg(feature = "postgres")]
            Place::Database(database) => {
                let source =
                    life_agent_observer_postgres::PostgresSource::open(database.address.clone());
                Ok(Box::new(source.map_err(words)?))
            }
        }
    }

    /// The place to move a journal to.
    pub(crate) fn target(&self) -> Result<Box<dyn TransferTarget>, String> {
        let words = |error: JournalError| error.to_string();
        match self {
            Place::File(path) => Ok(Box::new(SqliteTarget::create(path).map_err(words)?)),
            #[cfg(feature = "postgres")]
            Place::Database(database) => {
                let target =
                    life_agent_observer_postgres::PostgresTarget::create(database.address.clone());
                Ok(Box::new(target.map_err(words)?))
            }
        }
    }

    /// The backend of a service.
    pub(crate) fn backend(&self) -> Chosen {
        match self {
            Place::File(path) => Chosen::File(Sqlite::at(path)),
            #[cfg(feature = "postgres")]
            Place::Database(database) => {
                use life_agent_observer_postgres::{Postgres, PostgresOptions};
                let Database { address, direct, replica, readers } = (**database).clone();
                let options = PostgresOptions { readers, ..PostgresOptions::default() };
                let backend = Postgres::at(address).direct(direct).replica(replica);
                Chosen::Database(Box::new(backend.with(options)))
            }
        }
    }
}

impl fmt::Display for Place {
    /// Without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            #[cfg(feature = "postgres")]
            Place::Database(database) => database.address.fmt(f),
        }
    }
}

/// The backend that the settings choose.
pub(crate) enum Chosen {
    File(Sqlite),
    #[cfg(feature = "postgres")]
    Database(Box<life_agent_observer_postgres::Postgres>),
}

impl Backend for Chosen {
    fn open(self) -> Result<Opened, JournalError> {
        match self {
            Chosen::File(file) => file.open(),
            #[cfg(feature = "postgres")]
            Chosen::Database(database) => database.open(),
        }
    }
}
