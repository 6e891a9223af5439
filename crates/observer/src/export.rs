//! Writes rows as lines of JSON.

use std::collections::HashSet;
use std::io::Write;

use crate::error::{Cause, JournalError};
use crate::filter::Filter;
use crate::store::Readers;
use crate::texts::texts_of;

/// Rows read at a time.
const PAGE_ROWS: usize = 1_000;

/// Writes every row after row `after` as one line of JSON and returns their number. A row that is the first to
/// name texts has them in an additional field `texts`, by their ids; the other fields are those that its hash
/// covers. Reads in pages with
/// a view of their own, so that a slow receiver holds up neither writers nor retention.
///
/// # Errors
/// [`JournalError::Output`] if `out` fails, and any error of reading.
pub fn export(readers: &dyn Readers, after: u64, out: &mut dyn Write) -> Result<u64, JournalError> {
    let (mut position, mut count) = (Some(after), 0);
    let mut seen = HashSet::new();
    while let Some(after) = position {
        let view = readers.view()?;
        let page = view.page(after, PAGE_ROWS, &Filter::default())?;
        for row in &page.rows {
            let mut line = serde_json::to_string(row).map_err(|error| output(error.into()))?;
            let texts = texts_of(&*view, row, &mut seen)?;
            if !texts.is_empty() {
                let texts = serde_json::to_string(&texts).map_err(|error| output(error.into()))?;
                line.pop();
                line.push_str(&format!(",\"texts\":{texts}}}"));
            }
            line.push('\n');
            out.write_all(line.as_bytes()).map_err(output)?;
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
