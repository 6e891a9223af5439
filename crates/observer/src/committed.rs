//! Durable rows and the end of the journal.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use life_agent_domain::governance::event::Row;
use serde::Serialize;

use crate::chain::FIRST_PREV_HASH;

/// A position in the journal: the id of a row and the hash that covers everything up to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Head {
    /// Id of the row; 0 for an empty journal.
    pub id: u64,
    /// Its hash; 64 zeros for an empty journal.
    pub hash: String,
}

impl Head {
    /// The head of an empty journal.
    pub fn empty() -> Self {
        Self { id: 0, hash: FIRST_PREV_HASH.to_owned() }
    }
}

/// A durable row. All readers share it, and its line of JSON is built at most once.
#[derive(Debug)]
pub struct JournalRow {
    row: Row,
    line: OnceLock<Box<str>>,
}

impl JournalRow {
    /// A row that readers share.
    pub fn new(row: Row) -> Arc<Self> {
        Arc::new(Self { row, line: OnceLock::new() })
    }

    /// The row as one line of JSON.
    pub fn line(&self) -> &str {
        // Serializing a row cannot fail: all of its fields are texts, numbers or valid JSON.
        self.line.get_or_init(|| serde_json::to_string(&self.row).unwrap_or_default().into())
    }
}

impl Deref for JournalRow {
    type Target = Row;
    fn deref(&self) -> &Row {
        &self.row
    }
}

/// The result of a durable batch.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Id of the batch's last row; for a batch without rows, of the journal's last row.
    pub id: u64,
    /// The batch's rows in order.
    pub rows: Vec<Arc<JournalRow>>,
}
