//! Rows of a corpus: one JSON object a line.

use std::path::Path;

use serde_json::Value;

/// One row.
pub(crate) struct Row {
    pub(crate) text: String,
    fields: Value,
}

impl Row {
    /// A field as text; empty if there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }

    /// A field as a flag.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.fields[name].as_bool().unwrap_or_default()
    }

    /// Whether it holds a URL or `../`, which benign rows are left out for.
    pub(crate) fn has_address(&self) -> bool {
        self.text.contains("://") || self.text.contains("../")
    }
}

/// The rows of `DIR/NAME.jsonl`.
#[expect(clippy::disallowed_methods, reason = "a program may read files")]
pub(crate) fn read(dir: &Path, name: &str) -> Result<Vec<Row>, String> {
    let path = dir.join(format!("{name}.jsonl"));
    let file = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let row = |line: &str| {
        let fields: Value = serde_json::from_str(line).map_err(|e| format!("{name}: {e}"))?;
        let text = fields["text"].as_str().ok_or(format!("{name}: a row without text"))?.to_owned();
        Ok(Row { text, fields })
    };
    file.lines().map(row).collect()
}
