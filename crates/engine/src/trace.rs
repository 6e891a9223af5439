//! Distributed traces: the spans of a request, and the trace context that it passes on
//! (<https://www.w3.org/TR/trace-context/>).
//!
//! The engine knows no exporter: a [`Tracer`] receives the spans. A context without a [`Trace`] makes none, at the
//! cost of one comparison. Attributes name and count; they never contain texts or credentials.

mod ids;
pub(crate) mod model;
mod span;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use ids::{SpanId, TraceId};
pub use span::{EndedSpan, Span, SpanKind, SpanValue};
pub use state::TraceState;

/// Receives the spans of requests.
pub trait Tracer: fmt::Debug + Send + Sync {
    /// A random id.
    fn new_span_id(&self) -> SpanId;

    /// Whether the spans of a trace that begins here are kept.
    fn samples(&self, trace: TraceId) -> bool;

    /// Takes a span that has ended. Must not block.
    fn ended(&self, span: EndedSpan);
}

/// The trace of a request, and the span in it that further spans belong to.
#[derive(Debug, Clone)]
pub struct Trace {
    tracer: Arc<dyn Tracer>,
    id: TraceId,
    span: Option<SpanId>,
    sampled: bool,
    state: Option<TraceState>,
}

impl Trace {
    /// A trace that begins here.
    pub fn begin(tracer: Arc<dyn Tracer>, id: TraceId) -> Self {
        let sampled = tracer.samples(id);
        Self { tracer, id, span: None, sampled, state: None }
    }

    /// The trace of a caller, whose span `parent` sent the request.
    pub fn resume(
        tracer: Arc<dyn Tracer>,
        id: TraceId,
        parent: SpanId,
        sampled: bool,
        state: Option<TraceState>,
    ) -> Self {
        Self { tracer, id, span: Some(parent), sampled, state }
    }

    /// The id of the trace.
    pub fn id(&self) -> TraceId {
        self.id
    }

    /// The headers of a request that is part of this trace: `traceparent`, and `tracestate` if the caller sent one.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let Some(span) = self.span else { return Vec::new() };
        let flags = u8::from(self.sampled);
        let mut headers = vec![("traceparent", format!("00-{}-{span}-{flags:02x}", self.id))];
        headers.extend(self.state.as_ref().map(|state| ("tracestate", state.as_str().to_owned())));
        headers
    }
}

/// Sends a model's request with the trace context of a span.
pub(crate) async fn with_context<T>(span: &Span, call: impl Future<Output = T>) -> T {
    match span.trace() {
        Some(trace) => life_agent_groq::with_headers(trace.headers(), call).await,
        None => call.await,
    }
}
