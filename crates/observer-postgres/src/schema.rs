//! The tables, and the migrations from earlier versions.

use std::time::Duration;

use tokio_postgres::types::Type;

use crate::net::Net;
use crate::pg_error::PgError;
use crate::session::Session;

/// Migration n leads from schema n to schema n + 1. Append only: existing databases have run the others.
const MIGRATIONS: [&str; 3] =
    [include_str!("schema/1.sql"), include_str!("schema/2.sql"), include_str!("schema/3.sql")];

/// The schema of this build.
const VERSION: usize = MIGRATIONS.len();

/// The oldest server version, as `server_version_num` reports it.
const MIN_SERVER: i32 = 150_000;

/// A migration of many rows takes a while.
const MIGRATION: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_secs(10);

/// Refuses a server on which rows would not be durable or could not be stored. The error states the remedy.
pub(crate) fn check_server(net: &Net, session: &Session) -> Result<(), PgError> {
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('fsync'),
        current_setting('full_page_writes'), current_setting('server_encoding'), pg_is_in_recovery()";
    let rows = net.wait(SHORT, session.query(sql, vec![]))?;
    let refused = |why: &str| Err(PgError::Other(why.to_owned()));
    let Some(row) = rows.first() else { return refused("the server returned nothing") };
    if row.try_get::<_, i32>(0)? < MIN_SERVER {
        return refused("PostgreSQL 15 or later is needed");
    }
    if row.try_get::<_, &str>(1)? != "on" || row.try_get::<_, &str>(2)? != "on" {
        return refused(
            "the server runs with `fsync=off` or `full_page_writes=off`: answered rows would not survive a \
             crash; turn both on",
        );
    }
    if row.try_get::<_, &str>(3)? != "UTF8" {
        return refused(
            "the database's encoding is not UTF8; create the database with `ENCODING 'UTF8'`",
        );
    }
    if row.try_get::<_, bool>(4)? {
        return refused("the server is a read-only standby; name the primary");
    }
    Ok(())
}

/// The schema version that the database holds; 0 if there is no journal.
pub(crate) fn found(net: &Net, session: &Session) -> Result<usize, PgError> {
    let sql = "SELECT c.relname::text FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1 LIMIT 100";
    let schema = net.schema();
    let rows = net.wait(SHORT, session.query(sql, vec![(&schema, Type::TEXT)]))?;
    let tables: Vec<String> =
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, tokio_postgres::Error>>()?;
    if tables.is_empty() {
        return Ok(0);
    }
    if !tables.iter().any(|table| table == "journal_version") {
        let shown = tables.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(PgError::Other(format!(
            "the schema `{schema}` belongs to another program (tables: {shown}); name another database, it was left \
             as it is"
        )));
    }
    let rows = net.wait(SHORT, session.query("SELECT version FROM journal_version", vec![]))?;
    let version = rows.first().map(|row| row.try_get::<_, i32>(0)).transpose()?.unwrap_or_default();
    let version = usize::try_from(version).unwrap_or_default();
    if version == 0 || version > VERSION {
        return Err(PgError::Other(format!(
            "it was written by a newer version (schema {version}, this one knows {VERSION}); start that version, or \
             name another database"
        )));
    }
    Ok(version)
}

/// Fails unless the database holds a journal of this build's schema.
pub(crate) fn require_current(net: &Net, session: &Session) -> Result<(), PgError> {
    match found(net, session)? {
        0 => Err(PgError::Other("it holds no journal".to_owned())),
        VERSION => Ok(()),
        _ => Err(PgError::Other("its schema is older; start the service on it once".to_owned())),
    }
}

/// Runs the missing migrations, all or none. Two instances that start together run them once.
pub(crate) fn migrate(net: &Net, session: &Session) -> Result<(), PgError> {
    let from = found(net, session)?;
    if from == VERSION {
        return Ok(());
    }
    if from > 0 {
        tracing::info!(from, to = VERSION, "migrating the journal; a large one takes a while");
    }
    let schema = net.schema();
    let run = async {
        session.begin().await?;
        session.batch("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'").await?;
        let lock =
            "SELECT pg_advisory_xact_lock(hashtextextended('life-agent migration ' || $1, 0))";
        session.query(lock, vec![(&schema, Type::TEXT)]).await?;
        let create = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema};
             CREATE TABLE IF NOT EXISTS journal_version (version int NOT NULL)"
        );
        session.batch(&create).await?;
        let rows = session.query("SELECT version FROM journal_version", vec![]).await?;
        let from = rows.first().map(|row| row.try_get::<_, i32>(0)).transpose()?;
        for migration in MIGRATIONS.iter().skip(usize::try_from(from.unwrap_or(0)).unwrap_or(0)) {
            session.batch(migration).await?;
        }
        let stored = format!(
            "DELETE FROM journal_version; INSERT INTO journal_version VALUES ({VERSION}); COMMIT"
        );
        session.batch(&stored).await?;
        Ok(())
    };
    net.wait(MIGRATION, run)
}

/// A trigger or rule on the journal's tables, which could change rows.
pub(crate) fn foreign_code(net: &Net, session: &Session) -> Result<Option<String>, PgError> {
    let sql = "SELECT t.tgname::text FROM pg_catalog.pg_trigger t
        JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND NOT t.tgisinternal
        UNION ALL SELECT r.rulename::text FROM pg_catalog.pg_rules r
        WHERE r.schemaname = $1 ORDER BY 1 LIMIT 1";
    let schema = net.schema();
    let rows = net.wait(SHORT, session.query(sql, vec![(&schema, Type::TEXT)]))?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}
