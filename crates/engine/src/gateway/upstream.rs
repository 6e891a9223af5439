//! The client of MCP servers: forwards messages, and reads the definitions of tools in either protocol era.

use std::collections::BTreeMap;
use std::time::Duration;

use life_agent_domain::governance::json_text;
use life_agent_mcp::definition::Definition;
use life_agent_mcp::era::{HANDSHAKE, METHOD_HEADER, STATELESS, VERSION_HEADER};
use life_agent_mcp::events::{Event, Events};
use life_agent_mcp::object::RawObject;
use life_agent_policy::mcp::McpServer;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::config::{KeySource, ReadKey};
use crate::trace::Span;

/// Largest message of a server, in bytes.
pub(super) const MAX_MESSAGE: usize = 32 * 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(10);
/// Pages of `tools/list` that are read, and tools that are kept.
const MAX_PAGES: usize = 50;
const MAX_TOOLS: usize = 2000;
/// The header of a session in the older era.
pub(super) const SESSION_HEADER: &str = "mcp-session-id";

/// A server that is ready to be called.
#[derive(Clone)]
pub(super) struct Upstream {
    client: reqwest::Client,
    url: reqwest::Url,
    headers: HeaderMap,
    pub(super) silence: Duration,
}

/// Why a server gave no usable response.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// The request was not sent.
    #[error("{0}")]
    NotSent(String),
    /// The request may have taken effect.
    #[error("{0}")]
    Lost(String),
}

impl Upstream {
    /// The client of all servers.
    pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
        // Whichever of the process's crates comes first installs it; a second attempt changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .build()
    }

    /// A server of the policy. The values of its headers come from `read_key`.
    pub(super) fn new(
        client: reqwest::Client,
        server: &McpServer,
        read_key: &ReadKey,
    ) -> Result<Self, UpstreamError> {
        let url = reqwest::Url::parse(&server.url)
            .map_err(|_| UpstreamError::NotSent("the server's URL is invalid".to_owned()))?;
        let mut headers = HeaderMap::new();
        for (name, variable) in &server.headers_env {
            let value = read_key(&KeySource::Env(variable.clone()));
            let value = value.and_then(|value| HeaderValue::from_str(value.expose_secret()).ok());
            let (Ok(name), Some(mut value)) = (name.parse::<HeaderName>(), value) else {
                let message = format!(
                    "the header `{name}` of the server has no value; set the environment variable `{variable}`"
                );
                return Err(UpstreamError::NotSent(message));
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let silence = Duration::from_secs(server.timeout_seconds.into());
        Ok(Self { client, url, headers, silence })
    }

    /// Sends a message as the operation of a span. The server's own headers replace those of `headers`.
    pub(super) async fn send(
        &self,
        span: &Span,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<reqwest::Response, UpstreamError> {
        let mut request = self.client.post(self.url.clone()).body(body);
        for (name, value) in span.trace().map(|trace| trace.headers()).unwrap_or_default() {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let types = "application/json, text/event-stream";
        request = request.header(ACCEPT, types).header(CONTENT_TYPE, "application/json");
        let sent = timeout(self.silence, request.headers(self.headers.clone()).send()).await;
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() || error.is_builder() => {
                Err(UpstreamError::NotSent("the MCP server cannot be reached".to_owned()))
            }
            Ok(Err(_)) => {
                Err(UpstreamError::Lost("the connection to the MCP server broke".to_owned()))
            }
            Err(_) => Err(UpstreamError::Lost("the MCP server did not respond in time".to_owned())),
        }
    }

    /// The next piece of a response; `None` at its end.
    pub(super) async fn piece(
        &self,
        response: &mut reqwest::Response,
    ) -> Result<Option<Vec<u8>>, UpstreamError> {
        match timeout(self.silence, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece.map(|piece| piece.to_vec())),
            Ok(Err(_)) => {
                Err(UpstreamError::Lost("the connection to the MCP server broke".to_owned()))
            }
            Err(_) => Err(UpstreamError::Lost("the MCP server stopped responding".to_owned())),
        }
    }

    /// The whole body of a response.
    pub(super) async fn whole(
        &self,
        response: &mut reqwest::Response,
    ) -> Result<Vec<u8>, UpstreamError> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(response).await? {
            if body.len() + piece.len() > MAX_MESSAGE {
                return Err(UpstreamError::Lost(too_large()));
            }
            body.extend(piece);
        }
        Ok(body)
    }

    /// The message in a response that belongs to a request: its only one, or that event of a stream.
    pub(super) async fn message(
        &self,
        response: &mut reqwest::Response,
        id: &Value,
    ) -> Result<RawObject, UpstreamError> {
        let none =
            || UpstreamError::Lost("the MCP server sent no response to the request".to_owned());
        if !is_stream(response) {
            let body = self.whole(response).await?;
            let text = std::str::from_utf8(&body).map_err(|_| none())?;
            return match read_message(text) {
                Some(message) if is_response_to(&message, id) => Ok(message),
                // A server that refuses a request may not know its id.
                Some(message) if is_refusal(&message) => Ok(message),
                _ => Err(none()),
            };
        }
        let mut events = Events::default();
        while let Some(piece) = self.piece(response).await? {
            events.push(&piece);
            while let Some(event) = events.next_event() {
                if let Passage::Response(message) = passage(&event, Some(id)) {
                    return Ok(message);
                }
            }
            if events.pending() > MAX_MESSAGE {
                return Err(UpstreamError::Lost(too_large()));
            }
        }
        Err(none())
    }

    /// The definitions of all tools, read without a session of a client.
    pub(super) async fn definitions(&self) -> Result<Vec<Definition>, UpstreamError> {
        let found = self.pages(None, &[]).await?;
        if let Some(found) = found {
            return Ok(found);
        }
        let opened = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {"protocolVersion": HANDSHAKE[0], "capabilities": {},
                       "clientInfo": {"name": "life-agent", "version": env!("CARGO_PKG_VERSION")}},
        });
        let mut response =
            self.send(&Span::default(), &[], opened.to_string().into_bytes()).await?;
        let session = response.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok());
        let session = session.map(str::to_owned);
        let message = self.message(&mut response, &json!(0)).await?;
        let result: Option<Value> = message.value("result");
        let version = result.as_ref().and_then(|result| result["protocolVersion"].as_str());
        let Some(version) = version else {
            return Err(UpstreamError::NotSent("the MCP server refused `initialize`".to_owned()));
        };
        let mut headers = vec![(VERSION_HEADER.to_owned(), version.to_owned())];
        headers.extend(session.map(|session| (SESSION_HEADER.to_owned(), session)));
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.send(&Span::default(), &headers, initialized.to_string().into_bytes()).await?;
        let found = self.pages(Some(version), &headers).await?;
        found.ok_or_else(|| UpstreamError::NotSent("the MCP server lists no tools".to_owned()))
    }

    /// Every page of `tools/list`; `None` if the server does not know the method in this era.
    async fn pages(
        &self,
        version: Option<&str>,
        headers: &[(String, String)],
    ) -> Result<Option<Vec<Definition>>, UpstreamError> {
        let (mut found, mut cursor): (Vec<Definition>, Option<String>) = (Vec::new(), None);
        for page in 1..=MAX_PAGES {
            let mut params = json!({});
            let mut headers = headers.to_vec();
            if version.is_none() {
                params["_meta"] = json!({
                    "io.modelcontextprotocol/protocolVersion": STATELESS,
                    "io.modelcontextprotocol/clientCapabilities": {},
                });
                headers.push((VERSION_HEADER.to_owned(), STATELESS.to_owned()));
                headers.push((METHOD_HEADER.to_owned(), "tools/list".to_owned()));
            }
            if let Some(cursor) = &cursor {
                params["cursor"] = cursor.as_str().into();
            }
            let request =
                json!({"jsonrpc": "2.0", "id": page, "method": "tools/list", "params": params});
            let mut response =
                self.send(&Span::default(), &headers, request.to_string().into_bytes()).await?;
            let is_success = response.status().is_success();
            let message = self.message(&mut response, &json!(page)).await;
            let result =
                message.ok().filter(|_| is_success).and_then(|message| message.object("result"));
            let Some(result) = result else { return Ok(None) };
            let tools: Vec<RawObject> = result.value("tools").unwrap_or_default();
            found.extend(tools.iter().filter_map(Definition::of));
            cursor = result.value("nextCursor");
            if cursor.is_none() || found.len() > MAX_TOOLS {
                break;
            }
        }
        Ok(Some(found))
    }
}

/// Whether a response is a stream of events.
pub(super) fn is_stream(response: &reqwest::Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// A message of a server; `None` if readers could read different messages in its text.
pub(super) fn read_message(text: &str) -> Option<RawObject> {
    RawObject::read(text).filter(|_| json_text::has_unique_keys(text))
}

/// Whether a message is the response to the request with this id.
pub(super) fn is_response_to(message: &RawObject, id: &Value) -> bool {
    message.get("method").is_none() && message.value::<Value>("id").as_ref() == Some(id)
}

fn is_refusal(message: &RawObject) -> bool {
    let has = |name: &str| message.get(name).is_some();
    let unknown = message.value::<Value>("id").is_none_or(|id| id.is_null());
    unknown && has("error") && !has("result") && !has("method")
}

/// What becomes of an event of a server on its way to the client.
pub(super) enum Passage {
    /// It passes as it is: a notification, a request, a comment.
    AsIs,
    /// It is the response that the client waits for.
    Response(RawObject),
    /// It is unreadable, or the response to another request, which its own call reads.
    Dropped,
}

/// Decides about an event that arrived for the request with this id.
pub(super) fn passage(event: &Event, id: Option<&Value>) -> Passage {
    if event.data.trim().is_empty() {
        return Passage::AsIs;
    }
    let is_response =
        |message: &RawObject| ["result", "error"].iter().any(|name| message.get(name).is_some());
    match read_message(&event.data) {
        Some(message) if message.get("method").is_some() && !is_response(&message) => Passage::AsIs,
        Some(message) if id.is_some_and(|id| is_response_to(&message, id)) => {
            Passage::Response(message)
        }
        _ => Passage::Dropped,
    }
}

fn too_large() -> String {
    format!("a message of the MCP server has more than {MAX_MESSAGE} bytes")
}

/// The tools of a server by name.
pub(super) type Catalog = BTreeMap<String, Definition>;

impl Upstream {
    /// The address, for messages and caches.
    pub(super) fn address(&self) -> &str {
        self.url.as_str()
    }
}
