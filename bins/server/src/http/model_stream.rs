//! Model responses as server-sent events, and errors after the head of a response.

use std::convert::Infallible;

use actix_web::http::header::{self, HeaderName};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt};
use life_agent_engine::EngineError;

use crate::http::errors::ApiError;
use crate::http::middleware::request_id;
use crate::state::AppState;
use crate::telemetry::traces;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A response that streams these events.
pub fn respond(events: impl Stream<Item = Bytes> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        // Proxies such as nginx would otherwise buffer events.
        .insert_header((X_ACCEL_BUFFERING, "no"))
        .streaming(events.map(Ok::<_, Infallible>))
}

/// Renders errors for a stream whose head has been sent.
#[derive(Clone)]
pub struct StreamErrors {
    state: web::Data<AppState>,
    request_id: String,
    trace_id: Option<String>,
}

impl StreamErrors {
    /// For the response to a request.
    pub fn new(state: &web::Data<AppState>, request: &HttpRequest) -> Self {
        let request_id = request_id::of(request).as_ref().to_owned();
        Self { state: state.clone(), request_id, trace_id: traces::id_of(request) }
    }

    /// The error envelope in one line.
    pub fn line(&self, error: EngineError) -> String {
        let error = ApiError::from(error).redacted(&|text| self.state.engine.redact(text));
        let envelope = error.envelope(&self.request_id).with_trace(self.trace_id.as_deref());
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}
