//! The life-agent journal in a PostgreSQL database, version 15 or later.
//!
//! [`Postgres`] is a [`Backend`](life_agent_observer::Backend): pass it to
//! [`Journal::open`](life_agent_observer::Journal::open). With [`Postgres::several`], any number of instances append to one
//! chain; else one instance appends at a time. A session lock then keeps a
//! second one out, and an id in the table `head`, compared under the lock of its row before every group, keeps out
//! an instance that lost its connection. [`PostgresReader`] reads a journal whether or not a service has it open.
//!
//! A group takes two round trips: one locks the head and reads what the preconditions need, the other writes and
//! commits. If the response to a commit is lost, the head decides whether the group was stored.
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
mod net;
mod owner;
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
