//! The journal's guarantees, checked independently of the server's code.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// A row with its data exactly as in the response.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) ts: String,
    pub(crate) kind: String,
    pub(crate) agent_id: Option<String>,
    pub(crate) principal: String,
    pub(crate) request_id: String,
    pub(crate) data: Box<RawValue>,
    pub(crate) prev_hash: String,
    pub(crate) hash: String,
}

impl Row {
    /// The parsed data.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.data.get()).unwrap()
    }

    /// The expected hash of the row.
    fn expected_hash(&self) -> String {
        let fields = [
            self.prev_hash.as_str(),
            &self.id.to_string(),
            &self.ts,
            &self.kind,
            self.agent_id.as_deref().unwrap_or_default(),
            &self.principal,
            &self.request_id,
            self.data.get(),
        ];
        hex::encode(Sha256::digest(fields.join("\n")))
    }
}

/// Asserts that these rows are a complete journal: numbered from 1 without gaps, ordered by time, each with the hash
/// of the previous row.
#[track_caller]
pub(crate) fn assert_chained(rows: &[Row]) {
    let (mut prev_hash, mut ts) = ("0".repeat(64), "");
    for (row, id) in rows.iter().zip(1..) {
        assert_eq!(row.id, id, "a gap or a repeat");
        assert_eq!(row.prev_hash, prev_hash, "row {id} does not follow the one before");
        assert_eq!(row.hash, row.expected_hash(), "row {id} is not what was hashed");
        assert!(row.ts.as_str() >= ts && row.ts.ends_with('Z'), "{ts} is followed by {}", row.ts);
        prev_hash.clone_from(&row.hash);
        ts = &row.ts;
    }
}

/// The hash of the state in a response of `GET /state?agent_id=`, computed from its bytes.
pub(crate) fn hash_of_state(answer: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Shown<'a> {
        #[serde(borrow)]
        state: &'a RawValue,
    }
    let shown: Shown<'_> = serde_json::from_slice(answer).unwrap();
    blake3::hash(shown.state.get().as_bytes()).to_hex().to_string()
}
