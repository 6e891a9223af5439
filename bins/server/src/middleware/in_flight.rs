//! Bounds how many requests to a path are under way: one too many is refused at once, and its body is not
//! looked at.
//!
//! Each path has a bound of its own, so that turns that wait for a model keep no act out. Health, metrics,
//! the kill switch and event streams have none: an operator needs them most when everything else is busy.

use std::time::Duration;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use futures_util::StreamExt;
use metrics::{Counter, Gauge, counter, gauge};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::app::AppState;
use crate::errors::{ApiError, Code};

/// Bytes of a refused body that are let in to be thrown away.
const MAX_DISCARDED: usize = 64 * 1024;
/// How long those may take. They mostly come together with their head.
const SOON: Duration = Duration::from_millis(20);

/// What is under way on each bounded path; one for all workers.
pub struct InFlight {
    paths: Vec<(&'static str, Semaphore, Gauge)>,
    refused: Counter,
}

/// One request under way.
struct Place<'a> {
    gauge: &'a Gauge,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gauge.decrement(1);
    }
}

impl InFlight {
    /// Up to `max` requests to each of these paths.
    pub fn new(max: usize, paths: &[&'static str]) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        let bound = |path: &&'static str| {
            let gauge = gauge!("http_requests_in_flight", "route" => *path);
            gauge.set(0);
            (*path, Semaphore::new(max), gauge)
        };
        let refused = counter!("overload_refused_total", "reason" => "in_flight");
        Self { paths: paths.iter().map(bound).collect(), refused }
    }

    /// A place for one more request to this path, unless it has as many as it may.
    fn place(&self, path: &'static str) -> Option<Place<'_>> {
        let (_, semaphore, gauge) = self.paths.iter().find(|(bounded, ..)| *bounded == path)?;
        let permit = semaphore.try_acquire().ok()?;
        gauge.increment(1);
        Some(Place { gauge, _permit: permit })
    }
}

/// Lets a request to `path` through if there is room, and holds its place until its answer is there.
pub async fn in_flight<B: MessageBody>(
    path: &'static str,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let state = request.app_data::<web::Data<AppState>>().cloned();
    let bounds = state.as_ref().map(|state| &state.in_flight);
    let Some(_place) = bounds.and_then(|bounds| bounds.place(path)) else {
        bounds.inspect(|bounds| bounds.refused.increment(1));
        discard(request.take_payload()).await;
        let refused = ApiError::new(
            Code::Overloaded,
            "as many requests as may wait here are under way; try again later",
        );
        let refused = request.error_response(refused.retry_after(1));
        return Ok(refused.map_into_boxed_body().map_into_right_body());
    };
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}

/// Lets a small body in, so that the connection outlives the refusal: one with bytes of a body still to come is
/// closed after the answer, and opening another costs both sides more than being refused.
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
    // What has not come by then is not waited for; the answer goes out either way.
    let _ = timeout(SOON, all).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_as_many_places_as_were_given_and_gets_them_back() {
        let bounds = InFlight::new(2, &["/a", "/b"]);
        let held = [bounds.place("/a"), bounds.place("/a")];
        assert!(held.iter().all(Option::is_some));
        assert!(bounds.place("/a").is_none());
        assert!(bounds.place("/b").is_some());
        drop(held);
        assert!(bounds.place("/a").is_some());
    }
}
