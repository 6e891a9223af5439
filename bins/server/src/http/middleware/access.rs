//! One log line and two metrics per request. None of them contains a raw path or a key.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use life_agent_engine::Span;
use metrics::{Counter, Histogram, counter, histogram};

use crate::http::endpoint::{self, Endpoint};
use crate::telemetry::logging::Answered;
use crate::telemetry::traces;

/// The route label of requests that match no route.
const UNMATCHED: &str = "unmatched";

/// Counts, times and logs a response, and ends the span of its request.
pub(super) fn record<B>(response: &ServiceResponse<B>, id: &str, elapsed: Duration, span: Span) {
    let request = response.request();
    let route = request.match_pattern().unwrap_or_else(|| UNMATCHED.to_owned());
    let (method, status) = (label(request.method()), response.status().as_u16());
    let route = measure(Series { method, route, status }, elapsed);
    let trace = span.trace().map(|trace| trace.id());
    traces::end(span, response, method, id);
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    // Anybody may send these, as often as they like; their lines would push all others out of the log.
    if status < 400 && endpoint::of(request).is_some_and(Endpoint::is_public) {
        return tracing::debug!(request_id = id, method, route, status, micros, "answered");
    }
    Answered { request_id: id, trace, method, route: &route, status, micros }.log();
}

/// Counts and logs a request that could not be parsed.
pub fn unread(request_id: &str, status: u16) {
    counter("other", UNMATCHED.to_owned(), status).increment(1);
    tracing::info!(request_id, route = UNMATCHED, status, "rejected an unparsable request");
}

/// One time series. Their number is bounded: routes come from the table and unknown methods share a label.
#[derive(PartialEq, Eq, Hash)]
struct Series {
    method: &'static str,
    route: String,
    status: u16,
}

thread_local! {
    /// Metric handles by series: a lookup by labels costs more than counting.
    static HANDLES: RefCell<HashMap<Series, (Counter, Histogram)>> = RefCell::default();
}

/// Counts and times a request; returns the route.
fn measure(series: Series, elapsed: Duration) -> String {
    HANDLES.with_borrow_mut(|handles| {
        if let Some((requests, seconds)) = handles.get(&series) {
            requests.increment(1);
            seconds.record(elapsed);
            return series.route;
        }
        let route = series.route.clone();
        let requests = counter(series.method, route.clone(), series.status);
        let seconds = histogram!("http_request_seconds", "route" => route.clone());
        requests.increment(1);
        seconds.record(elapsed);
        handles.insert(series, (requests, seconds));
        route
    })
}

fn counter(method: &'static str, route: String, status: u16) -> Counter {
    let status = status.to_string();
    counter!("http_requests_total", "method" => method, "route" => route, "status" => status)
}

/// The method as a label. Callers can invent methods, and each would become a series.
fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "other",
    }
}
