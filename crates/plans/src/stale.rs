//! Which of a plan's files have changed since it was made.

use crate::draft::MAX_FILE_BYTES;
use crate::record::{Record, blake3_hex};
use crate::tree::Tree;

/// The planned files that are no longer as they were; empty for a plan that still applies. A file that
/// cannot be read as one (a symlink by now, too large) has changed.
pub fn stale(tree: &Tree, record: &Record) -> Vec<String> {
    let changed = |path: &str, before: Option<&str>| match tree.read(path, MAX_FILE_BYTES) {
        Ok(content) => content.map(|content| blake3_hex(&content.bytes)).as_deref() != before,
        Err(_) => true,
    };
    let files = record.files.iter();
    files
        .filter(|file| changed(&file.path, file.before.as_deref()))
        .map(|file| file.path.clone())
        .collect()
}
