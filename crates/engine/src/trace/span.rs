//! One span: an operation of a request, with its attributes, from its beginning until it is dropped.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use super::{SpanId, Trace, TraceId, TraceState};

/// Longest copied text, in bytes; longer names are cut.
const MAX_TEXT: usize = 256;

/// The side of an operation that a span describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Within the service.
    Internal,
    /// A request that the service receives.
    Server,
    /// A request that the service sends.
    Client,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
    /// Texts.
    List(Vec<String>),
}

/// A span in progress. It ends when it is dropped.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    /// The trace with this span as the parent of further ones.
    trace: Arc<Trace>,
    parent: Option<SpanId>,
    id: SpanId,
    name: Cow<'static, str>,
    kind: SpanKind,
    started: SystemTime,
    attributes: Vec<(&'static str, SpanValue)>,
    failed: bool,
}

/// A span that has ended.
#[derive(Debug, Clone)]
pub struct EndedSpan {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub id: SpanId,
    /// The span that it belongs to; none for the first one of a trace.
    pub parent: Option<SpanId>,
    /// What the caller's tracing system added to the trace.
    pub state: Option<TraceState>,
    /// The operation.
    pub name: Cow<'static, str>,
    /// Its side.
    pub kind: SpanKind,
    /// Its beginning.
    pub started: SystemTime,
    /// Its end.
    pub ended: SystemTime,
    /// Its attributes, by the names of OpenTelemetry's semantic conventions.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// Whether the operation failed.
    pub failed: bool,
}

impl Span {
    /// Begins an operation within a trace.
    pub fn begin(trace: &Trace, kind: SpanKind, name: impl Into<Cow<'static, str>>) -> Self {
        let (id, parent) = (trace.tracer.new_span_id(), trace.span);
        let trace = Arc::new(Trace { span: Some(id), ..trace.clone() });
        let (name, started) = (name.into(), SystemTime::now());
        let (attributes, failed) = (Vec::new(), false);
        Self(Some(Box::new(Open { trace, parent, id, name, kind, started, attributes, failed })))
    }

    /// Begins an operation within this one.
    pub(crate) fn child<N: Into<Cow<'static, str>>>(
        &self,
        kind: SpanKind,
        name: impl FnOnce() -> N,
    ) -> Self {
        self.trace().map(|trace| Self::begin(trace, kind, name())).unwrap_or_default()
    }

    /// The trace with this span as the parent of further ones; `None` without tracing.
    pub fn trace(&self) -> Option<&Arc<Trace>> {
        self.0.as_ref().map(|open| &open.trace)
    }

    /// Gives the operation the name that has become known.
    pub fn rename(&mut self, name: impl FnOnce() -> String) {
        if let Some(open) = &mut self.0 {
            open.name = name().into();
        }
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<SpanValue>) {
        if let Some(open) = self.0.as_mut().filter(|open| open.trace.sampled) {
            open.attributes.push((name, value.into()));
        }
    }

    /// Sets an attribute to a copy of a text.
    pub fn set_text(&mut self, name: &'static str, text: &str) {
        if self.0.as_ref().is_some_and(|open| open.trace.sampled) {
            let end = text.floor_char_boundary(MAX_TEXT);
            self.set(name, text[..end].to_owned());
        }
    }

    /// Marks the operation as failed, with a label of few different values.
    pub fn fail(&mut self, label: impl Into<SpanValue>) {
        self.set("error.type", label);
        if let Some(open) = &mut self.0 {
            open.failed = true;
        }
    }

    /// Ends the operation without a span.
    pub fn discard(mut self) {
        self.0 = None;
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(open) = self.0.take() else { return };
        let Open { trace, parent, id, name, kind, started, attributes, failed } = *open;
        if !trace.sampled {
            return;
        }
        trace.tracer.ended(EndedSpan {
            trace: trace.id,
            id,
            parent,
            state: trace.state.clone(),
            name,
            kind,
            started,
            ended: SystemTime::now(),
            attributes,
            failed,
        });
    }
}

impl From<&'static str> for SpanValue {
    fn from(text: &'static str) -> Self {
        SpanValue::Text(text.into())
    }
}

impl From<String> for SpanValue {
    fn from(text: String) -> Self {
        SpanValue::Text(text.into())
    }
}

impl From<u16> for SpanValue {
    fn from(number: u16) -> Self {
        SpanValue::Number(number.into())
    }
}

impl From<u64> for SpanValue {
    fn from(number: u64) -> Self {
        SpanValue::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

impl From<Vec<String>> for SpanValue {
    fn from(texts: Vec<String>) -> Self {
        SpanValue::List(texts)
    }
}
