//! The gateway to MCP servers: forwards messages, lists the tools that policy and pins allow, and turns each
//! `tools/call` into a recorded tool call.

mod call;
mod elicitation;
mod headers;
mod pins;
mod repeated;
mod span;
mod upstream;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_domain::governance::command::{Label, Tool};
use life_agent_domain::governance::ids::AgentId;
use life_agent_domain::governance::json_text;
use life_agent_domain::governance::payload::{Arguments, redact_json};
use life_agent_domain::governance::request::Request as CheckRequest;
use life_agent_gates::risk::provenance::inspect_tool_description;
use life_agent_mcp::definition::Definition;
use life_agent_mcp::error::RpcError;
use life_agent_mcp::events::Events;
use life_agent_mcp::lock::Pinned;
use life_agent_mcp::message::{Message, Request};
use life_agent_mcp::object::RawObject;
use life_agent_observer::Journal;
use life_agent_policy::mcp::McpServer;
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;

use crate::config::{Config, ReadKey};
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::govern::Governor;
use crate::idempotency::Idempotency;
use crate::policy::PolicyCell;
use crate::tools::ToolService;
use elicitation::Clients;
use pins::Pins;
use upstream::{Catalog, MAX_MESSAGE, Passage, Upstream, UpstreamError, is_stream, passage};

/// Methods that pass. An unknown method could act without being judged.
const METHODS: [&str; 13] = [
    "initialize",
    "ping",
    "server/discover",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
    "logging/setLevel",
    "subscriptions/listen",
];

/// A message of a client to a server.
#[derive(Debug, Clone)]
pub struct GatewayRequest {
    /// The name of the server in the policy.
    pub server: String,
    /// The agent that calls.
    pub agent: AgentId,
    /// The message, byte for byte.
    pub body: Vec<u8>,
    /// The headers of the client's request, names in lower case. Only those of the protocol are forwarded.
    pub headers: Vec<(String, String)>,
}

/// The response to a message.
#[derive(Debug)]
pub struct GatewayReply {
    /// The HTTP status.
    pub status: u16,
    /// The headers of the protocol.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: GatewayBody,
}

/// The body of a response.
#[derive(Debug)]
pub enum GatewayBody {
    /// Nothing, for a notification.
    Empty,
    /// One message as JSON.
    Json(Vec<u8>),
    /// Events, as they arrive.
    Events(mpsc::Receiver<Vec<u8>>),
}

/// The gateway.
#[derive(Clone)]
pub(crate) struct GatewayService(Arc<Gateway>);

struct Gateway {
    config: Config,
    client: Option<reqwest::Client>,
    cell: Arc<PolicyCell>,
    governor: Arc<Governor>,
    tools: Arc<ToolService>,
    idempotency: Arc<Idempotency>,
    journal: Journal,
    pins: Pins,
    clients: Clients,
    catalogs: Mutex<HashMap<String, (Instant, Arc<Catalog>)>>,
}

impl GatewayService {
    pub(crate) fn new(
        config: Config,
        cell: Arc<PolicyCell>,
        governor: Arc<Governor>,
        tools: Arc<ToolService>,
        idempotency: Arc<Idempotency>,
        journal: Journal,
    ) -> Self {
        let pins = Pins::at(config.policy_path.with_file_name("mcp.lock"));
        let client = Upstream::client();
        let client =
            client.inspect_err(|error| tracing::error!(%error, "no client for MCP servers"));
        let (client, catalogs) = (client.ok(), Mutex::default());
        Self(Arc::new(Gateway {
            config,
            client,
            cell,
            governor,
            tools,
            idempotency,
            journal,
            pins,
            clients: Clients::default(),
            catalogs,
        }))
    }

    /// Responds to a message. Fails only if the server is unknown or the journal cannot be used; every other error
    /// is part of the protocol.
    pub(crate) async fn handle(
        &self,
        context: &RequestContext,
        request: GatewayRequest,
    ) -> Result<GatewayReply, EngineError> {
        let upstream = self.upstream(&request.server)?;
        let message = match Message::read(&request.body) {
            Ok(message) => message,
            Err(error) => return Ok(rpc_error(&error, None)),
        };
        let id = match &message {
            Message::Request(call) => Some(&call.id),
            Message::Notification(_) | Message::Response => None,
        };
        // The server reads the bytes, and the gates and the record what they parsed.
        if let Err(fault) = json_text::check(&String::from_utf8_lossy(&request.body)) {
            return Ok(rpc_error(&RpcError::invalid_request(fault.to_string()), id));
        }
        if id.and_then(Value::as_str).is_some_and(|id| self.0.cell.redact(id) != id) {
            let message = "`id` holds a credential; number the requests";
            return Ok(rpc_error(&RpcError::invalid_request(message), None));
        }
        let Message::Request(call) = message else {
            // A notification, or the response to a request of the server.
            return Ok(self.forward(context, &upstream, &request, None).await);
        };
        if let Err(error) = headers::check(&call, &request.headers) {
            return Ok(rpc_error(&error, Some(&call.id)));
        }
        let Ok(upstream) = upstream else {
            return Ok(self.forward(context, &upstream, &request, Some(&call)).await);
        };
        match call.method.as_str() {
            "tools/list" => self.list(context, &upstream, &request, &call).await,
            "tools/call" => call::run(self, context, upstream, request, call).await,
            method if METHODS.contains(&method) => {
                let reply = self.forward(context, &Ok(upstream), &request, Some(&call)).await;
                if method == "initialize" && reply.status < 400 {
                    self.0.clients.opened(context, &request, &reply);
                }
                Ok(reply)
            }
            method => {
                let method = self.0.cell.redact(method);
                Ok(rpc_error(&RpcError::unknown_method(&method, 404), Some(&call.id)))
            }
        }
    }

    fn upstream(&self, server: &str) -> Result<Result<Upstream, UpstreamError>, EngineError> {
        let policy = self.0.cell.active();
        let servers = &policy.snapshot.policy.mcp.servers;
        let found = servers.get(server).ok_or_else(|| {
            EngineError::NotFound("the policy names no MCP server of this name".to_owned())
        })?;
        let client = self.0.client.clone().ok_or(EngineError::Unavailable)?;
        Ok(Upstream::new(client, found, &self.0.config.call_limits.read_key))
    }

    /// Forwards a message whose content no gate judges; secrets are removed from it.
    async fn forward(
        &self,
        context: &RequestContext,
        upstream: &Result<Upstream, UpstreamError>,
        request: &GatewayRequest,
        call: Option<&Request>,
    ) -> GatewayReply {
        let failed = |error: &UpstreamError| {
            rpc_error(&RpcError::internal(error.to_string()), call.map(|call| &call.id))
        };
        let upstream = match upstream {
            Ok(upstream) => upstream,
            Err(error) => return failed(error),
        };
        let (headers, body) = (self.headers(request), self.redacted(&request.body));
        let method = call.map_or("notification", |call| call.method.as_str());
        let mut span = span::begin(context, &request.server, method);
        let sent = upstream.send(&span, &headers, body).await;
        span::sent(&mut span, &sent);
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return failed(&error),
        };
        let (status, headers) = (response.status().as_u16(), headers::of_response(&response));
        if is_stream(&response) {
            return GatewayReply {
                status,
                headers,
                body: GatewayBody::Events(stream(response, call.map(|call| call.id.clone()))),
            };
        }
        match upstream.whole(&mut response).await {
            Ok(body) if status >= 400 && !is_message(&body) => {
                refused(status, call.map(|call| &call.id))
            }
            Ok(body) if body.is_empty() => {
                GatewayReply { status, headers, body: GatewayBody::Empty }
            }
            Ok(body) => GatewayReply { status, headers, body: GatewayBody::Json(body) },
            Err(error) => failed(&error),
        }
    }

    /// The tools of a server that the pins and the policy allow.
    async fn list(
        &self,
        context: &RequestContext,
        upstream: &Upstream,
        request: &GatewayRequest,
        call: &Request,
    ) -> Result<GatewayReply, EngineError> {
        let failed = |error: UpstreamError| {
            Ok(rpc_error(&RpcError::internal(error.to_string()), Some(&call.id)))
        };
        let lock = self.0.pins.lock().await?;
        let body = self.redacted(&request.body);
        let mut span = span::begin(context, &request.server, &call.method);
        let sent = upstream.send(&span, &self.headers(request), body).await;
        span::sent(&mut span, &sent);
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return failed(error),
        };
        let (status, headers) = (response.status().as_u16(), headers::of_response(&response));
        let mut message = match upstream.message(&mut response, &call.id).await {
            Ok(message) => message,
            Err(error) => return failed(error),
        };
        if message.get("result").is_some() {
            let mut result = message.object("result").unwrap_or_default();
            let mut kept = Vec::new();
            for tool in result.value::<Vec<RawObject>>("tools").unwrap_or_default() {
                let Some(definition) = Definition::of(&tool) else { continue };
                let pinned = lock.compare(&request.server, &definition) == Pinned::Same;
                if pinned && self.permits(context, request, definition.name()).await? {
                    kept.push(tool);
                }
            }
            result.set("tools", written(&kept)?);
            message.set("result", written(&result)?);
        }
        let body = GatewayBody::Json(written(&message)?.get().as_bytes().to_vec());
        Ok(GatewayReply { status, headers, body })
    }

    /// Whether the policy allows some call of a tool: a call without arguments is not denied for good.
    async fn permits(
        &self,
        context: &RequestContext,
        request: &GatewayRequest,
        tool: &str,
    ) -> Result<bool, EngineError> {
        let Some(tool) = command(request, tool, Arguments::default()) else { return Ok(false) };
        let outcome = self.0.governor.check(context, CheckRequest::Tool(tool)).await?;
        Ok(outcome.code != Some("tool_denied"))
    }

    /// The definition of a tool as its server lists it, read again if it is older than the policy permits.
    async fn definition(
        &self,
        upstream: &Upstream,
        server: &str,
        tool: &str,
    ) -> Result<Option<Definition>, UpstreamError> {
        let refresh = self.0.cell.active().snapshot.policy.mcp.refresh_seconds;
        let refresh = Duration::from_secs(refresh.into());
        let key = format!("{server} {}", upstream.address());
        let known = self.0.catalogs.lock().get(&key).cloned();
        let catalog = match known {
            Some((read, catalog)) if read.elapsed() < refresh => catalog,
            _ => {
                let catalog = Arc::new(catalog_of(upstream.definitions().await?));
                let entry = (Instant::now(), Arc::clone(&catalog));
                let mut catalogs = self.0.catalogs.lock();
                // A server whose address changed leaves an entry behind.
                if catalogs.len() > 256 {
                    catalogs.clear();
                }
                catalogs.insert(key, entry);
                catalog
            }
        };
        Ok(catalog.get(tool).cloned())
    }

    /// The protocol's headers of a request, without secrets.
    fn headers(&self, request: &GatewayRequest) -> Vec<(String, String)> {
        let mut headers = headers::forwarded(&request.headers);
        headers.retain(|(_, value)| self.0.cell.redact(value) == *value);
        headers
    }

    /// A message without secrets; the same bytes if there are none.
    fn redacted(&self, body: &[u8]) -> Vec<u8> {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => {
                self.clean(&value).map_or_else(|| body.to_vec(), |v| v.to_string().into_bytes())
            }
            Err(_) => body.to_vec(),
        }
    }

    /// The value without its secrets; `None` if it has none.
    fn clean(&self, value: &Value) -> Option<Value> {
        let clean = redact_json(value.clone(), self.0.cell.active().chain.redactor());
        (clean != *value).then_some(clean)
    }
}

/// Passes the events of a response on until either side ends. Listening streams are silent for as long as nothing
/// changes, so no silence ends them.
fn stream(mut response: reqwest::Response, id: Option<Value>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut events = Events::default();
        loop {
            let piece = tokio::select! {
                piece = response.chunk() => piece,
                () = sender.closed() => return,
            };
            let Ok(Some(piece)) = piece else { return };
            events.push(&piece);
            while let Some(event) = events.next_event() {
                let is_dropped = matches!(passage(&event, id.as_ref()), Passage::Dropped);
                if !is_dropped && sender.send(event.raw).await.is_err() {
                    return;
                }
            }
            if events.pending() > MAX_MESSAGE {
                return;
            }
        }
    });
    receiver
}

/// A tool with two definitions has none.
fn catalog_of(definitions: Vec<Definition>) -> Catalog {
    let (mut catalog, mut twice) = (Catalog::new(), Vec::new());
    for definition in definitions {
        let name = definition.name().to_owned();
        if let Some(other) = catalog.insert(name.clone(), definition.clone())
            && other.digest() != definition.digest()
        {
            twice.push(name);
        }
    }
    catalog.retain(|name, _| !twice.contains(name));
    catalog
}

/// A tool call; `None` if a name is too long or has control characters.
fn command(request: &GatewayRequest, tool: &str, arguments: Arguments) -> Option<Tool> {
    Some(Tool {
        agent: request.agent.clone(),
        tool: Label::new(tool).ok()?,
        server: Some(Label::new(request.server.as_str()).ok()?),
        arguments,
        session_id: None,
        call_id: None,
        cwd: None,
    })
}

fn written(value: &impl serde::Serialize) -> Result<Box<RawValue>, EngineError> {
    to_raw_value(value).map_err(|error| {
        tracing::error!(%error, "a message cannot be written");
        EngineError::Unavailable
    })
}

/// Whether a body is a message of the protocol. Proxies and login pages respond with others.
fn is_message(body: &[u8]) -> bool {
    let object = std::str::from_utf8(body).ok().and_then(RawObject::read);
    object.is_some_and(|object| object.get("jsonrpc").is_some())
}

/// The reply for a server that refused a request outside of the protocol. Clients find the era and the end of a
/// session by some of the statuses; others would be taken for refusals of the service.
fn refused(status: u16, id: Option<&Value>) -> GatewayReply {
    let error = RpcError::internal(format!("the MCP server responded with status {status}"));
    let status = if matches!(status, 400 | 404 | 405) { status } else { 502 };
    rpc_error(&RpcError { status, ..error }, id)
}

/// An error of the protocol.
fn rpc_error(error: &RpcError, id: Option<&Value>) -> GatewayReply {
    let body = GatewayBody::Json(error.response(id).to_string().into_bytes());
    GatewayReply { status: error.status, headers: Vec::new(), body }
}

/// The definitions of a server's tools as it lists them now.
///
/// # Errors
/// A sentence that says why the server could not be asked.
pub async fn mcp_definitions(
    server: &McpServer,
    read_key: &ReadKey,
) -> Result<Vec<Definition>, String> {
    let client = Upstream::client().map_err(|error| error.to_string())?;
    let read = async { Upstream::new(client, server, read_key)?.definitions().await };
    read.await.map_err(|error| error.to_string())
}

/// Ids of the signs of an injection in texts that a tool's server wrote for a model.
pub fn suspicious_texts(texts: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for sign in texts.iter().flat_map(|text| inspect_tool_description(text)) {
        if !found.iter().any(|known| *known == sign.rule) {
            found.push(sign.rule.into_owned());
        }
    }
    found
}
