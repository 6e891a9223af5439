//! The export: a task that gathers spans and sends them to the collector as OTLP over HTTP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use life_agent_engine::{EndedSpan, SpanKind, SpanValue};
use metrics::{Counter, counter};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status, span, status,
};
use prost::Message;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::SPANS;
use super::settings::TraceSettings;

/// Spans of one request to the collector.
const BATCH: usize = 512;
/// Attempts to send a batch while the collector cannot be reached, and the wait between them.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end of the service waits for the collector.
const LAST: Duration = Duration::from_secs(2);
/// Longest response that is read, in bytes.
const MAX_RESPONSE: usize = 64 * 1024;

/// There can be no export.
#[derive(Debug, thiserror::Error)]
#[error("OTEL_EXPORTER_OTLP_ENDPOINT is set, but this system cannot make TLS connections")]
pub struct NoExport;

/// The running export.
#[derive(Debug)]
pub struct Export {
    closing: CancellationToken,
    task: JoinHandle<()>,
}

impl Export {
    pub(super) fn start(
        settings: &TraceSettings,
        spans: Receiver<EndedSpan>,
    ) -> Result<Self, NoExport> {
        // Whichever of the process's crates comes first installs it; a second attempt changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(settings.timeout)
            .default_headers(settings.headers.iter().cloned().collect());
        // A collector without TLS is in the same network.
        if settings.endpoint.starts_with("http://") {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|_| NoExport)?;
        let closing = CancellationToken::new();
        let worker = Worker {
            client,
            endpoint: settings.endpoint.clone(),
            resource: resource(settings),
            delay: settings.delay,
            closing: closing.clone(),
            is_failing: false,
            exported: counter!(SPANS, "outcome" => "exported"),
            failed: counter!(SPANS, "outcome" => "failed"),
        };
        Ok(Self { closing, task: actix_web::rt::spawn(worker.run(spans)) })
    }

    /// Sends the spans that wait, for at most two seconds.
    pub async fn close(mut self) {
        self.closing.cancel();
        if tokio::time::timeout(LAST, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the collector did not take the last traces in time");
        }
    }
}

struct Worker {
    client: reqwest::Client,
    endpoint: String,
    resource: Resource,
    delay: Duration,
    closing: CancellationToken,
    /// Whether the last batch failed, so that only changes are logged.
    is_failing: bool,
    exported: Counter,
    failed: Counter,
}

/// Why a batch was not sent.
enum Failure {
    /// Another attempt may succeed.
    Passing(String),
    /// The collector refused the batch.
    Final(String),
}

impl Worker {
    async fn run(mut self, mut spans: Receiver<EndedSpan>) {
        let mut batch = Vec::new();
        loop {
            let is_last = self.gather(&mut spans, &mut batch).await;
            if !batch.is_empty() {
                self.export(std::mem::take(&mut batch)).await;
            }
            if is_last && spans.is_empty() {
                return;
            }
        }
    }

    /// Gathers a batch for a while. Returns whether no further one comes.
    async fn gather(&self, spans: &mut Receiver<EndedSpan>, batch: &mut Vec<EndedSpan>) -> bool {
        let gathering = async {
            if spans.recv_many(batch, BATCH).await == 0 {
                return true;
            }
            let until = tokio::time::Instant::now() + self.delay;
            while batch.len() < BATCH {
                let more = spans.recv_many(batch, BATCH - batch.len());
                match tokio::time::timeout_at(until, more).await {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
            false
        };
        let ended = self.closing.run_until_cancelled(gathering).await;
        if let Some(ended) = ended {
            return ended;
        }
        while batch.len() < BATCH
            && let Ok(span) = spans.try_recv()
        {
            batch.push(span);
        }
        true
    }

    async fn export(&mut self, batch: Vec<EndedSpan>) {
        let count = batch.len() as u64;
        let body = self.encoded(batch);
        let rejected = match self.send(body).await {
            Ok(rejected) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the collector takes traces again");
                }
                rejected.min(count)
            }
            Err(Failure::Passing(why) | Failure::Final(why)) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(why, "traces cannot be exported; they are dropped and counted");
                }
                count
            }
        };
        self.failed.increment(rejected);
        self.exported.increment(count - rejected);
    }

    /// Sends a batch and returns how many of its spans the collector rejected.
    async fn send(&self, body: Vec<u8>) -> Result<u64, Failure> {
        for _ in 1..ATTEMPTS {
            match self.attempt(body.clone()).await {
                Err(Failure::Passing(_)) if !self.closing.is_cancelled() => {
                    let _ = tokio::time::timeout(PAUSE, self.closing.cancelled()).await;
                }
                ended => return ended,
            }
        }
        self.attempt(body).await
    }

    async fn attempt(&self, body: Vec<u8>) -> Result<u64, Failure> {
        let request =
            self.client.post(&self.endpoint).header(CONTENT_TYPE, "application/x-protobuf");
        // Without the URL, which may name more than the log should.
        let passing = |error: reqwest::Error| Failure::Passing(error.without_url().to_string());
        let mut response = request.body(body).send().await.map_err(passing)?;
        let status = response.status();
        if !status.is_success() {
            let why = format!("the collector responded with status {}", status.as_u16());
            return Err(match status.as_u16() {
                429 | 502..=504 => Failure::Passing(why),
                _ => Failure::Final(why),
            });
        }
        let mut read = Vec::new();
        while read.len() < MAX_RESPONSE
            && let Ok(Some(bytes)) = response.chunk().await
        {
            read.extend_from_slice(&bytes);
        }
        let partial = ExportTraceServiceResponse::decode(read.as_slice()).ok();
        let rejected = partial.and_then(|response| Some(response.partial_success?.rejected_spans));
        Ok(rejected.unwrap_or_default().try_into().unwrap_or_default())
    }

    fn encoded(&self, batch: Vec<EndedSpan>) -> Vec<u8> {
        let scope = InstrumentationScope {
            name: "life-agent".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let spans = batch.into_iter().map(message).collect();
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
        let resource_spans = vec![ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans,
            schema_url: String::new(),
        }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }
}

/// The service, as traces name it. `service.name` of the further attributes does not count.
fn resource(settings: &TraceSettings) -> Resource {
    let own = [
        ("service.name", settings.service.as_str()),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let further = settings.resource.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let further = further.filter(|(name, _)| own.iter().all(|(known, _)| known != name));
    let attributes = own.into_iter().chain(further);
    let attributes = attributes.map(|(name, value)| pair(name, text(value.to_owned()))).collect();
    Resource { attributes, ..Resource::default() }
}

fn message(ended: EndedSpan) -> Span {
    let kind = match ended.kind {
        SpanKind::Internal => span::SpanKind::Internal,
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Client => span::SpanKind::Client,
    };
    let code = if ended.failed { status::StatusCode::Error } else { status::StatusCode::Unset };
    Span {
        trace_id: ended.trace.bytes().to_vec(),
        span_id: ended.id.bytes().to_vec(),
        trace_state: ended.state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
        parent_span_id: ended.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        name: ended.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanoseconds(ended.started),
        end_time_unix_nano: nanoseconds(ended.ended.max(ended.started)),
        attributes: ended.attributes.into_iter().map(|(name, of)| pair(name, value(of))).collect(),
        status: Some(Status { message: String::new(), code: code.into() }),
        ..Span::default()
    }
}

fn value(of: SpanValue) -> any_value::Value {
    match of {
        SpanValue::Text(of) => text(of.into_owned()),
        SpanValue::Number(number) => any_value::Value::IntValue(number),
        SpanValue::List(of) => {
            let values = of.into_iter().map(|of| AnyValue { value: Some(text(of)) }).collect();
            any_value::Value::ArrayValue(ArrayValue { values })
        }
    }
}

fn text(of: String) -> any_value::Value {
    any_value::Value::StringValue(of)
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().try_into().unwrap_or(u64::MAX)
}
