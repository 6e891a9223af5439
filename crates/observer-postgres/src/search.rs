//! Pages in both directions, and searches: windows of rows are compared one after the other, so that a page takes a
//! bounded time whatever the filter excludes.

use life_agent_observer::{Filter, JournalError, Page, PageRows, Read, Span, with_texts};
use tokio_postgres::types::Type;

use crate::page::rows_of;
use crate::scan::bounded_by;
use crate::stored::signed;
use crate::view::View;

/// Rows of a window, and windows of a page.
const WINDOW: u64 = 8_192;
const WINDOWS: u64 = 8;
/// Rows of one response.
const CHUNK: i64 = 512;

/// See [`life_agent_observer::Read::rows`].
pub(crate) fn rows(
    view: &View<'_>,
    span: Span,
    limit: usize,
    filter: &Filter,
) -> Result<Page, JournalError> {
    let (first, head) = (view.first_id()?, view.head()?.id);
    let Some(within) = span.within(first, head) else {
        return Ok(Page::empty(if span.newest_first { first } else { head }));
    };
    let (low, high) = within;
    let mut page = PageRows::new(limit);
    let mut end = 0;
    for n in 0..WINDOWS.min((high - low) / WINDOW + 1) {
        let mut window = match span.newest_first {
            true => (low.max((high - n * WINDOW).saturating_sub(WINDOW - 1)), high - n * WINDOW),
            false => (low + n * WINDOW, high.min(low + (n + 1) * WINDOW - 1)),
        };
        end = if span.newest_first { window.0 } else { window.1 };
        loop {
            let found = chunk(view, window, span.newest_first, filter)?;
            let Some(last) = found.last().map(|row| row.id) else { break };
            for row in found {
                if !page.push_matching(row, filter, |row| with_texts(&|id| view.text(id), row)) {
                    return Ok(page.finish_span(&span, end, within));
                }
            }
            match span.newest_first {
                true if last > window.0 => window.1 = last - 1,
                false if last < window.1 => window.0 = last + 1,
                _ => break,
            }
        }
    }
    Ok(page.finish_span(&span, end, within))
}

/// The first rows of a window that the filter can select, as far as their columns tell.
fn chunk(
    view: &View<'_>,
    (low, high): (u64, u64),
    newest_first: bool,
    filter: &Filter,
) -> Result<Vec<life_agent_domain::governance::event::Row>, JournalError> {
    let order = if newest_first { "id DESC" } else { "id" };
    let sql = bounded_by(
        &format!(
            "SELECT * FROM events WHERE id BETWEEN $1 AND $2 AND ($3::text[] IS NULL OR kind = ANY($3))
             AND ($4::text IS NULL OR agent_id = $4) AND ($5::text IS NULL OR principal = $5)
             AND ($6::text IS NULL OR request_id = $6) AND ($7::text IS NULL OR ts >= $7)
             AND ($8::text IS NULL OR ts < $8) ORDER BY {order} LIMIT $9"
        ),
        order,
    );
    let (low, high) = (signed(low), signed(high));
    let kinds = filter.kinds().map(<[_]>::to_vec);
    let criteria = filter.criteria().cloned().unwrap_or_default();
    let agent = filter.agent();
    let values = vec![
        (&low as _, Type::INT8),
        (&high as _, Type::INT8),
        (&kinds as _, Type::TEXT_ARRAY),
        (&agent as _, Type::TEXT),
        (&criteria.principal as _, Type::TEXT),
        (&criteria.request_id as _, Type::TEXT),
        (&criteria.since as _, Type::TEXT),
        (&criteria.until as _, Type::TEXT),
        (&CHUNK as _, Type::INT8),
    ];
    rows_of(&view.query(&sql, values)?)
}
