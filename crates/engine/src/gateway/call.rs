//! `tools/call` through the gateway: judged and recorded, forwarded once the row is durable, and finished with the
//! row of its result.

use std::time::{Duration, Instant};

use life_agent_domain::governance::approval::Status;
use life_agent_domain::governance::command::{Tool, without_secrets};
use life_agent_domain::governance::gate::{Reason, Refusal};
use life_agent_domain::governance::payload::Arguments;
use life_agent_mcp::definition::Change;
use life_agent_mcp::error::RpcError;
use life_agent_mcp::events::{Events, event};
use life_agent_mcp::lock::Pinned;
use life_agent_mcp::message::Request;
use life_agent_mcp::object::RawObject;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::elicitation::{self, Asked, Response};
use super::headers::{self, PARAMETER_PREFIX};
use super::repeated::{Claimed, KEY_FIELD, claim, keep};
use super::span;
use super::upstream::{
    MAX_MESSAGE, Passage, Upstream, UpstreamError, is_response_to, is_stream, passage, read_message,
};
use super::{
    GatewayBody, GatewayReply, GatewayRequest, GatewayService, command, rpc_error, written,
};
use crate::context::RequestContext;
use crate::error::{DenialReport, EngineError};
use crate::idempotency::Mark;
use crate::tools::{ToolOutcome, ToolResult};
use crate::trace::Span;

/// The parameters of `tools/call` that are judged by themselves or are metadata.
const KNOWN: [&str; 3] = ["name", "arguments", "_meta"];
/// The argument under which further parameters are judged.
const FURTHER: &str = "_params";
/// Longest difference in a denial, in bytes.
const MAX_DIFFERENCE: usize = 2000;
/// How long a repeated call waits for the decision about it: less than clients wait for a response.
const LONGEST_WAIT: Duration = Duration::from_secs(45);

/// A call on its way.
struct Running {
    gateway: GatewayService,
    context: RequestContext,
    upstream: Upstream,
    /// The id of the request.
    id: Value,
    /// The row of the call.
    row: u64,
    mark: Option<Mark>,
    started: Instant,
    /// Whether secrets were removed from the arguments.
    is_redacted: bool,
    /// The exchange with the server, until its end is recorded.
    span: Mutex<Span>,
}

/// Runs a call.
pub(super) async fn run(
    gateway: &GatewayService,
    context: &RequestContext,
    upstream: Upstream,
    request: GatewayRequest,
    call: Request,
) -> Result<GatewayReply, EngineError> {
    let id = call.id.clone();
    let invalid = |message: &str| Ok(rpc_error(&RpcError::invalid_params(message), Some(&id)));
    let text = String::from_utf8_lossy(&request.body);
    let (Some(message), Some(name)) = (RawObject::read(&text), call.params.name.clone()) else {
        return invalid("`params.name` is missing");
    };
    let mut params = message.object("params").unwrap_or_default();
    let response = elicitation::take_response(&mut params)?;
    let Some((arguments, further)) = judged(&params) else {
        return invalid("`params.arguments` must be an object of at most 1 MiB and 64 levels");
    };
    let Some(tool) = command(&request, &name, arguments) else {
        return invalid(
            "the name of the tool must have 1 to 256 characters without control characters",
        );
    };
    let mark = match claim(gateway, context, &request, &call, &params).await? {
        Claimed::None => None,
        Claimed::First(mark) => Some(mark),
        Claimed::Reply(result) => return Ok(json_reply(&id, &result, Vec::new())),
    };
    let context = context.clone().with_idempotency(mark.clone());
    let decided = match pin_refusal(gateway, &upstream, &request.server, &name).await? {
        Some(refusal) => {
            Err(gateway.0.tools.refuse_definition(&context, tool.clone(), refusal).await)
        }
        None => decide(gateway, &context, &tool, response).await,
    };
    let row = match decided {
        Ok(outcome) => outcome.event_id,
        Err(EngineError::Denied(report)) => {
            let elicits = gateway.0.clients.elicits(&context, &request, &call);
            let elicits = elicits.filter(|_| response != Response::Refused);
            match elicitation::asked(elicits, &report, &request) {
                Some(Asked::Error(error)) => return Ok(rpc_error(&error, Some(&id))),
                Some(Asked::Result(mut result)) => {
                    add_meta(&mut result, row_meta(gateway, report.event_id).await);
                    return Ok(json_reply(&id, &result, Vec::new()));
                }
                None => {}
            }
            let result = refused(gateway, &report).await;
            keep(gateway, mark, &result).await;
            return Ok(json_reply(&id, &result, Vec::new()));
        }
        Err(error) => return Err(error),
    };
    let same = (response == Response::None).then_some(request.body.as_slice());
    let (body, is_redacted) = outgoing(gateway, message, params, &tool, further, same)?;
    let mut headers = gateway.headers(&request);
    // They repeat arguments: those that differ were judged by no gate, or are of arguments that were changed.
    headers.retain(|(name, value)| {
        !name.starts_with(PARAMETER_PREFIX)
            || !is_redacted && headers::repeats(value, &tool.arguments)
    });
    let started = Instant::now();
    let span = span::begin_call(&context, &request.server, &gateway.0.cell.redact(&name));
    let (gateway, span) = (gateway.clone(), Mutex::new(span));
    let running = Running { gateway, context, upstream, id, row, mark, started, is_redacted, span };
    // A caller that disconnects repeats a call with a key, and must then get its result.
    let sent = tokio::spawn(async move { running.send(headers, body).await });
    sent.await.map_err(|_| EngineError::Unavailable)?
}

/// The decision about a call. One whose person has opened the approval's address waits for the decision there.
async fn decide(
    gateway: &GatewayService,
    context: &RequestContext,
    tool: &Tool,
    response: Response,
) -> Result<ToolOutcome, EngineError> {
    let decided = gateway.0.tools.request(context, tool.clone()).await;
    let waits_for = match &decided {
        Err(EngineError::Denied(report)) if response == Response::Opened => {
            report.approval.as_ref().map(|approval| approval.approval_id)
        }
        _ => None,
    };
    let Some(approval) = waits_for else { return decided };
    let status = gateway.0.governor.approvals.until_decided(approval, LONGEST_WAIT).await;
    match (status, decided) {
        (Some(Status::Approved), _) => gateway.0.tools.request(context, tool.clone()).await,
        // Another request for the same approval would ask the person again.
        (Some(Status::Denied), Err(EngineError::Denied(report))) => {
            let message = "a person denied this request".to_owned();
            let denied = DenialReport { message, approval: None, ..*report };
            Err(EngineError::Denied(Box::new(denied)))
        }
        (_, decided) => decided,
    }
}

/// The arguments as the gates see them, and whether they hold further parameters.
fn judged(params: &RawObject) -> Option<(Arguments, bool)> {
    let mut arguments: Map<String, Value> = match params.get("arguments") {
        None => Map::new(),
        Some(_) => params.value("arguments")?,
    };
    let further: Map<String, Value> = params
        .iter()
        .filter(|(name, _)| !KNOWN.contains(name))
        .map(|(name, value)| Some((name.to_owned(), serde_json::from_str(value.get()).ok()?)))
        .collect::<Option<_>>()?;
    let has_further = !further.is_empty();
    if has_further {
        if arguments.contains_key(FURTHER) {
            return None;
        }
        arguments.insert(FURTHER.to_owned(), further.into());
    }
    Some((arguments.try_into().ok()?, has_further))
}

/// The message that is sent: the client's own bytes if they are still the `same`, or without the secrets that the
/// gates remove and those in the metadata, which no gate judges.
fn outgoing(
    gateway: &GatewayService,
    mut message: RawObject,
    mut params: RawObject,
    tool: &Tool,
    further: bool,
    same: Option<&[u8]>,
) -> Result<(Vec<u8>, bool), EngineError> {
    let policy = gateway.0.cell.active();
    let sent = without_secrets(tool.clone(), policy.chain.redactor());
    let is_redacted = sent.arguments != tool.arguments;
    if is_redacted {
        let mut arguments = sent.arguments.as_object().clone();
        if further && let Some(Value::Object(further)) = arguments.remove(FURTHER) {
            params.retain(|name| KNOWN.contains(&name));
            for (name, value) in further {
                params.set(&name, written(&value)?);
            }
        }
        params.set("arguments", written(&arguments)?);
    }
    let mut is_changed = is_redacted;
    if let Some(mut meta) = params.object("_meta") {
        if meta.get(KEY_FIELD).is_some() {
            meta.retain(|name| name != KEY_FIELD);
            params.set("_meta", written(&meta)?);
            is_changed = true;
        }
        is_changed |= clean_field(gateway, &mut params, "_meta")?;
    }
    let around: Vec<String> = message.iter().map(|(name, _)| name.to_owned()).collect();
    for name in around.iter().filter(|name| *name != "params") {
        is_changed |= clean_field(gateway, &mut message, name)?;
    }
    if let Some(same) = same.filter(|_| !is_changed) {
        return Ok((same.to_vec(), false));
    }
    message.set("params", written(&params)?);
    Ok((written(&message)?.get().as_bytes().to_vec(), is_redacted))
}

/// Removes the secrets of a field; whether it had any. A field whose name is one goes as a whole.
fn clean_field(
    gateway: &GatewayService,
    object: &mut RawObject,
    name: &str,
) -> Result<bool, EngineError> {
    if gateway.0.cell.redact(name) != name {
        object.retain(|field| field != name);
        return Ok(true);
    }
    let value: Option<Value> = object.value(name);
    match value.and_then(|value| gateway.clean(&value)) {
        Some(clean) => {
            object.set(name, written(&clean)?);
            Ok(true)
        }
        None => Ok(false),
    }
}

/// The refusal of a tool whose definition is not the pinned one.
async fn pin_refusal(
    gateway: &GatewayService,
    upstream: &Upstream,
    server: &str,
    tool: &str,
) -> Result<Option<Refusal>, EngineError> {
    let lock = gateway.0.pins.lock().await?;
    let refusal = |rule: &str, message: String| {
        let refusal = Refusal::new(Reason::ToolChanged, message);
        Ok(Some(Refusal { rule: Some(rule.to_owned()), ..refusal }))
    };
    match gateway.definition(upstream, server, tool).await {
        Err(error) => {
            refusal("unreachable", format!("the definition of the tool cannot be read: {error}"))
        }
        Ok(None) => refusal("unknown", "the server does not list this tool".to_owned()),
        Ok(Some(definition)) => match lock.compare(server, &definition) {
            Pinned::Same => Ok(None),
            Pinned::New => {
                let message =
                    "the tool is not pinned; an operator reviews it with `life-agent mcp pin`";
                refusal("not_pinned", message.to_owned())
            }
            Pinned::Changed(changes) => refusal("changed", difference(&changes)),
        },
    }
}

/// What changed, as a sentence.
fn difference(changes: &[Change]) -> String {
    let line = |change: &Change| {
        format!("`{}` was {} and is {}", change.field, change.pinned, change.present)
    };
    let mut lines = changes.iter().map(line).collect::<Vec<_>>().join("; ");
    lines.truncate(lines.floor_char_boundary(MAX_DIFFERENCE));
    format!(
        "the definition of the tool is not the pinned one; an operator reviews it with `life-agent mcp pin`: {lines}"
    )
}

impl Running {
    async fn send(
        self,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<GatewayReply, EngineError> {
        let mut span = std::mem::take(&mut *self.span.lock());
        let sent = self.upstream.send(&span, &headers, body).await;
        span::sent(&mut span, &sent);
        *self.span.lock() = span;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return self.failed(&error).await,
        };
        let (status, headers) = (response.status().as_u16(), headers::of_response(&response));
        if is_stream(&response) {
            let (sender, receiver) = mpsc::channel(16);
            tokio::spawn(self.events(response, sender));
            return Ok(GatewayReply { status, headers, body: GatewayBody::Events(receiver) });
        }
        let body = match self.upstream.whole(&mut response).await {
            Ok(body) => body,
            Err(error) => return self.failed(&error).await,
        };
        let message = std::str::from_utf8(&body).ok().and_then(read_message);
        let message = message.filter(|message| is_response_to(message, &self.id));
        let message = match message {
            Some(message) => self.finish(message).await?,
            // The server refused the request before it knew the call.
            None if (400..500).contains(&status) => {
                let message = format!("the MCP server responded with status {status}");
                let reply = self.failed(&UpstreamError::NotSent(message)).await?;
                return Ok(match status {
                    400 | 404 | 405 => super::refused(status, Some(&self.id)),
                    _ => reply,
                });
            }
            None => {
                let message = "the MCP server sent no response".to_owned();
                return self.failed(&UpstreamError::Lost(message)).await;
            }
        };
        let body = GatewayBody::Json(written(&message)?.get().as_bytes().to_vec());
        Ok(GatewayReply { status, headers, body })
    }

    /// Passes events on, and the response once its row is durable.
    async fn events(self, mut response: reqwest::Response, sender: mpsc::Sender<Vec<u8>>) {
        let mut events = Events::default();
        let cause = loop {
            // A caller that disconnects cancels the call, unless it can repeat it.
            if sender.is_closed() && self.mark.is_none() {
                return;
            }
            match self.upstream.piece(&mut response).await {
                Ok(Some(piece)) => events.push(&piece),
                Ok(None) => {
                    break UpstreamError::Lost("the MCP server sent no response".to_owned());
                }
                Err(error) => break error,
            }
            if events.pending() > MAX_MESSAGE {
                break UpstreamError::Lost("a message of the MCP server is too large".to_owned());
            }
            while let Some(next) = events.next_event() {
                let message = match passage(&next, Some(&self.id)) {
                    Passage::Response(message) => message,
                    Passage::AsIs => {
                        let _ = sender.send(next.raw).await;
                        continue;
                    }
                    Passage::Dropped => continue,
                };
                let finished = match self.finish(message).await {
                    Ok(message) => message.raw().ok(),
                    Err(error) => {
                        let error = RpcError::internal(error.to_string());
                        let text = error.response(Some(&self.id)).to_string();
                        serde_json::value::RawValue::from_string(text).ok()
                    }
                };
                if let Some(message) = finished {
                    let _ = sender.send(event(message.get())).await;
                }
                return;
            }
        };
        if let Ok(GatewayReply { body: GatewayBody::Json(body), .. }) = self.failed(&cause).await {
            let _ = sender.send(event(&String::from_utf8_lossy(&body))).await;
        }
    }

    /// Records the result of the call, and adds its rows to it.
    async fn finish(&self, mut message: RawObject) -> Result<RawObject, EngineError> {
        // Every reader must see a result that was recorded and that has the rows.
        if message.get("result").is_some_and(|result| RawObject::read(result.get()).is_none()) {
            let error = RpcError::internal("the MCP server sent a result that is no object");
            let error = error.response(Some(&self.id));
            message = RawObject::read(&error.to_string()).unwrap_or_default();
        }
        let result = message.object("result");
        let reported = ToolResult {
            is_error: match &result {
                Some(result) => Some(result.value("isError").unwrap_or(false)),
                None => Some(true),
            },
            result: match &result {
                Some(_) => message.value("result"),
                None => message.value("error"),
            },
            duration_ms: Some(self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX)),
        };
        let mut span = std::mem::take(&mut *self.span.lock());
        if reported.is_error == Some(true) {
            span.fail("tool_error");
        }
        drop(span);
        let finished = self.gateway.0.tools.finish(&self.context, self.row, reported).await?;
        let Some(mut result) = result else { return Ok(message) };
        add_meta(&mut result, row_meta(&self.gateway, self.row).await);
        add_meta(&mut result, [("result_event_id", json!(finished.event_id))]);
        if !finished.labels.is_empty() {
            add_meta(&mut result, [("life-agent/labels", json!(finished.labels))]);
        }
        if self.is_redacted {
            add_meta(&mut result, [("life-agent/arguments-redacted", json!(true))]);
        }
        keep(&self.gateway, self.mark.clone(), &result).await;
        message.set("result", written(&result)?);
        Ok(message)
    }

    /// The result of a call without a response. A call that was sent has an unknown outcome, which is not guessed.
    async fn failed(&self, error: &UpstreamError) -> Result<GatewayReply, EngineError> {
        // Ends here: recording the failure is not part of the exchange.
        drop(std::mem::take(&mut *self.span.lock()));
        let (code, message) = match error {
            UpstreamError::NotSent(message) => {
                let reported = ToolResult {
                    is_error: Some(true),
                    result: Some(Value::from(message.as_str())),
                    duration_ms: None,
                };
                self.gateway.0.tools.finish(&self.context, self.row, reported).await?;
                ("upstream_failed", format!("{message}; the call was not made"))
            }
            UpstreamError::Lost(message) => (
                "outcome_unknown",
                format!("{message}; the outcome of the call is unknown, see row {}", self.row),
            ),
        };
        let body =
            json!({"error": {"code": code, "message": message, "details": {"event_id": self.row}}});
        let mut result = error_result(&body);
        add_meta(&mut result, row_meta(&self.gateway, self.row).await);
        keep(&self.gateway, self.mark.clone(), &result).await;
        Ok(json_reply(&self.id, &result, Vec::new()))
    }
}

/// The result of a refused call.
async fn refused(gateway: &GatewayService, report: &DenialReport) -> RawObject {
    let code = report.reason.code();
    let body = json!({"error": {"code": code, "message": report.message, "details": report}});
    let mut result = error_result(&body);
    add_meta(&mut result, row_meta(gateway, report.event_id).await);
    result
}

/// The row of a call, its hash, and the policy that decided.
async fn row_meta(gateway: &GatewayService, id: u64) -> Vec<(&'static str, Value)> {
    let Ok(Some(row)) = gateway.0.journal.row(id).await else { return Vec::new() };
    let policy =
        row.envelope().map(|envelope| envelope.policy_hash.into_owned()).unwrap_or_default();
    vec![("event_id", json!(id)), ("hash", json!(row.hash)), ("policy_hash", json!(policy))]
}

pub(super) fn error_result(body: &Value) -> RawObject {
    let content = json!([{"type": "text", "text": body.to_string()}]);
    let result = json!({"content": content, "isError": true, "resultType": "complete"});
    RawObject::read(&result.to_string()).unwrap_or_default()
}

pub(super) fn add_meta(
    result: &mut RawObject,
    fields: impl IntoIterator<Item = (&'static str, Value)>,
) {
    let mut meta = result.object("_meta").unwrap_or_default();
    for (name, value) in fields {
        if let Ok(value) = serde_json::value::to_raw_value(&value) {
            meta.set(name, value);
        }
    }
    if let Ok(meta) = meta.raw() {
        result.set("_meta", meta);
    }
}

fn json_reply(id: &Value, result: &RawObject, headers: Vec<(String, String)>) -> GatewayReply {
    let message = json!({"jsonrpc": "2.0", "id": id, "result": result});
    GatewayReply { status: 200, headers, body: GatewayBody::Json(message.to_string().into_bytes()) }
}
