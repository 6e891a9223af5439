//! The hash chain: what binds a row to all rows before it.
//!
//! The hash of a row is the SHA-256, in lower-case hex, of these eight texts with a line feed between
//! them (none at the end), in UTF-8:
//!
//! ```text
//! prev_hash  id  ts  kind  agent_id (empty if there is none)  principal  request_id  data
//! ```
//!
//! `prev_hash` is the hash of the row before; 64 zeros for row 1. No field holds a line feed: names
//! cannot, and [`crate::Journal::append`] refuses it elsewhere. So a text with seven line feeds can be
//! taken apart in one way only, and no content can be moved from one column into the next without
//! another hash. The format is this plain so that a stranger can check a row without our code:
//!
//! ```text
//! sqlite3 agent.db "SELECT prev_hash||char(10)||id||char(10)||ts||char(10)||kind||char(10)||
//!   ifnull(agent_id,'')||char(10)||principal||char(10)||request_id||char(10)||data
//!   FROM events WHERE id=7" | head -c -1 | sha256sum     # the same as: SELECT hash ... WHERE id=7
//! ```

use sha2::{Digest, Sha256};

/// The `prev_hash` of row 1.
pub const FIRST_PREV_HASH: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";

/// What of a row is hashed. Bytes, because a row that someone else wrote need not be UTF-8.
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
        // A digest of 32 bytes fills 64 characters: there is nothing that could fail.
        let _ = hex::encode_to_slice(hasher.finalize(), &mut hex);
        hex
    }

    /// [`Link::hash`] as text.
    pub(crate) fn hash_text(&self) -> String {
        std::str::from_utf8(&self.hash()).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
