//! The span of a request that the service receives, and its trace as an extension of the request.

use std::sync::Arc;

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{HttpMessage, HttpRequest, web};
use life_agent_engine::{Span, SpanKind, Trace, Tracer};

use super::caller::{self, CallerTrace};
use super::{Traces, active, new_trace_id};
use crate::http::endpoint::{self, Endpoint};
use crate::state::AppState;

/// The trace of a request as an extension.
struct RequestTrace(Arc<Trace>);

/// The trace of a request; none without tracing.
pub(crate) fn of(request: &HttpRequest) -> Option<Arc<Trace>> {
    active()?;
    request.extensions().get::<RequestTrace>().map(|trace| Arc::clone(&trace.0))
}

/// The trace ID of a request, as rows and errors have it.
pub(crate) fn id_of(request: &HttpRequest) -> Option<String> {
    of(request).map(|trace| trace.id().to_string())
}

/// Begins the span of a request: in the trace of its caller, or in a new one.
pub(crate) fn begin(request: &ServiceRequest) -> Span {
    let Some(traces) = active() else { return Span::default() };
    let trace = match caller::read(request.headers()) {
        Some(caller) => resume(traces, caller, request),
        None => Trace::begin(tracer(traces), new_trace_id()),
    };
    let span = Span::begin(&trace, SpanKind::Server, "request");
    put(request, &span);
    span
}

/// Begins the span of a request that is part of another one.
pub(crate) fn begin_inner(outer: &HttpRequest, inner: &ServiceRequest, tool: &'static str) -> Span {
    let Some(trace) = of(outer) else { return Span::default() };
    let mut span = Span::begin(&trace, SpanKind::Internal, format!("tools/call {tool}"));
    span.set("mcp.method.name", "tools/call");
    span.set("gen_ai.tool.name", tool);
    put(inner, &span);
    span
}

/// Ends the span of a request. `route` is the pattern: paths may contain what a caller wrote.
pub(crate) fn end<B>(
    mut span: Span,
    response: &ServiceResponse<B>,
    method: &'static str,
    id: &str,
) {
    if span.trace().is_none() {
        return;
    }
    let (request, status) = (response.request(), response.status().as_u16());
    // Anybody may send these, as often as they like; their traces would push all others out of the queue.
    if status < 400 && endpoint::of(request).is_some_and(Endpoint::is_public) {
        return span.discard();
    }
    let route = request.match_pattern();
    span.rename(|| match &route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    });
    span.set("http.request.method", method);
    if let Some(route) = &route {
        span.set_text("http.route", route);
    }
    span.set("http.response.status_code", status);
    span.set_text("life_agent.request_id", id);
    if status >= 500 {
        span.fail(status.to_string());
    }
}

fn put(request: &ServiceRequest, span: &Span) {
    if let Some(trace) = span.trace() {
        request.extensions_mut().insert(RequestTrace(Arc::clone(trace)));
    }
}

fn resume(traces: &Arc<Traces>, caller: CallerTrace, request: &ServiceRequest) -> Trace {
    let CallerTrace { id, parent, sampled, state } = caller;
    // The state goes on to providers and tools, and no gate reads it.
    let engine = request.app_data::<web::Data<AppState>>().map(|state| &state.engine);
    let is_clean = |text: &str| engine.is_some_and(|engine| engine.redact(text) == text);
    let state = state.filter(|state| is_clean(state.as_str()));
    Trace::resume(tracer(traces), id, parent, traces.sampler.resumes(id, sampled), state)
}

fn tracer(traces: &Arc<Traces>) -> Arc<dyn Tracer> {
    Arc::<Traces>::clone(traces)
}
