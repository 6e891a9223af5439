//! `GET /usage`: the tokens that model calls used.

use actix_web::{HttpResponse, Responder, Route, web};
use jiff::Timestamp;
use life_agent_engine::UsageReport;
use life_agent_engine::observer::UsageBy;
use serde::Serialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::extract::{Authenticated, Faults, Given, Parameters, Query};
use crate::state::AppState;

/// Whose usage, and since when.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// `principal`, `agent` or `model`; `principal` by default.
    #[param(value_type = Option<String>, pattern = "^(principal|agent|model)?$")]
    by: UsageBy,
    /// A time such as `2026-11-22T00:00:00Z`; the start of the current day (UTC) by default.
    #[param(value_type = Option<String>)]
    since: Option<Timestamp>,
}

impl Parameters for UsageQuery {
    const NAMES: &'static [&'static str] = &["by", "since"];
    fn read(given: &Given, faults: &mut Faults) -> Option<Self> {
        let must = "must be `principal`, `agent` or `model`";
        let by = given.parsed("by", must, faults, |text| match text {
            "principal" => Some(UsageBy::Principal),
            "agent" => Some(UsageBy::Agent),
            "model" => Some(UsageBy::Model),
            _ => None,
        });
        let must = "must be a time such as `2026-11-22T00:00:00Z`";
        let since = given.parsed("since", must, faults, |text| text.parse().ok());
        Some(Self { by: by.unwrap_or(UsageBy::Principal), since })
    }
}

/// Token usage.
#[derive(Serialize, ToSchema)]
struct UsageAnswer {
    /// `principal`, `agent` or `model`.
    by: &'static str,
    /// The time from which calls are included: RFC 3339, UTC.
    since: String,
    #[serde(flatten)]
    report: UsageReport,
}

/// `GET /usage`.
pub static USAGE: Endpoint =
    Endpoint::new("usage", Verb::Get, "/usage", Access::READ, Effect::Reads, || {
        Route::new().to(usage)
    })
    .or_act()
    .bounded()
    .errors(&[Code::ValidationError, Code::JournalUnavailable])
    .described(describe);

fn describe() -> Description {
    Description::new(Tag::Model, "Add up token usage")
        .details(
            "The usage that providers reported, from the records next to the journal's rows. A key without `read`, \
             or with `agents`, receives its own usage only. `cost` is in dollars at the prices of the active policy, \
             and `null` if a model has none.",
        )
        .query::<UsageQuery>()
        .json::<UsageAnswer>(
            200,
            "The usage by caller, agent or model, and in total.",
            Some(json!({
                "by": "model", "since": "2026-11-22T00:00:00.000000Z",
                "usage": [{"name": "openai/gpt-oss-120b", "calls": 2, "prompt_tokens": 22, "completion_tokens": 14,
                           "total_tokens": 36, "cost": 0.000_013_8}],
                "total": {"name": null, "calls": 2, "prompt_tokens": 22, "completion_tokens": 14,
                          "total_tokens": 36, "cost": 0.000_013_8}
            })),
        )
}

async fn usage(
    state: web::Data<AppState>,
    Authenticated { grant, .. }: Authenticated,
    query: Query<UsageQuery>,
) -> Result<impl Responder, ApiError> {
    let Query(UsageQuery { by, since }) = query;
    let since = since.unwrap_or_else(|| start_of_day(state.engine.now()));
    let own = (!grant.reads_every_row()).then(|| grant.principal.as_str());
    let report = state.engine.usage(by, since, own).await?;
    let by = match by {
        UsageBy::Principal => "principal",
        UsageBy::Agent => "agent",
        UsageBy::Model => "model",
    };
    Ok(HttpResponse::Ok().json(UsageAnswer { by, since: format!("{since:.6}"), report }))
}

fn start_of_day(now: Timestamp) -> Timestamp {
    const DAY: i64 = 24 * 60 * 60;
    let now = now.as_second();
    Timestamp::from_second(now - now.rem_euclid(DAY)).unwrap_or(Timestamp::UNIX_EPOCH)
}
