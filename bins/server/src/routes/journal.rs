//! `GET /journal`, `GET /journal/{id}` and `GET /journal/head`: the journal in pages, a row, and its head.

mod query;

use std::sync::Arc;

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::EngineError;
use life_agent_engine::domain::governance::event::Row;
use life_agent_engine::observer::{Head, Page, Readers};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Gpt, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Query, read_query};
use crate::state::AppState;
use query::{JournalParameters, JournalQuery, RowQuery};

/// Characters of a response in addition to its rows: its keys and `next`.
const AROUND: usize = 64;
/// Characters of a row number with its comma.
const NUMBER: usize = 20;

/// A page of rows in order.
#[derive(Serialize, ToSchema)]
struct JournalAnswer {
    events: Vec<Row>,
    /// The value of `after` for further existing rows, or of `before` with `order=desc`; none at the end. A page can be
    /// short or empty before the end, because a search stops after a bounded number of other rows.
    next: Option<u64>,
    /// Rows of this page that exceed `max_chars` on their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<u64>,
}

impl JournalAnswer {
    fn whole(page: Page) -> Self {
        Self { events: page.rows, next: page.next, left_out: Vec::new() }
    }

    /// The page up to `most` characters. A row that never fits is listed by number, so that a reader can skip it
    /// knowingly.
    fn within(page: Page, most: usize) -> Self {
        let alone = most.saturating_sub(AROUND);
        let mut room = alone;
        let mut answer = Self { events: Vec::new(), next: None, left_out: Vec::new() };
        let mut last = None;
        for row in page.rows {
            let length = length(&row);
            let fits = length <= alone;
            let needed = if fits { length } else { NUMBER };
            if needed > room {
                return Self { next: last, ..answer };
            }
            room -= needed;
            last = Some(row.id);
            if fits {
                answer.events.push(row);
            } else {
                answer.left_out.push(row.id);
            }
        }
        Self { next: page.next, ..answer }
    }
}

/// Characters of a row in a list.
fn length(row: &Row) -> usize {
    let text = serde_json::to_string(row);
    text.map_or(usize::MAX, |text| text.chars().count().saturating_add(1))
}

/// `GET /journal`.
pub static JOURNAL: Endpoint =
    Endpoint::new("journal", Verb::Get, "/journal", Access::READ, Effect::Reads, || {
        Route::new().to(journal)
    })
    .or_act()
    .names_agent()
    .bounded()
    .errors(&[Code::ValidationError, Code::JournalUnavailable])
    .gpt(
        Gpt::reads(
            "Call it for past events, in order. Filter by `agent_id` and `kind`, such as `obs.turn` or \
             `gate.denied`. Continue with `next` as `after`. Records in `left_out` are too long to be shown.",
        )
        .max_limit(50),
    )
    .described(describe_journal);

fn describe_journal() -> Description {
    Description::new(Tag::Record, "Read the journal in pages")
        .details(
            "The same rows as `/events`. Each row is chained to the previous one. All parameters can be combined, and \
             the page contains only rows that the key may read.",
        )
        .query::<JournalParameters>()
        .json::<JournalAnswer>(200, "Rows in order.", Some(json!({
            "events": [{"id": 1, "ts": "2026-11-22T20:51:10.000000Z", "kind": "service.started", "agent_id": null,
                        "principal": "system", "request_id": "", "data": {"version": "0.1.0", "seed": 42},
                        "prev_hash": "0000…", "hash": "a1b2…"}],
            "next": 1
        })))
}
async fn journal(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    query: Query<JournalQuery>,
) -> Result<impl Responder, ApiError> {
    let Query(JournalQuery { span, limit, max_chars, filter, agent_id, expand }) = query;
    if let Some(agent) = &agent_id {
        grant.check_agent(agent)?;
    }
    let filter = match grant.reads_every_row() {
        true => filter,
        false => {
            let grant = Arc::clone(&grant);
            filter.readable_by(move |agent, principal| grant.may_read_row(agent, principal))
        }
    };
    let page = match expand {
        true => state.engine.expanded_rows(span, limit, filter).await?,
        false => {
            let page = state.engine.journal().rows(span, limit, filter).await;
            page.map_err(EngineError::from)?
        }
    };
    Ok(HttpResponse::Ok().json(match max_chars {
        Some(most) => JournalAnswer::within(page, most),
        None => JournalAnswer::whole(page),
    }))
}

/// The response to a query, of a journal that no service needs to have open, for a reader of all of its rows.
pub(crate) fn search_journal(readers: &dyn Readers, query: &str) -> Result<Vec<u8>, ApiError> {
    let JournalQuery { span, limit, filter, expand, .. } = read_query(query)?;
    if expand {
        let why = "texts can be put into rows by a running service only; `life-agent audit export` has them, too";
        return Err(ApiError::new(Code::ValidationError, why));
    }
    let page = readers.view().and_then(|view| view.rows(span, limit, &filter));
    let page = JournalAnswer::whole(page.map_err(EngineError::from)?);
    serde_json::to_vec(&page).map_err(|_| ApiError::bare(Code::Internal))
}

/// `GET /journal/{id}`.
pub static JOURNAL_ROW: Endpoint =
    Endpoint::new("journal_row", Verb::Get, "/journal/{id}", Access::READ, Effect::Reads, || {
        Route::new().to(row)
    })
    .or_act()
    .bounded()
    .errors(&[Code::ValidationError, Code::NotFound, Code::JournalUnavailable])
    .described(describe_row);

fn describe_row() -> Description {
    Description::new(Tag::Record, "Read a row of the journal")
        .details("A row that the key may not read is not found, like one that does not exist or was removed.")
        .path_parameter("id", "The number of the row.")
        .query::<RowQuery>()
        .json::<Row>(200, "The row.", None)
}
async fn row(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    id: web::Path<String>,
    query: Query<RowQuery>,
) -> Result<impl Responder, ApiError> {
    let missing = || {
        ApiError::new(Code::NotFound, "the path names no row of the journal that the key may read")
    };
    let id: u64 = id.parse().map_err(|_| missing())?;
    let row = state.engine.journal().row(id).await.map_err(EngineError::from)?;
    let readable = row.filter(|row| grant.may_read_row(row.agent_id.as_deref(), &row.principal));
    let row = readable.ok_or_else(missing)?;
    Ok(HttpResponse::Ok().json(match query.0.expand {
        true => state.engine.expanded_row(row).await?,
        false => row,
    }))
}

/// `GET /journal/head`.
pub static JOURNAL_HEAD: Endpoint =
    Endpoint::new("journal_head", Verb::Get, "/journal/head", Access::READ, Effect::Reads, || {
        Route::new().to(head)
    })
    .or_act()
    .gpt(Gpt::reads("Call it for the number and hash of the last record."))
    .described(describe_head);

fn describe_head() -> Description {
    Description::new(Tag::Record, "Read the head of the journal")
        .details(
            "The number and hash of the last durable row. Store it outside the service: `life-agent audit verify \
             --expect-head` then proves that no row up to it was changed or removed.",
        )
        .json::<Head>(200, "The last row.", Some(json!({"id": 1041, "hash": "a1b2…"})))
}
async fn head(state: web::Data<AppState>, _: Authenticated) -> impl Responder {
    HttpResponse::Ok().json(state.engine.journal().head())
}
