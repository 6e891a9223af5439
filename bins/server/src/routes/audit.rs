//! `POST /audit/verify`: checks the hash chain of the journal.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::EngineError;
use life_agent_engine::observer::Head;
use life_agent_engine::observer::verify::Verdict;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::Authenticated;
use crate::state::AppState;

/// The result of a verification.
#[derive(Serialize, ToSchema)]
struct VerifyAnswer {
    /// Whether every row is as it was recorded.
    intact: bool,
    /// Rows that were checked and are as they were recorded.
    rows: u64,
    /// The last row, if all are intact. Store it outside the service.
    head: Option<Head>,
    /// The last row that retention has removed.
    pruned: Option<Head>,
    /// The first row that is not as it was recorded.
    broken_row: Option<i64>,
    /// What is wrong with it.
    fault: Option<String>,
}

impl From<Verdict> for VerifyAnswer {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Whole(whole) => Self {
                intact: true,
                rows: whole.rows,
                head: Some(whole.head),
                pruned: whole.pruned,
                broken_row: None,
                fault: None,
            },
            Verdict::Broken(broken) => Self {
                intact: false,
                rows: broken.good,
                head: None,
                pruned: None,
                broken_row: Some(broken.row),
                fault: Some(broken.to_string()),
            },
        }
    }
}

/// `POST /audit/verify`.
pub static VERIFY: Endpoint = Endpoint::new(
    "verify_journal",
    Verb::Post,
    "/audit/verify",
    Access::READ,
    Effect::Reads,
    || Route::new().to(verify),
)
.errors(&[Code::JournalUnavailable, Code::Overloaded])
.described(describe);

fn describe() -> Description {
    Description::new(Tag::Record, "Verify the journal")
        .details(
            "Recomputes the hash of every row and compares it with the next row, as `life-agent audit verify` does. It \
             reads the whole journal; one verification runs at a time. A writer of the database could recompute all \
             hashes: compare `head` with one that was stored elsewhere.",
        )
        .json::<VerifyAnswer>(200, "The result.", Some(json!({
            "intact": true, "rows": 1041, "head": {"id": 1041, "hash": "a1b2…"}, "pruned": null,
            "broken_row": null, "fault": null
        })))
}

async fn verify(state: web::Data<AppState>, _: Authenticated) -> Result<impl Responder, ApiError> {
    let Ok(_permit) = Arc::clone(&state.verifying).try_acquire_owned() else {
        let message = "another verification is running; try again when it has finished";
        return Err(ApiError::new(Code::Overloaded, message)
            .with_header(header::RETRY_AFTER, header::HeaderValue::from_static("5")));
    };
    let verdict = state.engine.journal().verify(None).await.map_err(EngineError::from)?;
    Ok(HttpResponse::Ok().json(VerifyAnswer::from(verdict)))
}
