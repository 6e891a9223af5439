//! The search index over agents' notes, with SQLite's FTS5 (<https://sqlite.org/fts5.html>).

use std::fmt::Write;

use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{NoteChange, query_words};
use rusqlite::{Connection, params};

/// Applies a step's changes in the open transaction of that step.
pub(crate) fn put(
    connection: &Connection,
    agent: &AgentId,
    change: &NoteChange,
) -> rusqlite::Result<()> {
    let owner = owner(agent.as_str());
    let sql = "DELETE FROM facts WHERE facts MATCH ?1 AND version = ?2";
    let mut delete = connection.prepare_cached(sql)?;
    let owned = format!("owner : {owner}");
    for version in &change.removed {
        delete.execute(params![owned, version])?;
    }
    let sql = "INSERT INTO facts (owner, text, version) VALUES (?1, ?2, ?3)";
    let mut insert = connection.prepare_cached(sql)?;
    for (version, text) in &change.added {
        insert.execute(params![owner, text, version])?;
    }
    Ok(())
}

/// Versions of the notes that match, best match first.
pub(crate) fn search(
    connection: &Connection,
    agent_id: &str,
    query: &str,
    limit: usize,
) -> rusqlite::Result<Vec<u64>> {
    let words = query_words(query);
    if words.is_empty() {
        return Ok(Vec::new());
    }
    // A quoted word holds letters and digits only, so nothing in it acts as an operator.
    let words: Vec<_> = words.iter().map(|word| format!("\"{word}\" *")).collect();
    let matching = format!("owner : {} AND text : ({})", owner(agent_id), words.join(" OR "));
    // Only the text has a weight in the order.
    let sql = "SELECT version FROM facts WHERE facts MATCH ?1
         ORDER BY bm25(facts, 0.0, 1.0), version DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_map(params![matching, limit], |row| row.get(0))?.collect()
}

/// The agent in hex: one word, whatever the id consists of.
pub(crate) fn owner(agent_id: &str) -> String {
    agent_id.bytes().fold("x".to_owned(), |mut hex, byte| {
        // Writing into a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
