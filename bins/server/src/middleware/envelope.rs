//! Puts the one envelope around every error, ours and the framework's.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, web};

use super::request_id;
use crate::app::AppState;
use crate::errors::{ApiError, Code};

/// In the extensions of an answer that has its envelope already.
pub struct Whole;

/// Replaces the body of an answer with an error status.
pub(super) fn put_around<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let status = response.status();
    let whole = response.response().extensions().contains::<Whole>();
    if whole || !status.is_client_error() && !status.is_server_error() {
        return response.map_into_left_body();
    }
    let body = body_of(&response);
    let close = leaves_body_unread(&response);
    let (request, response) = response.into_parts();
    let mut answer = HttpResponse::build(status);
    if close {
        answer.force_close();
    }
    let mut answer = answer.body(body);
    for (name, value) in response.headers() {
        // `WWW-Authenticate`, `Allow`, `Retry-After` and what CORS has put on stay.
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            answer.headers_mut().append(name.clone(), value.clone());
        }
    }
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ServiceResponse::new(request, answer).map_into_right_body()
}

/// Whether bytes of the request may still be on their way. A connection that waits for them would be
/// one that a slow caller can hold for as long as they like.
fn leaves_body_unread<B>(response: &ServiceResponse<B>) -> bool {
    let headers = response.request().headers();
    let length = headers.get(header::CONTENT_LENGTH);
    let announced = length.is_some_and(|length| length != "0")
        || headers.contains_key(header::TRANSFER_ENCODING);
    // These are decided before the body, or in the middle of it; all others after it.
    announced && matches!(response.status().as_u16(), 400 | 401 | 404 | 405 | 408 | 413 | 415)
}

/// The body of an answer with an error status.
pub fn body_of<B>(response: &ServiceResponse<B>) -> Vec<u8> {
    let id = request_id::of(response.request());
    let of_framework = ApiError::bare(Code::of_status(response.status()));
    let own = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let error = own.unwrap_or(&of_framework);
    let state = response.request().app_data::<web::Data<AppState>>();
    let error = error.cleaned(&|text| match state {
        Some(state) => state.engine.redact(text),
        None => String::new(),
    });
    serde_json::to_vec(&error.envelope(&id)).unwrap_or_default()
}
