//! Texts that rows share, each with the number of its uses.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use life_agent_observer::{JournalError, StoredText, TextId, TextKind, TextVisitor, roots_of};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::pg_error::PgError;
use crate::session::Session;
use crate::view::View;
use crate::writes::Write;

/// Those of the texts that are stored.
pub(crate) const KNOWN: &str = "SELECT digest FROM texts WHERE digest = ANY($1)";
/// Texts of one response, of up to this many bytes.
const PAGE: &str = "SELECT digest, is_item, body FROM (
        SELECT *, sum(octet_length(body)) OVER (ORDER BY digest) - octet_length(body) AS before
        FROM (SELECT * FROM texts WHERE digest > $1 ORDER BY digest LIMIT 1024) AS selected) AS summed
    WHERE before <= 4194304 ORDER BY digest";
/// Rounds of one call that removes texts; the next call goes on.
const ROUNDS: usize = 256;

/// Stores a new text with its first use.
pub(crate) fn insert(id: &TextId, text: &StoredText) -> Write {
    let sql = "INSERT INTO texts (digest, is_item, body, uses) VALUES ($1, $2, $3, 1)";
    let write = Write::new(sql).value(id.as_bytes().to_vec(), Type::BYTEA);
    let write = write.value(text.kind == TextKind::Item, Type::BOOL);
    write.value(text.body.clone().into_bytes(), Type::BYTEA)
}

/// Counts one more use of a text.
pub(crate) fn used(id: &TextId) -> Write {
    let sql = "UPDATE texts SET uses = uses + 1 WHERE digest = $1";
    Write::new(sql).value(id.as_bytes().to_vec(), Type::BYTEA)
}

/// Takes back the uses by removed rows and removes what is not used any more, which may in turn use other texts.
/// Returns whether everything is removed.
pub(crate) async fn forget(session: &Session, removed: &[String]) -> Result<bool, PgError> {
    let mut parts: Vec<TextId> = removed.iter().flat_map(|data| roots_of(data)).collect();
    let remove = "DELETE FROM texts
        WHERE digest IN (SELECT digest FROM texts WHERE uses <= 0 LIMIT 1000) RETURNING is_item, body";
    for _ in 0..ROUNDS {
        take_back(session, &parts).await?;
        let rows = session.query(remove, vec![]).await?;
        if rows.is_empty() {
            return Ok(true);
        }
        parts.clear();
        for row in &rows {
            parts.extend(stored(row, 0)?.parts());
        }
    }
    take_back(session, &parts).await?;
    Ok(false)
}

async fn take_back(session: &Session, parts: &[TextId]) -> Result<(), PgError> {
    if parts.is_empty() {
        return Ok(());
    }
    let mut counts: BTreeMap<&[u8], i64> = BTreeMap::new();
    for id in parts {
        *counts.entry(id.as_bytes()).or_default() += 1;
    }
    let (digests, counts): (Vec<&[u8]>, Vec<i64>) = counts.into_iter().unzip();
    let sql = "UPDATE texts SET uses = uses - gone.count
        FROM unnest($1::bytea[], $2::int8[]) AS gone (digest, count) WHERE texts.digest = gone.digest";
    let values = vec![(&digests as _, Type::BYTEA_ARRAY), (&counts as _, Type::INT8_ARRAY)];
    session.query(sql, values).await.map(drop)
}

/// One text.
pub(crate) fn find(view: &View<'_>, id: &TextId) -> Result<Option<StoredText>, JournalError> {
    let digest = id.as_bytes().as_slice();
    let sql = "SELECT is_item, body FROM texts WHERE digest = $1";
    let rows = view.query(sql, vec![(&digest as _, Type::BYTEA)])?;
    rows.first().map(|row| stored(row, 0)).transpose().map_err(PgError::of_read)
}

/// Visits all texts.
pub(crate) fn visit(view: &View<'_>, visit: &mut TextVisitor<'_>) -> Result<(), JournalError> {
    let mut after: Vec<u8> = Vec::new();
    loop {
        let rows = view.query(PAGE, vec![(&after as _, Type::BYTEA)])?;
        let Some(last) = rows.last() else { return Ok(()) };
        let of_read = |error: tokio_postgres::Error| PgError::from(error).of_read();
        after = last.try_get(0).map_err(of_read)?;
        for row in &rows {
            let (digest, body): (&[u8], &[u8]) =
                (row.try_get(0).map_err(of_read)?, row.try_get(2).map_err(of_read)?);
            let is_item = row.try_get(1).map_err(of_read)?;
            if visit(digest, kind(is_item), body) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
    }
}

fn stored(row: &Row, column: usize) -> Result<StoredText, PgError> {
    let body: &[u8] = row.try_get(column + 1)?;
    let body = String::from_utf8_lossy(body).into_owned();
    Ok(StoredText { kind: kind(row.try_get(column)?), body })
}

fn kind(is_item: bool) -> TextKind {
    if is_item { TextKind::Item } else { TextKind::Text }
}
