//! `GET /healthz` and `GET /readyz`: whether the process serves, and whether the service is ready.

use actix_web::{HttpResponse, Responder, Route, web};
use jiff::Timestamp;
use life_agent_engine::shared_counters::{Instance, RateFallback, SharedLimits};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::state::AppState;

/// The condition of the service.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok` or `ready`.
    status: &'static str,
    /// Why the policy on disk is not active, if a change was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    /// The counters that several instances share, with `REDIS_URL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsHealth>,
}

/// The counters in Redis.
#[derive(Serialize, ToSchema)]
struct LimitsHealth {
    /// `connected`, or `unreachable` while the fallback applies.
    redis: &'static str,
    /// How rates are counted: `shared` by all instances, `local` with the rate divided by their number, or `denied`.
    rates: &'static str,
    /// How budgets are counted: `shared`, or `denied`.
    budgets: &'static str,
    /// The instances that are alive, oldest first; while Redis is unreachable, those seen last.
    instances: Vec<InstanceHealth>,
}

/// An instance.
#[derive(Serialize, ToSchema)]
struct InstanceHealth {
    /// A random name, new with each start.
    id: String,
    /// When it started: RFC 3339, UTC, by its own clock.
    started: String,
    /// Whether it sent this response.
    own: bool,
}

impl LimitsHealth {
    fn of(limits: &SharedLimits) -> Self {
        let status = limits.status();
        let (redis, rates, budgets) = match (status.is_reachable, limits.fallback()) {
            (true, _) => ("connected", "shared", "shared"),
            (false, RateFallback::Local) => ("unreachable", "local", "denied"),
            (false, RateFallback::Deny) => ("unreachable", "denied", "denied"),
        };
        let instance = |instance: Instance| {
            let started = i64::try_from(instance.started_ms).ok();
            let started = started.and_then(|ms| Timestamp::from_millisecond(ms).ok());
            InstanceHealth {
                id: instance.id,
                started: started.unwrap_or_default().to_string(),
                own: instance.is_own,
            }
        };
        let instances = status.instances.into_iter().map(instance).collect();
        Self { redis, rates, budgets, instances }
    }
}

/// `GET /healthz`.
pub static HEALTHZ: Endpoint =
    Endpoint::new("healthz", Verb::Get, "/healthz", Access::Public, Effect::Reads, || {
        Route::new().to(healthz)
    })
    .described(describe_healthz);

fn describe_healthz() -> Description {
    Description::new(Tag::Service, "Check whether the process serves").json::<Health>(
        200,
        "The process serves.",
        Some(json!({"status": "ok"})),
    )
}
async fn healthz() -> impl Responder {
    HttpResponse::Ok().json(Health { status: "ok", policy: None, limits: None })
}

/// `GET /readyz`.
pub static READYZ: Endpoint =
    Endpoint::new("readyz", Verb::Get, "/readyz", Access::Public, Effect::Reads, || {
        Route::new().to(readyz)
    })
    .errors(&[Code::JournalUnavailable])
    .described(describe_readyz);

fn describe_readyz() -> Description {
    Description::new(Tag::Service, "Check whether the service is ready")
        .details("It is ready when the journal accepts writes; a policy is always active once the service runs. Without Redis it stays ready, and `limits` shows what applies.")
        .json::<Health>(200, "The service is ready.", Some(json!({"status": "ready"})))
}
async fn readyz(state: web::Data<AppState>) -> Result<impl Responder, ApiError> {
    match state.engine.journal().health().await {
        Ok(()) => {
            let faults = state.engine.policy_rejection();
            let policy = (!faults.is_empty()).then(|| {
                let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                format!("the policy on disk is rejected: {}", faults.join("; "))
            });
            let limits = state.engine.shared_limits().map(LimitsHealth::of);
            Ok(HttpResponse::Ok().json(Health { status: "ready", policy, limits }))
        }
        Err(why) => {
            let message = format!("the journal accepts no writes: {why}");
            Err(ApiError::new(Code::JournalUnavailable, message)
                .with_details(&json!({"missing": ["journal"]})))
        }
    }
}
