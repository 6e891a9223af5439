//! The life-agent journal in a PostgreSQL database, version 15 or later.
//!
//! [`Postgres`] is a [`Backend`](life_agent_observer::Backend): pass it to
//! [`Journal::open`](life_agent_observer::Journal::open). Any number of instances append to one chain: the row of the table
//! `head` is locked for each group, so the order of the locks is the order of the rows. [`PostgresReader`] reads a journal
//! whether or not a service has it open.
//!
//! A group takes two round trips: one locks the head and reads the rows of other instances and what the preconditions
//! need, the other writes and commits. If the response to a commit is lost, the journal decides whether the group was
//! stored.
//!
//! # Example
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use life_agent_observer::{Journal, Options};
//! use life_agent_observer_postgres::{Address, Postgres};
//!
//! let address = Address::parse("postgres://life_agent@db.example/record")?;
//! let journal = Journal::open(Postgres::at(address), Options::default())?;
//! # drop(journal);
//! # Ok(())
//! # }
//! ```

mod address;
mod agent_history;
mod backend;
mod bell;
mod expiry;
mod group;
mod insert;
mod jobs;
mod known;
mod locks;
mod net;
mod page;
mod pg_error;
mod reader;
mod records;
mod replica;
mod scan;
mod schema;
mod search;
mod session;
mod shared;
mod store;
mod stored;
#[cfg(feature = "testing")]
pub mod testing;
mod texts;
mod tls;
mod transfer;
mod view;
mod writes;

pub use address::Address;
pub use backend::{Postgres, PostgresOptions, PostgresReader};
pub use transfer::{PostgresSource, PostgresTarget};
