//! Recomputes the hash chain and reports the first fault.
//!
//! A row that was changed, inserted, removed or moved no longer matches its hash, or the next row no
//! longer matches it. The chain alone cannot show that rows were cut off at the end, or that someone
//! with write access computed a new chain. Both are detected with a head (id and hash) that was kept
//! elsewhere: pass it to [`verify`], and the chain must lead through it.
//!
//! Agents' steps are linked outside of the chain. [`verify`] compares the links and the agents' last
//! steps with the rows.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use life_agent_domain::governance::event::EventKind;
use serde::Serialize;

use crate::chain::Link;
use crate::committed::Head;
use crate::declared::declared_pruned;
use crate::error::{Cause, JournalError};
use crate::store::Read;

/// Rows between two calls of a progress callback.
const PROGRESS_ROWS: u64 = 10_000;

/// The result of verifying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Every row is as it was recorded.
    Whole(Whole),
    /// A row is not. The rows after it were not checked.
    Broken(Broken),
}

/// A chain without a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Whole {
    /// Number of rows that were checked.
    pub rows: u64,
    /// The last of them. Keep it elsewhere.
    pub head: Head,
    /// The last row that retention has removed, if any.
    pub pruned: Option<Head>,
}

/// The first fault of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Id of the row.
    pub row: i64,
    /// The fault.
    pub fault: ChainFault,
    /// Number of rows before it that were checked and are whole.
    pub good: u64,
}

/// A fault of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChainFault {
    /// The content does not match the hash.
    Changed,
    /// The row is missing, and later rows exist.
    Removed,
    /// The row matches its hash but does not follow the previous row.
    Detached,
    /// The id is not possible.
    Inserted,
    /// The journal ends before the row, which is known to have existed.
    CutOff,
    /// The row has another hash than the one kept elsewhere.
    Rewritten,
    /// Retention removed the row, so its hash cannot be compared.
    Pruned,
    /// The row was removed, and the declaration of that is newer than the head kept elsewhere.
    PrunedSince,
    /// The step's link does not match its agent's steps.
    Astray,
    /// The store is damaged there.
    Unreadable,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.row;
        match self.fault {
            ChainFault::Changed => write!(f, "row {row} was changed: it does not match its hash"),
            ChainFault::Removed => write!(f, "row {row} was removed: later rows exist"),
            ChainFault::Detached => write!(
                f,
                "row {row} does not follow the row before it: it was inserted or moved, or the row \
                 before was replaced"
            ),
            ChainFault::Inserted => write!(f, "row {row} was inserted: the id is not possible"),
            ChainFault::CutOff => {
                write!(f, "row {row} was removed: it was recorded, and the journal ends before it")
            }
            ChainFault::Rewritten => write!(
                f,
                "row {row} has another hash than the one kept elsewhere: it was rewritten"
            ),
            ChainFault::Pruned => write!(
                f,
                "row {row} was removed by retention: the head kept elsewhere is too old to compare"
            ),
            ChainFault::PrunedSince => write!(
                f,
                "row {row} was removed after the head kept elsewhere was noted: only the journal itself \
                 says that retention did it; if it did, pass `--allow-pruned-to {row}` and note a newer head"
            ),
            ChainFault::Astray => write!(
                f,
                "row {row} is a step whose link does not match its agent's steps: the agent's last \
                 step, or the link to the step before, was changed"
            ),
            ChainFault::Unreadable => {
                write!(f, "row {row} cannot be read: the file is damaged there")
            }
        }
    }
}

/// A stored text column, as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawText<'a> {
    /// No value.
    Null,
    /// A text, which need not be UTF-8.
    Text(&'a [u8]),
    /// A value of another type, which the journal never stores.
    Other,
}

impl<'a> RawText<'a> {
    fn text(self) -> Option<&'a [u8]> {
        match self {
            RawText::Text(text) => Some(text),
            RawText::Null | RawText::Other => None,
        }
    }
}

/// The stored link from a step to the agent's previous step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawLink {
    /// No link: not a step, or a step from before links existed.
    None,
    /// The previous step's row; 0 for an agent's first step.
    Row(u64),
    /// A value that the journal never stores.
    Other,
}

/// A row as stored, possibly by another program.
#[derive(Debug, Clone, Copy)]
pub struct RawRow<'a> {
    /// The id.
    pub id: i64,
    /// The time.
    pub ts: RawText<'a>,
    /// The kind.
    pub kind: RawText<'a>,
    /// The agent.
    pub agent_id: RawText<'a>,
    /// The principal.
    pub principal: RawText<'a>,
    /// The request.
    pub request_id: RawText<'a>,
    /// The data.
    pub data: RawText<'a>,
    /// The previous row's hash.
    pub prev_hash: RawText<'a>,
    /// The hash.
    pub hash: RawText<'a>,
    /// The link to the agent's previous step.
    pub prev_step: RawLink,
}

impl RawRow<'_> {
    /// The row's `prev_hash` and `hash`, if its content matches the latter.
    fn hashes(&self) -> Option<(String, String)> {
        let agent_id = match self.agent_id {
            RawText::Null => None,
            // No agent has an empty id; in the hash it would look like no agent.
            RawText::Text(agent) if !agent.is_empty() => Some(agent),
            _ => return None,
        };
        let (prev_hash, hash) = (self.prev_hash.text()?, self.hash.text()?);
        let link = Link {
            prev_hash,
            id: u64::try_from(self.id).ok()?,
            ts: self.ts.text()?,
            kind: self.kind.text()?,
            agent_id,
            principal: self.principal.text()?,
            request_id: self.request_id.text()?,
            data: self.data.text()?,
        };
        (link.hash() == hash).then(|| (lossy(prev_hash), lossy(hash)))
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Checks every row of the view, and that the chain leads through `expect_head` if there is one.
/// `progress` receives the number of checked rows and of all rows from time to time.
///
/// # Errors
/// The view cannot be read. A damaged row is a [`Verdict`], not an error.
pub fn verify(
    view: &dyn Read,
    expect_head: Option<&Head>,
    progress: impl FnMut(u64, u64),
) -> Result<Verdict, JournalError> {
    verify_pruned(view, expect_head, 0, progress)
}

/// The same, where rows up to `allow_pruned_to` may have been removed after `expect_head` was noted. A chain
/// cannot prove that retention removed rows: an attacker who can write the store can declare them removed. Declarations
/// up to the head that was kept elsewhere are covered by it.
///
/// # Errors
/// See [`verify`].
pub fn verify_pruned(
    view: &dyn Read,
    expect_head: Option<&Head>,
    allow_pruned_to: u64,
    mut progress: impl FnMut(u64, u64),
) -> Result<Verdict, JournalError> {
    let total = view.count().unwrap_or_default();
    let mut walk = Walk::new(view.pruned()?, expect_head);
    walk.trusted_pruned = allow_pruned_to;
    if let Some(broken) = walk.scan(view, None, |rows| {
        if rows.is_multiple_of(PROGRESS_ROWS) {
            progress(rows, total);
        }
    })? {
        return Ok(Verdict::Broken(broken));
    }
    progress(walk.rows, total);
    walk.finish(view)
}

/// Checks the last `count` rows, which new rows continue. A start can afford that.
///
/// # Errors
/// The sentence with which the start fails.
pub(crate) fn check_tail(view: &dyn Read, count: u64) -> Result<(), Cause> {
    let restore = "restore a backup, or name another file";
    let checked = || {
        let mut walk = Walk::tail();
        if let Some(broken) = walk.scan(view, Some(count), |_| ())? {
            return Ok(Some(broken));
        }
        Ok(match walk.finish(view)? {
            Verdict::Broken(broken) => Some(broken),
            Verdict::Whole(_) => None,
        })
    };
    match checked() {
        Ok(None) => Ok(()),
        Ok(Some(broken)) => Err(format!(
            "{broken}; check the whole journal with `life-agent audit verify`, restore a backup, or \
             name another file"
        )
        .into()),
        Err(JournalError::Damaged(cause) | JournalError::Unavailable(cause)) => {
            Err(Cause::new(format!("{cause}; {restore}"), JournalError::Unavailable(cause.clone())))
        }
        Err(other) => Err(other.to_string().into()),
    }
}

/// The state of a check along the chain.
struct Walk<'e> {
    /// The previous row; `None` before the first.
    last: Option<Head>,
    rows: u64,
    /// Whether the row that comes first is taken as the continuation of rows that are not checked.
    from_anywhere: bool,
    pruned: Option<Head>,
    /// The last row whose removal was declared no later than at the expected head, or is allowed.
    trusted_pruned: u64,
    /// The first row.
    first: Option<u64>,
    expect: Option<&'e Head>,
    expect_met: bool,
    /// The last linked step of each agent so far.
    steps: HashMap<String, u64>,
}

impl<'e> Walk<'e> {
    fn new(pruned: Option<Head>, expect: Option<&'e Head>) -> Self {
        let (steps, from_anywhere) = (HashMap::new(), false);
        let (trusted_pruned, first) = (0, None);
        let (last, rows, expect_met) = (None, 0, false);
        Self { last, rows, from_anywhere, pruned, trusted_pruned, first, expect, expect_met, steps }
    }

    fn tail() -> Self {
        Self { from_anywhere: true, ..Self::new(None, None) }
    }

    fn scan(
        &mut self,
        view: &dyn Read,
        last: Option<u64>,
        mut progress: impl FnMut(u64),
    ) -> Result<Option<Broken>, JournalError> {
        let mut found = None;
        let scanned = view.scan(last, &mut |row| match self.step(row) {
            Ok(()) => {
                progress(self.rows);
                ControlFlow::Continue(())
            }
            Err(broken) => {
                found = Some(broken);
                ControlFlow::Break(())
            }
        });
        match scanned {
            Ok(()) => Ok(found),
            Err(JournalError::Damaged(_)) if last.is_none() => {
                Ok(Some(self.broken(self.next_id(), ChainFault::Unreadable)))
            }
            Err(error) => Err(error),
        }
    }

    fn next_id(&self) -> i64 {
        self.last.as_ref().map_or(1, |last| signed(last.id).saturating_add(1))
    }

    fn broken(&self, row: i64, fault: ChainFault) -> Broken {
        Broken { row, fault, good: self.rows }
    }

    fn step(&mut self, row: &RawRow<'_>) -> Result<(), Broken> {
        let id = match u64::try_from(row.id) {
            Ok(id) if id > 0 => id,
            _ => return Err(self.broken(row.id, ChainFault::Inserted)),
        };
        if std::mem::take(&mut self.from_anywhere) {
            self.last = row.prev_hash.text().map(|hash| Head { id: id - 1, hash: lossy(hash) });
        }
        let before = self.hash_before(id)?;
        let Some((prev_hash, hash)) = row.hashes() else {
            return Err(self.broken(row.id, ChainFault::Changed));
        };
        let follows = before.is_none_or(|before| before == prev_hash);
        // The last row that retention declares removed must be the row that was there.
        let declared = self.pruned.as_ref().filter(|pruned| pruned.id + 1 == id);
        if !follows || declared.is_some_and(|pruned| pruned.hash != prev_hash) {
            return Err(self.broken(row.id, ChainFault::Detached));
        }
        self.compare_expected(id, &prev_hash, &hash)?;
        self.first.get_or_insert(id);
        if self.expect.is_some_and(|expected| id <= expected.id)
            && row.kind == RawText::Text(EventKind::JournalPruned.as_str().as_bytes())
            && let Some(declared) =
                row.data.text().and_then(|data| declared_pruned(id, &lossy(data)))
        {
            self.trusted_pruned = self.trusted_pruned.max(declared.id);
        }
        if !self.link_matches(row, id) {
            return Err(self.broken(row.id, ChainFault::Astray));
        }
        self.last = Some(Head { id, hash });
        self.rows += 1;
        Ok(())
    }

    fn compare_expected(&mut self, id: u64, prev_hash: &str, hash: &str) -> Result<(), Broken> {
        let Some(expected) = self.expect else { return Ok(()) };
        // The head kept elsewhere may be the last row that retention has removed.
        let found = match id {
            id if id == expected.id => hash,
            id if id - 1 == expected.id => prev_hash,
            _ => return Ok(()),
        };
        if found != expected.hash {
            return Err(self.broken(signed(expected.id), ChainFault::Rewritten));
        }
        self.expect_met = true;
        Ok(())
    }

    /// Whether a step links to its agent's previous step. For the first one of a walk, that is unknown.
    fn link_matches(&mut self, row: &RawRow<'_>, id: u64) -> bool {
        let before = match row.prev_step {
            RawLink::None => return true,
            RawLink::Row(before) => before,
            RawLink::Other => return false,
        };
        let Some(agent) = row.agent_id.text() else { return false };
        self.steps.insert(lossy(agent), id).is_none_or(|known| known == before)
    }

    /// The last step that is not its agent's recorded last step.
    fn unknown_step(&self, view: &dyn Read) -> Result<Option<u64>, JournalError> {
        let mut unknown = None;
        for (agent, step) in &self.steps {
            let recorded = view.agent(agent)?.map(|agent| agent.last_event);
            if recorded != Some(*step) {
                unknown = unknown.max(Some(*step));
            }
        }
        Ok(unknown)
    }

    /// The hash that row `id` must name as the previous one; `None` if it is unknown.
    fn hash_before(&self, id: u64) -> Result<Option<String>, Broken> {
        let (expected, hash) = match (&self.last, &self.pruned) {
            (Some(last), _) => (last.id + 1, Some(last.hash.clone())),
            // Rows that are declared removed may still exist: removing them takes a while.
            (None, Some(pruned)) if id <= pruned.id => (id, None),
            (None, Some(pruned)) => (pruned.id + 1, Some(pruned.hash.clone())),
            (None, None) => (1, Some(Head::empty().hash)),
        };
        if id == expected {
            return Ok(hash);
        }
        Err(self.broken(signed(expected), ChainFault::Removed))
    }

    fn finish(self, view: &dyn Read) -> Result<Verdict, JournalError> {
        let head = self.last.clone().unwrap_or_else(Head::empty);
        let expected = self.expect.map_or(0, |expected| expected.id);
        let known = view.last_step()?.max(expected);
        let broken = |row, fault| Ok(Verdict::Broken(self.broken(signed(row), fault)));
        if known > head.id {
            return broken(head.id + 1, ChainFault::CutOff);
        }
        if let Some(step) = self.unknown_step(view)? {
            return broken(step, ChainFault::Astray);
        }
        match self.expect {
            // The head of an empty journal matches every journal.
            Some(expected) if !self.expect_met && *expected != Head::empty() => {
                broken(expected.id, ChainFault::Pruned)
            }
            Some(_) if self.first.is_some_and(|first| first > self.trusted_pruned + 1) => {
                broken(self.first.unwrap_or(1) - 1, ChainFault::PrunedSince)
            }
            _ => Ok(Verdict::Whole(Whole { rows: self.rows, head, pruned: self.pruned.clone() })),
        }
    }
}

fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
