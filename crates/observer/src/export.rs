//! Writes rows as JSON lines, and copies a journal while it is in use.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use crate::error::{JournalError, words};
use crate::filter::Filter;
use crate::read::Reader;
use crate::work::Head;

/// Rows that are read before they are written on.
const PAGE_ROWS: usize = 1_000;

impl Reader {
    /// Writes every row after row `after`, each as one line of JSON; how many there were. Reads in
    /// pages, so that a slow receiver holds nobody up.
    pub fn export(&self, after: u64, out: &mut dyn Write) -> Result<u64, JournalError> {
        let output = |error: std::io::Error| JournalError::Output(format!("the export: {error}"));
        let (mut position, mut count) = (Some(after), 0);
        while let Some(after) = position {
            let page = self.page(after, PAGE_ROWS, &Filter::default())?;
            for row in &page.rows {
                serde_json::to_writer(&mut *out, row).map_err(|error| output(error.into()))?;
                out.write_all(b"\n").map_err(output)?;
                count += 1;
            }
            position = page.next;
        }
        out.flush().map_err(output)?;
        Ok(count)
    }

    /// Copies the journal, as it is at this moment, into a new file, and returns the copy's head.
    /// Writers go on meanwhile. A file that exists is never overwritten.
    pub fn backup(&self, to: &Path) -> Result<Head, JournalError> {
        let output = |why: String| JournalError::Output(format!("`{}`: {why}", to.display()));
        // Claims the name, so that nothing can appear under it between a look and the copy.
        File::create_new(to).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                output("there is a file already; name another one".to_owned())
            }
            _ => output(error.to_string()),
        })?;
        let copied = self.copy(to);
        if copied.is_err() {
            // Nobody should take half a copy for a backup.
            let _ = std::fs::remove_file(to);
        }
        copied.map_err(|error| output(words(&error)))
    }

    fn copy(&self, to: &Path) -> rusqlite::Result<Head> {
        let mut copy = Connection::open(to)?;
        // All pages in one go: between two, a busy writer would make it start over and over.
        Backup::new(self, &mut copy)?.step(-1)?;
        // A single file, readable without another one beside it.
        copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
        Ok(crate::batch::Tip::read(&copy)?.head)
    }
}
