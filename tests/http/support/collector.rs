//! A stand-in for an OpenTelemetry collector: takes OTLP over HTTP and keeps the spans.

use std::collections::BTreeMap;

use life_agent_groq::testing::{Answer, Seen, StandIn};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;

use super::setup::Setup;

/// The header that the service sends to the collector. No pattern knows the shape of its value.
pub(crate) const COLLECTOR_KEY: &str = "collector-key-without-a-shape";

pub(crate) struct Collector(StandIn);

/// A span, with its ids in hex and the values of its attributes as text.
#[derive(Debug, Clone)]
pub(crate) struct Traced {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for the first span of a trace.
    pub(crate) parent: String,
    pub(crate) state: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) failed: bool,
    pub(crate) service: BTreeMap<String, String>,
}

impl Traced {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// The `traceparent` of a request that this span made.
    pub(crate) fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.id)
    }
}

impl Collector {
    pub(crate) async fn start() -> Self {
        Self::answering(Answer::new(200, "application/x-protobuf", "")).await
    }

    /// A collector that gives every export this answer.
    pub(crate) async fn answering(answer: Answer) -> Self {
        Self(StandIn::start(vec![answer]).await.unwrap())
    }

    /// The setup of a service that exports to this collector as soon as it can.
    pub(crate) fn of(&self, setup: Setup) -> Setup {
        let base = self.0.base_url().strip_suffix("/v1").unwrap();
        setup
            .set("OTEL_EXPORTER_OTLP_ENDPOINT", base)
            .set("OTEL_EXPORTER_OTLP_HEADERS", &format!("x-collector-key={COLLECTOR_KEY}"))
            .set("OTEL_BSP_SCHEDULE_DELAY", "1")
    }

    pub(crate) fn exports(&self) -> Vec<Seen> {
        self.0.seen()
    }

    /// The spans, once one of this name is among them and all that belong to the same trace have come: a request's
    /// own span ends last.
    pub(crate) async fn until(&self, name: &str) -> Vec<Traced> {
        let mut exports = 1;
        loop {
            self.0.until_seen(exports).await;
            let spans = self.spans();
            if spans.iter().any(|span| span.name == name) {
                return spans;
            }
            exports = self.0.seen().len() + 1;
        }
    }

    /// The spans so far.
    pub(crate) fn spans(&self) -> Vec<Traced> {
        self.0.seen().iter().flat_map(|export| spans(&export.raw)).collect()
    }
}

fn spans(body: &[u8]) -> Vec<Traced> {
    let mut found = Vec::new();
    for resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let service = texts(&resource.resource.unwrap().attributes);
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            assert!(
                span.end_time_unix_nano >= span.start_time_unix_nano
                    && span.start_time_unix_nano > 0
            );
            found.push(Traced {
                trace: hex::encode(&span.trace_id),
                id: hex::encode(&span.span_id),
                parent: hex::encode(&span.parent_span_id),
                state: span.trace_state.clone(),
                kind: span.kind(),
                attributes: texts(&span.attributes),
                failed: span.status.as_ref().is_some_and(|status| status.code == 2),
                service: service.clone(),
                name: span.name,
            });
        }
    }
    found
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref().unwrap()))).collect()
}

fn text(value: &AnyValue) -> String {
    match value.value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::ArrayValue(list) => list.values.iter().map(text).collect::<Vec<_>>().join(","),
        other => panic!("{other:?}"),
    }
}
