//! Wraps every error in the envelope, including those of the framework.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, web};

use super::request_id;
use crate::http::errors::{ApiError, Code};
use crate::state::AppState;
use crate::telemetry::traces;

/// Extension of a response whose body already is an envelope.
pub struct Enveloped;

/// Replaces the body of a response with an error status.
pub(super) fn wrap<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let status = response.status();
    let enveloped = response.response().extensions().contains::<Enveloped>();
    if enveloped || !status.is_client_error() && !status.is_server_error() {
        return response.map_into_left_body();
    }
    let body = body_of(&response);
    let close = leaves_body_unread(&response);
    let (request, response) = response.into_parts();
    let mut wrapped = HttpResponse::build(status);
    if close {
        wrapped.force_close();
    }
    let mut wrapped = wrapped.body(body);
    for (name, value) in response.headers() {
        // `WWW-Authenticate`, `Allow`, `Retry-After` and the CORS headers stay.
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            wrapped.headers_mut().append(name.clone(), value.clone());
        }
    }
    wrapped
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ServiceResponse::new(request, wrapped).map_into_right_body()
}

/// Whether bytes of the request may still arrive. A connection that waits for them could be held open by a slow
/// caller.
fn leaves_body_unread<B>(response: &ServiceResponse<B>) -> bool {
    let headers = response.request().headers();
    let length = headers.get(header::CONTENT_LENGTH);
    let announced = length.is_some_and(|length| length != "0")
        || headers.contains_key(header::TRANSFER_ENCODING);
    // These are decided before or within the body; all others after it.
    announced && matches!(response.status().as_u16(), 400 | 401 | 404 | 405 | 408 | 413 | 415)
}

/// The body of a response with an error status.
pub fn body_of<B>(response: &ServiceResponse<B>) -> Vec<u8> {
    let id = request_id::of(response.request());
    let of_framework = ApiError::bare(Code::of_status(response.status()));
    let own = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let error = own.unwrap_or(&of_framework);
    let state = response.request().app_data::<web::Data<AppState>>();
    let error = error.redacted(&|text| match state {
        Some(state) => state.engine.redact(text),
        None => String::new(),
    });
    let trace = traces::id_of(response.request());
    serde_json::to_vec(&error.envelope(&id).with_trace(trace.as_deref())).unwrap_or_default()
}
