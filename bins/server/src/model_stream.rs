//! Answers of the model as server-sent events, and errors that come after the head of an answer.

use std::convert::Infallible;

use actix_web::http::header::{self, HeaderName};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt};
use life_agent_engine::EngineError;

use crate::app::AppState;
use crate::errors::ApiError;
use crate::middleware::request_id;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The head of a stream around its events.
pub fn answer(events: impl Stream<Item = Bytes> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        // Proxies such as nginx would hold events back until a buffer is full.
        .insert_header((X_ACCEL_BUFFERING, "no"))
        .streaming(events.map(Ok::<_, Infallible>))
}

/// Words errors for a stream whose head has gone out.
#[derive(Clone)]
pub struct Teller {
    state: web::Data<AppState>,
    request_id: String,
}

impl Teller {
    /// For the answer to a request.
    pub fn new(state: &web::Data<AppState>, request: &HttpRequest) -> Self {
        Self { state: state.clone(), request_id: request_id::of(request).as_ref().to_owned() }
    }

    /// The one envelope, in one line.
    pub fn error(&self, error: EngineError) -> String {
        let error = ApiError::from(error).cleaned(&|text| self.state.engine.redact(text));
        serde_json::to_string(&error.envelope(&self.request_id)).unwrap_or_default()
    }
}
