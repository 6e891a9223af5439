//! Session locks of a journal. They end with their connection, so a dead process blocks no other.
//!
//! Every instance shares the journal's lock; a move between stores has it exclusively. What orders the rows of
//! instances is not this lock but that of the table `head`.

use tokio_postgres::types::Type;

use crate::net::{Net, ROUND_TRIP};
use crate::pg_error::PgError;
use crate::session::{Role, Session};

/// Held by every process that has the journal open; the schema follows. Earlier releases held it exclusively.
const JOURNAL_LOCK: &str = "life-agent owner ";
/// Held by the instance that does the work of all.
const LEADER_LOCK: &str = "life-agent leader ";

/// Gets the journal's lock exclusively, for as long as the session lasts.
pub(crate) fn exclusive(net: &Net) -> Result<Session, PgError> {
    let session = net.connect(Role::Locks)?;
    match net.wait(ROUND_TRIP, try_exclusive(&session, net.schema()))? {
        true => Ok(session),
        false => Err(PgError::Other("an instance has the database open; stop it first".to_owned())),
    }
}

pub(crate) async fn try_exclusive(session: &Session, schema: &str) -> Result<bool, PgError> {
    try_lock(session, "pg_try_advisory_lock", JOURNAL_LOCK, schema).await
}

pub(crate) async fn try_shared(session: &Session, schema: &str) -> Result<bool, PgError> {
    try_lock(session, "pg_try_advisory_lock_shared", JOURNAL_LOCK, schema).await
}

/// A session that holds the lock gets it again.
pub(crate) async fn try_lead(session: &Session, schema: &str) -> Result<bool, PgError> {
    try_lock(session, "pg_try_advisory_lock", LEADER_LOCK, schema).await
}

/// Turns the exclusive lock into a shared one.
pub(crate) async fn share(session: &Session, schema: &str) -> Result<(), PgError> {
    for call in ["pg_advisory_lock_shared", "pg_advisory_unlock"] {
        let sql = format!("SELECT {call}(hashtextextended($1, 0))");
        let name = format!("{JOURNAL_LOCK}{schema}");
        session.query(&sql, vec![(&name, Type::TEXT)]).await?;
    }
    Ok(())
}

/// Gives all locks of the session back.
pub(crate) async fn release(session: &Session) -> Result<(), PgError> {
    session.query("SELECT pg_advisory_unlock_all()", vec![]).await.map(drop)
}

async fn try_lock(
    session: &Session,
    call: &str,
    name: &str,
    schema: &str,
) -> Result<bool, PgError> {
    let sql = format!("SELECT {call}(hashtextextended($1, 0))");
    let name = format!("{name}{schema}");
    let rows = session.query(&sql, vec![(&name, Type::TEXT)]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}
