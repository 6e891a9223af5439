//! `GET /docs`, `GET /openapi.json`: the calls, for people and for programs.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, Responder, web};
use utoipa_swagger_ui::Config;

use crate::app::AppState;
use crate::errors::{ApiError, Code};
use crate::middleware::headers::PAGE;

/// Our page; Swagger UI's own starts with a script that the page's policy would have to allow.
const INDEX: &str = include_str!("../../assets/docs.html");
const SCRIPT: &str = include_str!("../../assets/docs.js");
/// The files of Swagger UI that the page needs; the package has more.
const FILES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

/// The OpenAPI document
#[utoipa::path(
    get, path = "/openapi.json", tag = "service", operation_id = "openapi_json", security(),
    responses((status = 200, body = Object, description = "This document.", example = json!({"openapi": "3.1.0"}))),
)]
pub async fn openapi_json(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    document(state.openapi.whole())
}

/// The OpenAPI document for a custom GPT
///
/// The part that GPT Actions can import, within their limits.
#[utoipa::path(
    get, path = "/openapi-actions.json", tag = "service", operation_id = "openapi_actions_json", security(),
    responses((status = 200, body = Object, description = "The document.", example = json!({"openapi": "3.1.0"}))),
)]
pub async fn openapi_actions_json(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    document(state.openapi.actions())
}

fn document(rendered: Result<web::Bytes, serde_json::Error>) -> Result<HttpResponse, ApiError> {
    let document = rendered.map_err(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be rendered");
        ApiError::bare(Code::Internal)
    })?;
    Ok(HttpResponse::Ok().content_type("application/json").body(document))
}

/// Swagger UI.
pub async fn page() -> impl Responder {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE))
        .body(INDEX)
}

/// A file of the page.
pub async fn file(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let not_found = || ApiError::new(Code::NotFound, "there is no such file; the page is `/docs`");
    if *name == "docs.js" {
        return Ok(HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(SCRIPT));
    }
    if !FILES.contains(&name.as_str()) {
        return Err(not_found());
    }
    let file = utoipa_swagger_ui::serve(&name, Arc::new(Config::from("openapi.json")));
    let file = file.ok().flatten().ok_or_else(not_found)?;
    let mut answer = HttpResponse::Ok();
    if file.gzpipped {
        answer.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(answer.content_type(file.content_type).body(file.bytes.into_owned()))
}
