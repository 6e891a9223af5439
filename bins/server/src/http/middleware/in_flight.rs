//! Bounds the number of concurrent requests to a path: a request beyond the bound is refused immediately, and its
//! body is not parsed.

use std::time::Duration;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::http::errors::{ApiError, Code};
use crate::state::AppState;

/// Bytes of a refused body that are read and discarded.
const MAX_DISCARDED: usize = 64 * 1024;
/// How long that may take. Small bodies mostly arrive together with their head.
const DISCARD_DEADLINE: Duration = Duration::from_millis(20);

/// Runs a request to `path` if a slot is free, and holds the slot until the response exists.
pub async fn in_flight<B: MessageBody>(
    path: &'static str,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let state = request.app_data::<web::Data<AppState>>().cloned();
    let bounds = state.as_ref().map(|state| &state.in_flight);
    let Some(_slot) = bounds.and_then(|bounds| bounds.slot(path)) else {
        bounds.inspect(|bounds| bounds.count_refusal());
        discard(request.take_payload()).await;
        let refused = ApiError::new(
            Code::Overloaded,
            "too many requests to this path are in progress; try again later",
        );
        let refused = request.error_response(refused.retry_after(1));
        return Ok(refused.map_into_boxed_body().map_into_right_body());
    };
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}

/// Reads a small body so that the connection survives the refusal. A connection with unread body bytes is closed
/// after the response, and opening another costs both sides more than the refusal.
async fn discard(mut body: Payload) {
    let mut left = MAX_DISCARDED;
    let all = async {
        while let Some(Ok(chunk)) = body.next().await {
            match left.checked_sub(chunk.len()) {
                Some(fewer) => left = fewer,
                None => return,
            }
        }
    };
    // The response is sent whether or not the body has arrived by then.
    let _ = timeout(DISCARD_DEADLINE, all).await;
}
