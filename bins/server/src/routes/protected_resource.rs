//! `GET /.well-known/oauth-protected-resource`: the metadata of the service as an OAuth 2.0 protected resource.
//! RFC 9728 describes it, and the OpenAPI document does not.

use actix_web::{HttpRequest, HttpResponse, Route, web};

use crate::http::endpoint::{Access, Effect, Endpoint, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::protected_resource::metadata;
use crate::state::AppState;

/// `GET /.well-known/oauth-protected-resource`.
pub static SERVICE: Endpoint = Endpoint::new(
    "protected_resource",
    Verb::Get,
    "/.well-known/oauth-protected-resource",
    Access::Public,
    Effect::Reads,
    || Route::new().to(service),
)
.errors(&[Code::NotFound]);

/// `GET /.well-known/oauth-protected-resource/{resource}`.
pub static RESOURCE: Endpoint = Endpoint::new(
    "protected_resource_of",
    Verb::Get,
    "/.well-known/oauth-protected-resource/{resource:.+}",
    Access::Public,
    Effect::Reads,
    || Route::new().to(resource),
)
.errors(&[Code::NotFound]);

async fn service(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    respond(&request, &state, "")
}

async fn resource(
    request: HttpRequest,
    state: web::Data<AppState>,
    resource: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let name = resource.strip_prefix("mcp/").unwrap_or("mcp");
    if *resource != "mcp"
        && (!resource.starts_with("mcp/") || name.is_empty() || !name.bytes().all(plain))
    {
        return Err(unknown());
    }
    respond(&request, &state, &format!("/{resource}"))
}

fn respond(request: &HttpRequest, state: &AppState, path: &str) -> Result<HttpResponse, ApiError> {
    metadata(state, request, path).map(|found| HttpResponse::Ok().json(found)).ok_or_else(unknown)
}

fn unknown() -> ApiError {
    ApiError::new(
        Code::NotFound,
        "the service is no protected resource of this path; it accepts tokens if JWT_ISSUER is set",
    )
}
