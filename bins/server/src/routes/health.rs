//! `GET /healthz` and `GET /readyz`: whether the process serves, and whether the service is ready.

use actix_web::{HttpResponse, Responder, Route, web};
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
    HttpResponse::Ok().json(Health { status: "ok", policy: None })
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
        .details("It is ready when the journal accepts writes; a policy is always active once the service runs.")
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
            Ok(HttpResponse::Ok().json(Health { status: "ready", policy }))
        }
        Err(why) => {
            let message = format!("the journal accepts no writes: {why}");
            Err(ApiError::new(Code::JournalUnavailable, message)
                .with_details(&json!({"missing": ["journal"]})))
        }
    }
}
