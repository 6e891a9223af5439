//! Connections beyond those for anybody: their requests have to present a key.

use std::sync::Arc;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderValue};

use crate::http::errors::{ApiError, Code};
use crate::http::extract::grant_of;
use crate::listener::slot::Slot;

/// The refusal of a request without a valid key on a connection that is held back for callers with one.
pub(super) fn refusal(request: &ServiceRequest) -> Option<ApiError> {
    let slot = request.request().conn_data::<Option<Arc<Slot>>>()?.as_ref()?;
    if !slot.is_on_probation() {
        return None;
    }
    match grant_of(request.request()) {
        Ok(_) => {
            slot.prove();
            None
        }
        Err(_) => {
            let message = "the last connections are for callers with a key; try again later";
            let refused = ApiError::new(Code::Overloaded, message).retry_after(1);
            Some(refused.with_header(header::CONNECTION, HeaderValue::from_static("close")))
        }
    }
}
