//! The hash chain: each row's hash covers all rows before it.
//!
//! The hash of a row is the SHA-256, in lower-case hex, of these eight texts in UTF-8, separated by a
//! line feed, with none at the end:
//!
//! ```text
//! prev_hash  id  ts  kind  agent_id (empty if there is none)  principal  request_id  data
//! ```
//!
//! `prev_hash` is the hash of the previous row; 64 zeros for row 1. No field contains a line feed:
//! names cannot, and [`crate::Journal::append`] refuses one elsewhere. A text with seven line feeds can
//! therefore be split in one way only, and content cannot move from one column to the next without
//! changing the hash. Anyone can check a row without this code:
//!
//! ```text
//! sqlite3 agent.db "SELECT prev_hash||char(10)||id||char(10)||ts||char(10)||kind||char(10)||
//!   ifnull(agent_id,'')||char(10)||principal||char(10)||request_id||char(10)||data
//!   FROM journal WHERE id=7" | head -c -1 | sha256sum     # the same as: SELECT hash ... WHERE id=7
//! ```

use jiff::{SignedDuration, Timestamp};
use life_agent_domain::governance::event::{Entry, Row};
use sha2::{Digest, Sha256};

use crate::committed::Head;

/// How far a clock may be set back before the times of rows follow it.
const SET_BACK: SignedDuration = SignedDuration::from_hours(1);

/// The `prev_hash` of row 1.
pub const FIRST_PREV_HASH: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";

/// The hashed fields of a row, as bytes: a row that another program wrote need not be UTF-8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link<'a> {
    pub(crate) prev_hash: &'a [u8],
    pub(crate) id: u64,
    pub(crate) ts: &'a [u8],
    pub(crate) kind: &'a [u8],
    pub(crate) agent_id: Option<&'a [u8]>,
    pub(crate) principal: &'a [u8],
    pub(crate) request_id: &'a [u8],
    pub(crate) data: &'a [u8],
}

impl Link<'_> {
    /// Lower-case hex.
    pub(crate) fn hash(&self) -> [u8; 64] {
        let mut hasher = Sha256::new();
        hasher.update(self.prev_hash);
        hasher.update(b"\n");
        hasher.update(self.id.to_string().as_bytes());
        let agent_id = self.agent_id.unwrap_or_default();
        for field in [self.ts, self.kind, agent_id, self.principal, self.request_id, self.data] {
            hasher.update(b"\n");
            hasher.update(field);
        }
        let mut hex = [b'0'; 64];
        // 32 bytes always fill 64 characters.
        let _ = hex::encode_to_slice(hasher.finalize(), &mut hex);
        hex
    }

    /// [`Link::hash`] as text.
    pub(crate) fn hash_text(&self) -> String {
        std::str::from_utf8(&self.hash()).unwrap_or_default().to_owned()
    }
}

/// The end of the chain, from which new rows continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// The last row.
    pub head: Head,
    /// Its time: RFC 3339, UTC, microseconds; empty for an empty journal.
    pub ts: String,
}

impl Tip {
    /// The end of an empty chain.
    pub fn empty() -> Self {
        Self { head: Head::empty(), ts: String::new() }
    }

    /// Sets the time of the following rows. A clock that was set back a little does not make rows older than
    /// the ones before them. One that was set back by more than an hour was wrong before or is wrong now: the
    /// rows follow it, so that times do not stand still, and both readings are in the rows around the jump.
    /// Returns the time before such a jump.
    pub fn advance(&mut self, now: String) -> Option<String> {
        if now > self.ts {
            self.ts = now;
            return None;
        }
        let (last, reading) = (self.ts.parse::<Timestamp>().ok()?, now.parse::<Timestamp>().ok()?);
        let is_jump = last.duration_since(reading) > SET_BACK;
        is_jump.then(|| std::mem::replace(&mut self.ts, now))
    }

    /// Turns an entry into the next row and moves the tip to it.
    pub fn seal(&mut self, entry: Entry) -> Row {
        let id = self.head.id + 1;
        let agent_id: Option<String> = entry.agent.map(String::from);
        let kind = entry.kind.as_str();
        let hash = Link {
            prev_hash: self.head.hash.as_bytes(),
            id,
            ts: self.ts.as_bytes(),
            kind: kind.as_bytes(),
            agent_id: agent_id.as_deref().map(str::as_bytes),
            principal: entry.principal.as_bytes(),
            request_id: entry.request_id.as_bytes(),
            data: entry.data.get().as_bytes(),
        }
        .hash_text();
        let prev = std::mem::replace(&mut self.head, Head { id, hash: hash.clone() });
        Row {
            id,
            ts: self.ts.clone(),
            kind: kind.to_owned(),
            agent_id,
            principal: entry.principal,
            request_id: entry.request_id,
            data: entry.data,
            prev_hash: prev.hash,
            hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_neither_run_back_a_little_nor_stand_still_after_a_jump() {
        let time = |text: &str| format!("{text}.000000Z");
        let mut tip = Tip::empty();
        for (reading, ts, jumped) in [
            ("2026-11-28T10:00:00", "2026-11-28T10:00:00", false),
            ("2026-11-28T09:30:00", "2026-11-28T10:00:00", false),
            // A start with a wrong clock, and the right time again.
            ("2046-11-28T10:00:00", "2046-11-28T10:00:00", false),
            ("2026-11-28T10:00:01", "2026-11-28T10:00:01", true),
            ("2026-11-28T10:00:02", "2026-11-28T10:00:02", false),
        ] {
            assert_eq!(tip.advance(time(reading)).is_some(), jumped, "{reading}");
            assert_eq!(tip.ts, time(ts), "{reading}");
        }
    }

    #[test]
    fn the_hash_of_a_row_never_changes() {
        // printf '%s\n1\n2026-01-02T03:04:05.000006Z\nobs.act\na\nkey\nr1\n{}' 000…0 | sha256sum
        let link = Link {
            prev_hash: FIRST_PREV_HASH.as_bytes(),
            id: 1,
            ts: b"2026-01-02T03:04:05.000006Z",
            kind: b"obs.act",
            agent_id: Some(b"a"),
            principal: b"key",
            request_id: b"r1",
            data: b"{}",
        };
        assert_eq!(
            link.hash_text(),
            "bf0edfc96b703653d3837c8da8c8038798cafeb920da59eaf812be46ddaee53c"
        );
        assert_ne!(link.hash(), Link { agent_id: None, ..link }.hash());
    }
}
