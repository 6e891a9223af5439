//! The context of one request.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use life_agent_domain::governance::event::Timing;
use life_agent_domain::governance::ids::Principal;
use life_agent_observer::{Guard, WriteBatch};

use crate::idempotency::mark::Mark;
use crate::trace::{Span, SpanKind, Trace};

/// The caller and the request that everything recorded on its behalf refers to. Make one per request:
/// it measures the time since it was made.
///
/// ```
/// use life_agent_engine::RequestContext;
/// use life_agent_engine::domain::governance::ids::Principal;
///
/// let context = RequestContext::new(Principal::new("ann"), "request-1".to_owned());
/// assert_eq!(context.principal.as_str(), "ann");
/// ```
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The caller.
    pub principal: Principal,
    /// The request's id, part of every row; empty for the service's own actions.
    pub request: String,
    /// The request's claim on an idempotency key.
    pub idempotency: Option<Mark>,
    /// The arrival of the request.
    pub started: Instant,
    /// The trace that the request belongs to.
    pub trace: Option<Arc<Trace>>,
    spent: Spent,
    /// Set once gates have judged the request, if several instances share the journal.
    judge: OnceLock<Arc<dyn EffectJudge>>,
}

/// Judges the effects of a request when they are recorded.
pub(crate) trait EffectJudge: fmt::Debug + Send + Sync {
    /// The guard of a batch: neither the kill switch nor a stop forbids it, and the policy is active if one is named.
    fn guard(&self, principal: &Principal, batch: &WriteBatch, policy: Option<&str>) -> Guard;
}

/// Time spent so far, in microseconds.
#[derive(Debug, Default)]
struct Spent {
    gates: AtomicU64,
    model: AtomicU64,
}

impl Clone for Spent {
    fn clone(&self) -> Self {
        Self {
            gates: AtomicU64::new(self.gates.load(Ordering::Relaxed)),
            model: AtomicU64::new(self.model.load(Ordering::Relaxed)),
        }
    }
}

impl RequestContext {
    /// The context of a request that arrives now.
    pub fn new(principal: Principal, request: String) -> Self {
        let (idempotency, trace, spent) = (None, None, Spent::default());
        let (started, judge) = (Instant::now(), OnceLock::new());
        Self { principal, request, idempotency, started, trace, spent, judge }
    }

    /// The service's own context.
    pub fn system() -> Self {
        Self::new(Principal::system(), String::new())
    }

    /// The same context with a claim on an idempotency key.
    #[must_use]
    pub fn with_idempotency(self, idempotency: Option<Mark>) -> Self {
        Self { idempotency, ..self }
    }

    /// The same context as part of a trace.
    #[must_use]
    pub fn with_trace(self, trace: Option<Arc<Trace>>) -> Self {
        Self { trace, ..self }
    }

    /// Begins an operation of the request; nothing without a trace.
    pub(crate) fn span<N: Into<Cow<'static, str>>>(
        &self,
        kind: SpanKind,
        name: impl FnOnce() -> N,
    ) -> Span {
        let trace = self.trace.as_deref();
        trace.map(|trace| Span::begin(trace, kind, name())).unwrap_or_default()
    }

    /// The context of an operation of the request, if the operation has a span.
    pub(crate) fn below(&self, span: &Span) -> Option<Self> {
        span.trace().map(|trace| self.clone().with_trace(Some(Arc::clone(trace))))
    }

    /// Names the judge of the effects of the request when they are recorded.
    pub(crate) fn judged_by(&self, judge: Arc<dyn EffectJudge>) {
        self.judge.get_or_init(|| judge);
    }

    pub(crate) fn judge(&self) -> Option<&Arc<dyn EffectJudge>> {
        self.judge.get()
    }

    /// Adds time spent in the gate chain.
    pub(crate) fn add_gate_time(&self, time: Duration) {
        self.spent.gates.fetch_add(micros(time), Ordering::Relaxed);
    }

    /// Adds time spent waiting for a model.
    pub(crate) fn add_model_time(&self, time: Duration) {
        self.spent.model.fetch_add(micros(time).max(1), Ordering::Relaxed);
    }

    /// Adds the time that a part of the request spent under a context of its own, cloned from this one
    /// when nothing had been spent since.
    pub(crate) fn adopt_times(&self, part: &RequestContext) {
        let of = |times: &AtomicU64| times.load(Ordering::Relaxed);
        self.spent.gates.fetch_max(of(&part.spent.gates), Ordering::Relaxed);
        self.spent.model.fetch_max(of(&part.spent.model), Ordering::Relaxed);
    }

    /// The times for a row that is recorded now; `None` if no request caused the row.
    pub(crate) fn timing(&self) -> Option<Timing> {
        if self.request.is_empty() {
            return None;
        }
        let model = self.spent.model.load(Ordering::Relaxed);
        Some(Timing {
            gates_us: self.spent.gates.load(Ordering::Relaxed),
            elapsed_us: micros(self.started.elapsed()),
            model_us: (model > 0).then_some(model),
        })
    }
}

fn micros(time: Duration) -> u64 {
    time.as_micros().try_into().unwrap_or(u64::MAX)
}
