//! What a `journal.pruned` row declares.

use serde::{Deserialize, Serialize};

use crate::committed::Head;

/// The data of a `journal.pruned` row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Declared {
    pub(crate) upto_id: u64,
    pub(crate) upto_hash: String,
    pub(crate) removed_rows: u64,
}

/// The last row that the `journal.pruned` row `id` with this data declares removed. Data that is not
/// valid declares nothing: the rows then count as missing.
pub fn declared_pruned(id: u64, data: &str) -> Option<Head> {
    let declared: Option<Declared> = serde_json::from_str(data).ok();
    let declared = declared.filter(|declared| declared.upto_id < id)?;
    Some(Head { id: declared.upto_id, hash: declared.upto_hash })
}
