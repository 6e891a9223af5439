//! `POST /policy/backtest`: judges recorded requests with another policy.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::{PolicySource, ReplayReport};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Body, Document, Faults, MAX_ROW};
use crate::state::AppState;

const USUAL_LIMIT: usize = 10_000;
const MAX_LIMIT: usize = 100_000;

/// The policy and the part of the journal.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BacktestBody {
    /// A file in `POLICY_DIR`, or the file at `POLICY_PATH`, which is the default without `policy`.
    #[schema(min_length = 1, max_length = 1024)]
    path: Option<String>,
    /// A document, as YAML.
    policy: Option<String>,
    /// Rows after this one; from the first row by default.
    after: Option<u64>,
    /// Largest number of rows; 10,000 by default.
    #[schema(minimum = 1, maximum = 100_000)]
    limit: Option<usize>,
}

/// A checked backtest.
#[derive(Debug)]
pub struct Backtest {
    source: PolicySource,
    after: u64,
    limit: usize,
}

impl Document for BacktestBody {
    type Checked = Backtest;
    const OPTIONAL: bool = true;
    fn check(self, faults: &mut Faults) -> Option<Backtest> {
        let limit = self.limit.unwrap_or(USUAL_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            faults.add("limit", format!("must be a number from 1 to {MAX_LIMIT}"));
        }
        if self.after.is_some_and(|after| after > MAX_ROW) {
            faults.add("after", "must be the number of a row");
        }
        let source = super::policy::source("policy", self.path, self.policy, faults)?;
        Some(Backtest { source, after: self.after.unwrap_or(0), limit })
    }
}

/// `POST /policy/backtest`.
pub static BACKTEST: Endpoint = Endpoint::new(
    "backtest_policy",
    Verb::Post,
    "/policy/backtest",
    Access::POLICY,
    Effect::Reads,
    || Route::new().to(backtest),
)
.bounded()
.errors(&[
    Code::PathForbidden,
    Code::NotFound,
    Code::PolicyInvalid,
    Code::JournalUnavailable,
    Code::Overloaded,
])
.described(describe);

fn describe() -> Description {
    Description::new(Tag::Policy, "Judge recorded requests with another policy")
        .details(
            "Replays recorded requests through a policy and reports every decision that would differ. One backtest \
             runs at a time; it changes nothing. To continue, pass `last` as `after`.",
        )
        .optional_body::<BacktestBody>(json!({"path": "policies/valid.yaml", "after": 0, "limit": 1000}))
        .json::<ReplayReport>(200, "The differences.", Some(json!({
            "policy_hash": "9f86d081…", "rows": 120, "decisions": 100, "steps": 0, "told": 0, "not_comparable": {},
            "now_denied": {"rules/no-shouting": 1}, "now_allowed": {}, "divergence_count": 1,
            "divergences": [{"event_id": 7, "agent_id": "hero", "what": "decision", "recorded": "allowed",
                             "now": "denied by rules/no-shouting"}],
            "last": 120
        })))
}
async fn backtest(
    state: web::Data<AppState>,
    body: Body<BacktestBody>,
) -> Result<impl Responder, ApiError> {
    let Ok(permit) = Arc::clone(&state.backtesting).try_acquire_owned() else {
        let message = "another backtest is running; try again when it has finished";
        return Err(ApiError::new(Code::Overloaded, message)
            .with_header(header::RETRY_AFTER, header::HeaderValue::from_static("5")));
    };
    let Backtest { source, after, limit } = body.checked;
    let engine = state.engine.clone();
    // A separate task: the work continues if the caller disconnects, and the permit with it.
    let played = actix_web::rt::spawn(async move {
        let _permit = permit;
        engine.backtest(source, after, limit).await
    });
    let report = played.await.map_err(|_| ApiError::bare(Code::Internal))??;
    Ok(HttpResponse::Ok().json(report))
}
