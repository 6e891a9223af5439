//! `GET /healthz` and `GET /readyz`: whether the process serves, and whether it can do its work.

use actix_web::{HttpResponse, Responder, web};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::errors::{ApiError, Code};

/// How it is.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok` or `ready`.
    status: &'static str,
}

/// Whether the process serves
#[utoipa::path(
    get, path = "/healthz", tag = "service", operation_id = "healthz", security(),
    responses((status = 200, body = Health, description = "It does.", example = json!({"status": "ok"}))),
)]
pub async fn healthz() -> impl Responder {
    HttpResponse::Ok().json(Health { status: "ok" })
}

/// Whether the service can do its work
///
/// It can when the journal takes writes; a policy is always in force once the service has started.
#[utoipa::path(
    get, path = "/readyz", tag = "service", operation_id = "readyz", security(),
    responses((status = 200, body = Health, description = "It can.", example = json!({"status": "ready"}))),
)]
pub async fn readyz(state: web::Data<AppState>) -> Result<impl Responder, ApiError> {
    match state.engine.journal().health().await {
        Ok(()) => Ok(HttpResponse::Ok().json(Health { status: "ready" })),
        Err(why) => {
            let message = format!("the journal takes no writes: {why}");
            Err(ApiError::new(Code::JournalUnavailable, message)
                .with_details(&json!({"missing": ["journal"]})))
        }
    }
}
