//! Traces of requests, sent to an OpenTelemetry collector. Off unless a collector is configured, and then a request
//! costs one look at a static.
//!
//! Spans wait in a bounded queue; a full queue drops and counts them, so that a slow collector never delays a request.

mod caller;
mod export;
mod request;
mod settings;

use std::sync::{Arc, OnceLock};

use life_agent_engine::{EndedSpan, SpanId, TraceId, Tracer};
use metrics::{Counter, counter};
use rand::RngExt;
use tokio::sync::mpsc::{Sender, channel};

pub use self::export::{Export, NoExport};
pub(crate) use self::request::{begin, begin_inner, end, id_of, of};
pub use self::settings::{Sampler, TraceSettings};

/// The metric of spans, by outcome.
const SPANS: &str = "trace_spans_total";

/// The running traces. Static, because every request asks whether there are any.
static ACTIVE: OnceLock<Arc<Traces>> = OnceLock::new();

/// Samples traces and queues their spans.
#[derive(Debug)]
pub(crate) struct Traces {
    sampler: Sampler,
    queue: Sender<EndedSpan>,
    dropped: Counter,
}

/// Starts the export; a second start in one process, as in tests, keeps the first one.
pub fn start(settings: &TraceSettings) -> Result<(Arc<dyn Tracer>, Export), NoExport> {
    let (queue, spans) = channel(settings.queue);
    let export = Export::start(settings, spans)?;
    let dropped = counter!(SPANS, "outcome" => "dropped");
    let traces = Arc::new(Traces { sampler: settings.sampler, queue, dropped });
    let traces = ACTIVE.get_or_init(|| traces);
    Ok((Arc::<Traces>::clone(traces), export))
}

/// The running traces, if there are any.
fn active() -> Option<&'static Arc<Traces>> {
    ACTIVE.get()
}

impl Tracer for Traces {
    fn new_span_id(&self) -> SpanId {
        loop {
            if let Some(id) = SpanId::new(rand::rng().random()) {
                return id;
            }
        }
    }

    fn samples(&self, trace: TraceId) -> bool {
        self.sampler.samples(trace)
    }

    fn ended(&self, span: EndedSpan) {
        if self.queue.try_send(span).is_err() {
            self.dropped.increment(1);
        }
    }
}

/// A random id of a trace.
fn new_trace_id() -> TraceId {
    loop {
        if let Some(id) = TraceId::new(rand::rng().random()) {
            return id;
        }
    }
}
