//! Writes rows as lines of JSON.

use std::io::Write;

use crate::error::{Cause, JournalError};
use crate::filter::Filter;
use crate::store::Readers;

/// Rows read at a time.
const PAGE_ROWS: usize = 1_000;

/// Writes every row after row `after` as one line of JSON and returns their number. Reads in pages with
/// a view of their own, so that a slow receiver holds up neither writers nor retention.
///
/// # Errors
/// [`JournalError::Output`] if `out` fails, and any error of reading.
pub fn export(readers: &dyn Readers, after: u64, out: &mut dyn Write) -> Result<u64, JournalError> {
    let (mut position, mut count) = (Some(after), 0);
    while let Some(after) = position {
        let page = readers.view()?.page(after, PAGE_ROWS, &Filter::default())?;
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

fn output(error: std::io::Error) -> JournalError {
    JournalError::Output(Cause::new(format!("the export: {error}"), error))
}
