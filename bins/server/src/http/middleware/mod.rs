//! The middleware: [`request_context`] for every request, the others for some.

pub mod access;
pub mod aliases;
pub mod cors;
pub mod denials;
pub mod envelope;
pub mod headers;
pub mod idempotency;
pub mod in_flight;
mod probation;
pub mod request_id;

use std::sync::Arc;
use std::time::Instant;

use actix_http::ConnectionType;
use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Version;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};

use crate::auth::request_limit::Standing;
use crate::http::extract;
use crate::telemetry::{logging, traces};

/// Assigns the request ID, and adds the error envelope, the headers, the metrics and the log line to the response.
/// One middleware instead of four: each layer costs every request two allocations.
pub async fn request_context<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let started = Instant::now();
    aliases::apply(&mut request);
    let id = request_id::assign(&request);
    let span = traces::begin(&request);
    extract::prepare(&request).await;
    let mut response = match probation::refusal(&request) {
        None => {
            let response = {
                let trace = span.trace().map(|trace| trace.id());
                logging::within(Arc::clone(&id), trace, next.call(request)).await?
            };
            denials::record(&response, &id).await;
            envelope::wrap(response)
        }
        Some(refused) => {
            let response = envelope::wrap(request.error_response(refused));
            response.map_body(|_, body| EitherBody::right(BoxBody::new(body)))
        }
    };
    headers::insert(response.headers_mut());
    insert_standing(&mut response);
    request_id::insert(response.headers_mut(), &id);
    end_with_connection(&mut response);
    access::record(&response, &id, started.elapsed(), span);
    Ok(response)
}

/// Ends a stream to a client of HTTP/1.0, which cannot read chunks, with the connection.
fn end_with_connection<B: MessageBody>(response: &mut ServiceResponse<B>) {
    let is_old = response.request().version() < Version::HTTP_11;
    if is_old && response.response().body().size() == BodySize::Stream {
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
}

/// Adds the headers of the principal's limit, if it has one.
fn insert_standing<B>(response: &mut ServiceResponse<B>) {
    let standing = response.request().extensions().get::<Standing>().cloned();
    if let Some(standing) = standing {
        standing.insert(response.headers_mut());
    }
}
