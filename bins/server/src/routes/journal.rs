//! `GET /journal` and `GET /journal/head`: the record, a page at a time, and where it ends.

use actix_web::{HttpResponse, Responder, web};
use life_agent_engine::EngineError;
use life_agent_engine::domain::record::Row;
use life_agent_engine::observer::Filter;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::schemas;
use crate::app::AppState;
use crate::errors::ApiError;
use crate::extract::{Authenticated, Faults, Given, Parameters, Query};

const USUAL_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// Which rows are asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct JournalQuery {
    /// Rows after this one; 0 for all.
    #[param(value_type = Option<u64>)]
    after: u64,
    /// At most so many, 1 to 1,000.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000)]
    limit: usize,
    /// Rows of this kind; a `*` at the end stands for any ending, as in `obs.*`.
    #[param(value_type = Option<String>)]
    #[expect(dead_code, reason = "part of `filter`; here for the document")]
    kind: (),
    /// Rows of this agent.
    #[param(value_type = Option<String>)]
    #[expect(dead_code, reason = "part of `filter`; here for the document")]
    agent_id: (),
    #[param(ignore)]
    filter: Filter,
}

impl Parameters for JournalQuery {
    const NAMES: &'static [&'static str] = &["after", "limit", "kind", "agent_id"];
    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        Some(Self {
            after: given.row("after", faults).unwrap_or(0),
            limit: given.limit(USUAL_LIMIT, MAX_LIMIT, faults),
            filter: given.filter(faults)?,
            kind: (),
            agent_id: (),
        })
    }
}

/// Some rows in their order.
#[derive(Serialize, ToSchema)]
struct JournalAnswer {
    #[schema(value_type = Vec<schemas::Row>)]
    events: Vec<Row>,
    /// What to ask for as `after` to get further rows that are there already; none at the end.
    next: Option<u64>,
}

/// The record, a page at a time
///
/// The same rows as `/events`, each chained to the one before.
#[utoipa::path(
    get, path = "/journal", tag = "record", operation_id = "journal", params(JournalQuery),
    responses((status = 200, body = JournalAnswer, description = "Rows in their order.", example = json!({
        "events": [{"id": 1, "ts": "2026-11-22T20:51:10.000000Z", "kind": "service.started", "agent_id": null,
                    "principal": "system", "request_id": "", "data": {"version": "0.1.0", "seed": 42},
                    "prev_hash": "0000…", "hash": "a1b2…"}],
        "next": 1
    }))),
)]
pub async fn journal(
    state: web::Data<AppState>,
    _: Authenticated,
    query: Query<JournalQuery>,
) -> Result<impl Responder, ApiError> {
    let Query(JournalQuery { after, limit, filter, .. }) = query;
    let read = state.engine.journal().read(move |reader| reader.page(after, limit, &filter)).await;
    let page = read.map_err(EngineError::from)?;
    Ok(HttpResponse::Ok().json(JournalAnswer { events: page.rows, next: page.next }))
}

/// Where the record ends
///
/// The number and the hash of the last durable row. Keep it somewhere else: with it,
/// `life-agent audit verify --expect-head` proves that nothing up to there was changed or cut off.
#[utoipa::path(
    get, path = "/journal/head", tag = "record", operation_id = "journal_head",
    responses((status = 200, body = schemas::Head, description = "The last row.", example = json!({
        "id": 1041, "hash": "a1b2…"
    }))),
)]
pub async fn head(state: web::Data<AppState>, _: Authenticated) -> impl Responder {
    HttpResponse::Ok().json(state.engine.journal().head())
}
