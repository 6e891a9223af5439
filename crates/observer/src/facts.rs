//! The search index over what agents keep in mind, with SQLite's FTS5 (<https://sqlite.org/fts5.html>).

use std::fmt::Write;

use life_agent_domain::governance::ids::AgentId;
use rusqlite::{Connection, params};

use crate::error::JournalError;
use crate::read::Reader;

/// Words of a query beyond these are not looked for.
const MAX_WORDS: usize = 16;
/// Longest word that is looked for, in characters.
const MAX_WORD: usize = 64;

/// What a step changes in the facts of its agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactChange {
    /// New ones: their versions and texts.
    pub kept: Vec<(u64, String)>,
    /// The versions of those that are no more.
    pub forgotten: Vec<u64>,
}

/// Brings the index up to a step, in the open transaction of that step.
pub(crate) fn put(
    connection: &Connection,
    agent: &AgentId,
    change: &FactChange,
) -> rusqlite::Result<()> {
    let owner = owner(agent.as_str());
    let sql = "DELETE FROM facts WHERE facts MATCH ?1 AND version = ?2";
    let mut forget = connection.prepare_cached(sql)?;
    let owned = format!("owner : {owner}");
    for version in &change.forgotten {
        forget.execute(params![owned, version])?;
    }
    let sql = "INSERT INTO facts (owner, text, version) VALUES (?1, ?2, ?3)";
    let mut keep = connection.prepare_cached(sql)?;
    for (version, text) in &change.kept {
        keep.execute(params![owner, text, version])?;
    }
    Ok(())
}

impl Reader {
    /// The versions of up to `limit` facts of an agent that hold a word beginning like one of the
    /// query's, the best fit first.
    pub fn search_facts(
        &self,
        agent_id: &str,
        query: &str,
        limit: usize,
    ) -> Result<Vec<u64>, JournalError> {
        let Some(words) = words(query) else { return Ok(Vec::new()) };
        let asked = format!("owner : {} AND text : ({words})", owner(agent_id));
        // Only the text has a say in the order.
        let sql = "SELECT version FROM facts WHERE facts MATCH ?1
             ORDER BY bm25(facts, 0.0, 1.0), version DESC LIMIT ?2";
        let mut statement = self.prepare_cached(sql)?;
        let found = statement.query_map(params![asked, limit], |row| row.get(0))?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

fn owner(agent_id: &str) -> String {
    agent_id.bytes().fold("x".to_owned(), |mut hex, byte| {
        // Writing into a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A query in FTS5's language for any of the words of a text. A word is letters and digits alone, and
/// quoted: nothing that a caller writes is an operator.
fn words(query: &str) -> Option<String> {
    let words = query.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let word = |word: &str| {
        let short: String = word.chars().take(MAX_WORD).collect();
        format!("\"{short}\" *")
    };
    let words: Vec<_> = words.take(MAX_WORDS).map(word).collect();
    (!words.is_empty()).then(|| words.join(" OR "))
}
