//! `GET /docs`, `GET /openapi.json`: the API documentation, for people and for programs.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, Responder, Route, web};
use serde_json::json;
use utoipa_swagger_ui::Config;

use crate::http::documents::Document;
use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::http::middleware::headers;
use crate::state::AppState;

/// Our own page: Swagger UI's starts with an inline script that the Content-Security-Policy would have to allow.
const INDEX: &str = include_str!("../../assets/docs.html");
const SCRIPT: &str = include_str!("../../assets/docs.js");
/// The files of Swagger UI that the page needs, out of the whole package.
const FILES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

/// `GET /openapi.json`.
pub static OPENAPI: Endpoint = Endpoint::new(
    "openapi_json",
    Verb::Get,
    "/openapi.json",
    Access::Public,
    Effect::Reads,
    || Route::new().to(openapi_json),
)
.described(describe_openapi);

fn describe_openapi() -> Description {
    Description::new(Tag::Service, "The OpenAPI document").any_json(
        200,
        "This document.",
        json!({"openapi": "3.1.0"}),
    )
}
async fn openapi_json(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    document(&state.openapi.whole)
}

/// `GET /openapi-actions.json`.
pub static OPENAPI_ACTIONS: Endpoint = Endpoint::new(
    "openapi_actions_json",
    Verb::Get,
    "/openapi-actions.json",
    Access::Public,
    Effect::Reads,
    || Route::new().to(openapi_actions_json),
)
.described(describe_openapi_actions);

fn describe_openapi_actions() -> Description {
    Description::new(Tag::Service, "The OpenAPI document for a custom GPT")
        .details("The part that GPT Actions can import, within their limits.")
        .any_json(200, "The document.", json!({"openapi": "3.1.0"}))
}
async fn openapi_actions_json(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    document(&state.openapi.actions)
}

fn document(document: &Document) -> Result<HttpResponse, ApiError> {
    let bytes = document.bytes().map_err(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be rendered");
        ApiError::bare(Code::Internal)
    })?;
    Ok(HttpResponse::Ok().content_type("application/json").body(bytes))
}

/// `GET /docs`: Swagger UI.
pub static PAGE: Endpoint =
    Endpoint::new("docs_page", Verb::Get, "/docs", Access::Public, Effect::Reads, || {
        Route::new().to(page)
    });

async fn page() -> impl Responder {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, headers::PAGE))
        .body(INDEX)
}

/// `GET /docs/{file}`: the files of the page.
pub static FILE: Endpoint =
    Endpoint::new("docs_file", Verb::Get, "/docs/{file}", Access::Public, Effect::Reads, || {
        Route::new().to(file)
    });

async fn file(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let not_found = || ApiError::new(Code::NotFound, "unknown file; the page is `/docs`");
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
