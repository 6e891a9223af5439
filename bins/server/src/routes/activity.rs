//! `GET /activity`: requests per minute, the most frequent causes of denials, and the slowest requests.

use actix_web::{HttpResponse, Responder, Route, web};
use life_agent_engine::ActivityReport;
use serde_json::json;
use utoipa::IntoParams;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Faults, Given, Parameters, Query};
use crate::state::AppState;

const USUAL_MINUTES: usize = 60;
/// A day, which is what the service keeps.
const MAX_MINUTES: usize = 24 * 60;

/// The period.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ActivityQuery {
    /// Minutes up to now, 1 to 1,440; 60 by default.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1440)]
    minutes: usize,
}

impl Parameters for ActivityQuery {
    const NAMES: &'static [&'static str] = &["minutes"];
    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        let must = format_args!("must be a number from 1 to {MAX_MINUTES}");
        let within = |text: &str| text.parse().ok().filter(|n| (1..=MAX_MINUTES).contains(n));
        let minutes = given.parsed("minutes", must, faults, within).unwrap_or(USUAL_MINUTES);
        Some(Self { minutes })
    }
}

/// `GET /activity`.
pub static ACTIVITY: Endpoint =
    Endpoint::new("activity", Verb::Get, "/activity", Access::READ, Effect::Reads, || {
        Route::new().to(activity)
    })
    .errors(&[Code::ValidationError, Code::AgentForbidden])
    .described(describe);

fn describe() -> Description {
    Description::new(Tag::Record, "Count requests per minute")
        .details(
            "The requests of the last minutes by outcome and kind, with the most frequent causes of denials and the \
             slowest requests. The service counts the last day in memory and reads it from the journal again after a \
             restart, up to the newest million rows. A key that is limited to some agents receives 403.",
        )
        .query::<ActivityQuery>()
        .json::<ActivityReport>(200, "The counts.", Some(json!({
            "complete": true, "since": "2026-11-22T20:51:00Z",
            "minutes": [{"at": "2026-11-22T20:51:00Z", "allowed": 12, "denied": 1, "would_deny": 0, "failed": 0}],
            "total": {"allowed": 12, "denied": 1, "would_deny": 0, "failed": 0},
            "usual": {"allowed": 10.5, "denied": 0.2, "would_deny": 0.0, "failed": 0.0},
            "kinds": {"act": {"allowed": 12, "denied": 1, "would_deny": 0, "failed": 0}},
            "denied_by": [{"reason": "rule_deny", "decided_by": "rules/no-deploys", "count": 1}],
            "would_deny_by": [], "slowest": [{"elapsed_us": 900, "event_id": 7}]
        })))
}

async fn activity(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    query: Query<ActivityQuery>,
) -> Result<impl Responder, ApiError> {
    if grant.principal.agents().is_some() {
        let message = "the counts cover all agents, and this key may access some only; use a key without `agents`";
        return Err(ApiError::new(Code::AgentForbidden, message));
    }
    Ok(HttpResponse::Ok().json(state.engine.activity(query.0.minutes)))
}
