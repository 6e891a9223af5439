//! `GET /docs`, `GET /openapi.json`: the API documentation, for people and for programs.

use actix_web::{HttpResponse, Route, web};
use serde_json::json;

use crate::http::documents::Document;
use crate::http::endpoint::{Access, Description, Effect, Endpoint, Tag, Verb};
use crate::http::errors::{ApiError, Code};
use crate::state::AppState;

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

/// `GET /docs/{file}`: the files of the page.
pub static FILE: Endpoint =
    Endpoint::new("docs_file", Verb::Get, "/docs/{file}", Access::Public, Effect::Reads, || {
        Route::new().to(file)
    });

async fn page() -> HttpResponse {
    ui::page()
}

async fn file(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let unknown = || ApiError::new(Code::NotFound, "unknown file; the page is `/docs`");
    ui::file(&name).ok_or_else(unknown)
}

/// Swagger UI.
#[cfg(feature = "swagger-ui")]
mod ui {
    use std::borrow::Cow;
    use std::convert::Infallible;
    use std::sync::Arc;

    use actix_web::HttpResponse;
    use actix_web::body::SizedStream;
    use actix_web::http::header;
    use actix_web::web::Bytes;
    use futures_util::stream::{self, Stream};
    use utoipa_swagger_ui::{Config, SwaggerFile};

    use crate::http::middleware::headers;

    /// Our own page: Swagger UI's starts with an inline script that the Content-Security-Policy would have to allow.
    const INDEX: &str = include_str!("../../assets/docs.html");
    const SCRIPT: &str = include_str!("../../assets/docs.js");
    /// The files of Swagger UI that the page needs, out of the whole package.
    const FILES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

    /// Bytes of a file that are handed over at once.
    const PART: usize = 16 * 1024;

    pub(super) fn page() -> HttpResponse {
        HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, headers::PAGE))
            .body(INDEX)
    }

    pub(super) fn file(name: &str) -> Option<HttpResponse> {
        if name == "docs.js" {
            let mut script = HttpResponse::Ok();
            return Some(script.content_type("text/javascript; charset=utf-8").body(SCRIPT));
        }
        if !FILES.contains(&name) {
            return None;
        }
        let file: SwaggerFile<'static> =
            utoipa_swagger_ui::serve(name, Arc::new(Config::from("openapi.json"))).ok()??;
        let mut response = HttpResponse::Ok();
        if file.gzpipped {
            response.insert_header((header::CONTENT_ENCODING, "gzip"));
        }
        let bytes = match file.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Some(response.content_type(file.content_type).body(in_parts(bytes)))
    }

    /// A body that is handed over part by part: a slow reader holds one part of it, not a copy of the whole.
    fn in_parts(bytes: Bytes) -> SizedStream<impl Stream<Item = Result<Bytes, Infallible>>> {
        let length = bytes.len();
        let parts = (0..length)
            .step_by(PART)
            .map(move |from| Ok(bytes.slice(from..length.min(from + PART))));
        SizedStream::new(length as u64, stream::iter(parts))
    }
}

/// The build has no Swagger UI; the document itself takes its place.
#[cfg(not(feature = "swagger-ui"))]
mod ui {
    use actix_web::HttpResponse;
    use actix_web::http::header;

    pub(super) fn page() -> HttpResponse {
        let mut redirect = HttpResponse::TemporaryRedirect();
        redirect.insert_header((header::LOCATION, "/openapi.json")).finish()
    }

    pub(super) fn file(_name: &str) -> Option<HttpResponse> {
        None
    }
}
