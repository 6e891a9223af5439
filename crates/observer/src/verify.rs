//! Recomputes the hash chain and says where it first breaks.
//!
//! What a chain can and cannot show: a row that was changed, inserted, removed or moved no longer fits
//! its hash, or the row after it no longer fits it. Rows cut off at the end leave a whole, shorter
//! chain, and whoever can write the file can compute a new one. Against both helps only a head (number
//! and hash) that was kept elsewhere: hand it in, and the chain must lead through it.

use std::collections::HashMap;
use std::fmt;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::chain::{FIRST_PREV_HASH, Link};
use crate::error::JournalError;
use crate::read::Reader;
use crate::retention;
use crate::work::Head;

/// Rows between two calls of a progress callback.
const PROGRESS_ROWS: u64 = 10_000;

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Every row fits.
    Whole(Whole),
    /// One does not; what follows it was not looked at.
    Broken(Broken),
}

/// A chain without a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Whole {
    /// How many rows were checked.
    pub rows: u64,
    /// The last of them: worth keeping elsewhere.
    pub head: Head,
    /// The last row that retention has removed, if it has removed any.
    pub pruned: Option<Head>,
}

/// The first fault of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The number of the row.
    pub row: i64,
    /// What is wrong with it.
    pub fault: Fault,
    /// How many rows before it were checked and fit.
    pub good: u64,
}

/// What can be wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Its content does not fit its hash.
    Changed,
    /// It is not there, although later rows are.
    Removed,
    /// It fits its own hash and does not follow the row before.
    Detached,
    /// It has a number that no row can have.
    Inserted,
    /// The journal ends before it, although it is known to have been there.
    CutOff,
    /// It is there with another hash than the one kept elsewhere.
    Rewritten,
    /// It was removed by retention, so that the hash kept elsewhere cannot be compared.
    Pruned,
    /// It is a step that those of its agent do not lead to.
    Astray,
    /// The file itself is damaged there.
    Unreadable,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.row;
        match self.fault {
            Fault::Changed => write!(f, "row {row} was changed: it does not fit its hash"),
            Fault::Removed => write!(f, "row {row} was removed: later rows are there, it is not"),
            Fault::Detached => write!(
                f,
                "row {row} does not follow the row before it: it was inserted or moved, or the row \
                 before was replaced"
            ),
            Fault::Inserted => write!(f, "row {row} was inserted: no row has such a number"),
            Fault::CutOff => {
                write!(f, "row {row} was removed: it was recorded, and the journal ends before it")
            }
            Fault::Rewritten => {
                write!(
                    f,
                    "row {row} has another hash than the one kept elsewhere: it was rewritten"
                )
            }
            Fault::Pruned => write!(
                f,
                "row {row} was removed by retention: the head kept elsewhere is too old to compare"
            ),
            Fault::Astray => write!(
                f,
                "row {row} is a step that those of its agent do not lead to: where the agent stands, \
                 or where its step before is, was changed"
            ),
            Fault::Unreadable => write!(f, "row {row} cannot be read: the file is damaged there"),
        }
    }
}

impl Reader {
    /// Checks every row, and that the chain leads through `expect_head` if there is one. `progress`
    /// hears now and then how many rows are done, and how many there are.
    pub fn verify(
        &self,
        expect_head: Option<&Head>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Verdict, JournalError> {
        // One view of the file from the first row to the last, however much is appended meanwhile.
        let _view = self.unchecked_transaction()?;
        let total = self.query_row("SELECT count(*) FROM events", [], |row| row.get(0));
        let total = total.unwrap_or_default();
        let pruned = retention::checkpoint(self)?;
        let mut walk = Walk::new(pruned, expect_head);
        let mut statement = self.prepare(&format!("{SELECT} ORDER BY id"))?;
        let mut rows = statement.query([])?;
        loop {
            match rows.next() {
                Ok(None) => break,
                Ok(Some(row)) => {
                    if let Err(broken) = walk.step(row)? {
                        return Ok(Verdict::Broken(broken));
                    }
                }
                Err(error) if is_damage(&error) => {
                    return Ok(Verdict::Broken(walk.broken(walk.next_id(), Fault::Unreadable)));
                }
                Err(error) => return Err(error.into()),
            }
            if walk.rows.is_multiple_of(PROGRESS_ROWS) {
                progress(walk.rows, total);
            }
        }
        progress(walk.rows, total);
        walk.end(self)
    }
}

/// Checks the last `count` rows: that is what a start can afford, and what new rows are chained to.
pub(crate) fn tail(
    connection: &Connection,
    count: u64,
) -> Result<Result<(), Broken>, JournalError> {
    let sql = format!("{SELECT} WHERE id > (SELECT max(id) FROM events) - ?1 ORDER BY id");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params![count])?;
    let mut walk: Option<Walk<'_>> = None;
    while let Some(row) = rows.next()? {
        let walk = match &mut walk {
            Some(walk) => walk,
            none => none.insert(Walk::from(row)?),
        };
        if let Err(broken) = walk.step(row)? {
            return Ok(Err(broken));
        }
    }
    let walk = walk.unwrap_or_else(|| Walk::new(None, None));
    match walk.end(connection)? {
        Verdict::Broken(broken) => Ok(Err(broken)),
        Verdict::Whole(_) => Ok(Ok(())),
    }
}

const SELECT: &str = "SELECT id, ts, kind, agent_id, principal, request_id, data, prev_hash, hash,
    prev_step FROM events";

/// The latest row that an agent's record knows of: it must be there, or be pruned.
fn last_known_step(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT ifnull(max(last_event), 0) FROM agents", [], |row| row.get(0))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// The way along the chain.
struct Walk<'e> {
    /// The row before the next one; none before the first.
    last: Option<Head>,
    rows: u64,
    pruned: Option<Head>,
    expect: Option<&'e Head>,
    expect_met: bool,
    /// The last step of each agent on the way, of those that say where the step before is.
    steps: HashMap<String, u64>,
}

impl<'e> Walk<'e> {
    fn new(pruned: Option<Head>, expect: Option<&'e Head>) -> Self {
        let steps = HashMap::new();
        Self { last: None, rows: 0, pruned, expect, expect_met: false, steps }
    }

    /// A walk that takes for granted what comes before this row.
    fn from(row: &Row<'_>) -> rusqlite::Result<Self> {
        let id = row.get::<_, i64>(0)?;
        let hash = text(row, 7)?.map(|hash| String::from_utf8_lossy(hash).into_owned());
        let before = u64::try_from(id).ok().zip(hash).filter(|(id, _)| *id > 0);
        let last = before.map(|(id, hash)| Head { id: id - 1, hash });
        Ok(Self { last, ..Self::new(None, None) })
    }

    fn next_id(&self) -> i64 {
        self.last.as_ref().map_or(1, |last| i64::try_from(last.id).unwrap_or(i64::MAX - 1) + 1)
    }

    fn broken(&self, row: i64, fault: Fault) -> Broken {
        Broken { row, fault, good: self.rows }
    }

    fn step(&mut self, row: &Row<'_>) -> Result<Result<(), Broken>, JournalError> {
        let signed: i64 = row.get(0)?;
        let id = match u64::try_from(signed) {
            Ok(id) if id > 0 => id,
            _ => return Ok(Err(self.broken(signed, Fault::Inserted))),
        };
        let before = match self.before(id) {
            Ok(before) => before,
            Err(broken) => return Ok(Err(broken)),
        };
        let Some((prev_hash, hash)) = fitting(row, id)? else {
            return Ok(Err(self.broken(signed, Fault::Changed)));
        };
        let followed = before.is_none_or(|before| before == prev_hash);
        // What retention says it removed up to here must be what was here.
        let declared = self.pruned.as_ref().filter(|pruned| pruned.id + 1 == id);
        if !followed || declared.is_some_and(|pruned| pruned.hash != prev_hash) {
            return Ok(Err(self.broken(signed, Fault::Detached)));
        }
        if let Some(expected) = self.expect {
            // The head kept elsewhere may be the last row that retention has removed.
            let (met, there) = match id {
                id if id == expected.id => (true, &hash),
                id if id - 1 == expected.id => (true, &prev_hash),
                _ => (false, &hash),
            };
            if met && *there != expected.hash {
                let row = i64::try_from(expected.id).unwrap_or(i64::MAX);
                return Ok(Err(self.broken(row, Fault::Rewritten)));
            }
            self.expect_met |= met;
        }
        if !self.leads_to(row, id)? {
            return Ok(Err(self.broken(signed, Fault::Astray)));
        }
        self.last = Some(Head { id, hash });
        self.rows += 1;
        Ok(Ok(()))
    }

    /// Whether a step says rightly where its agent's step before is. Nothing chains that; of the first on the
    /// way nobody can know.
    fn leads_to(&mut self, row: &Row<'_>, id: u64) -> rusqlite::Result<bool> {
        let before = match row.get_ref(9)? {
            ValueRef::Null => return Ok(true),
            ValueRef::Integer(before) => u64::try_from(before).ok(),
            _ => None,
        };
        let (Some(agent), Some(before)) = (text(row, 3)?, before) else { return Ok(false) };
        let agent = String::from_utf8_lossy(agent).into_owned();
        Ok(self.steps.insert(agent, id).is_none_or(|known| known == before))
    }

    /// A step that its agent's record does not know of.
    fn unknown_step(&self, connection: &Connection) -> rusqlite::Result<Option<u64>> {
        let sql = "SELECT last_event FROM agents WHERE agent_id = ?1";
        let mut stands = connection.prepare(sql)?;
        let mut unknown = None;
        for (agent, step) in &self.steps {
            let stands: Option<u64> = stands.query_row([agent], |row| row.get(0)).optional()?;
            if stands != Some(*step) {
                unknown = unknown.max(Some(*step));
            }
        }
        Ok(unknown)
    }

    /// The hash that row `id` must name as the one before it; none if nobody can know.
    fn before(&self, id: u64) -> Result<Option<String>, Broken> {
        let (expected, hash) = match (&self.last, &self.pruned) {
            (Some(last), _) => (last.id + 1, Some(last.hash.clone())),
            // Rows that are declared removed may still be there: removing them takes a while.
            (None, Some(pruned)) if id <= pruned.id => (id, None),
            (None, Some(pruned)) => (pruned.id + 1, Some(pruned.hash.clone())),
            (None, None) => (1, Some(FIRST_PREV_HASH.to_owned())),
        };
        if id == expected {
            return Ok(hash);
        }
        Err(self.broken(i64::try_from(expected).unwrap_or(i64::MAX), Fault::Removed))
    }

    /// What there is to say at the end of the way through `connection`'s rows.
    fn end(self, connection: &Connection) -> Result<Verdict, JournalError> {
        let empty = || Head { id: 0, hash: FIRST_PREV_HASH.to_owned() };
        let head = self.last.clone().unwrap_or_else(empty);
        let expected = self.expect.map_or(0, |expected| expected.id);
        let known = last_known_step(connection)?.max(expected);
        let broken = |row: u64, fault| {
            Ok(Verdict::Broken(self.broken(i64::try_from(row).unwrap_or(i64::MAX), fault)))
        };
        if known > head.id {
            return broken(head.id + 1, Fault::CutOff);
        }
        if let Some(step) = self.unknown_step(connection)? {
            return broken(step, Fault::Astray);
        }
        match self.expect {
            // The head of an empty journal proves nothing and contradicts nothing.
            Some(expected) if !self.expect_met && *expected != empty() => {
                broken(expected.id, Fault::Pruned)
            }
            _ => Ok(Verdict::Whole(Whole { rows: self.rows, head, pruned: self.pruned.clone() })),
        }
    }
}

/// The row's `prev_hash` and `hash`, if its content fits the latter.
fn fitting(row: &Row<'_>, id: u64) -> rusqlite::Result<Option<(String, String)>> {
    let (Some(ts), Some(kind)) = (text(row, 1)?, text(row, 2)?) else { return Ok(None) };
    let agent_id = match row.get_ref(3)? {
        ValueRef::Null => None,
        // No agent has an empty name; in the hash it would look like no agent.
        ValueRef::Text(agent) if !agent.is_empty() => Some(agent),
        _ => return Ok(None),
    };
    let (Some(principal), Some(request_id)) = (text(row, 4)?, text(row, 5)?) else {
        return Ok(None);
    };
    let (Some(data), Some(prev_hash), Some(hash)) = (text(row, 6)?, text(row, 7)?, text(row, 8)?)
    else {
        return Ok(None);
    };
    let link = Link { prev_hash, id, ts, kind, agent_id, principal, request_id, data };
    let owned = |hash: &[u8]| String::from_utf8_lossy(hash).into_owned();
    Ok((link.hash() == hash).then(|| (owned(prev_hash), owned(hash))))
}

fn text<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<Option<&'r [u8]>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(text) => Some(text),
        _ => None,
    })
}

/// The sentence with which a start on a broken tail ends.
pub(crate) fn check_tail(connection: &Connection, count: u64) -> Result<(), String> {
    match tail(connection, count) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(broken)) => Err(format!(
            "{broken}; look at the whole with `life-agent audit verify`, restore a backup, or name \
             another file"
        )),
        Err(JournalError::Damaged(why) | JournalError::Unavailable(why)) => {
            Err(format!("{why}; restore a backup, or name another file"))
        }
        Err(other) => Err(other.to_string()),
    }
}
