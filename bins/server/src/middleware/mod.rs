//! What every request and every answer goes through: [`manners`] for all, the others for some.

pub mod access;
pub mod cors;
pub mod envelope;
pub mod headers;
pub mod idempotency;
pub mod in_flight;
pub mod request_id;

use std::rc::Rc;
use std::time::Instant;

use actix_web::Error;
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use crate::logging;

/// Gives a request its id, and its answer the envelope, the headers, the metrics and the line in the log. One
/// middleware and not four: each layer of its own costs every request two allocations.
pub async fn manners<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let begun = Instant::now();
    let id = request_id::give(&request);
    let response = logging::within(Rc::clone(&id), next.call(request)).await?;
    let mut response = envelope::put_around(response);
    headers::put_on(response.headers_mut());
    request_id::put_on(response.headers_mut(), &id);
    access::note(&response, &id, begun.elapsed());
    Ok(response)
}
