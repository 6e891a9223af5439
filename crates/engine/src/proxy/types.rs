//! What the proxy takes and returns.

use life_agent_domain::governance::fault::Fault;
use life_agent_groq::Rejection;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::DropGuard;

use super::endpoint::Endpoint;
use crate::error::EngineError;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct ProxyRequest {
    /// Which API it is for.
    pub endpoint: Endpoint,
    /// Its body.
    pub body: bytes::Bytes,
    /// Headers that providers read, with names in lower case; see [`Endpoint::forwards_header`].
    pub headers: Vec<(String, String)>,
}

/// A reply to a forwarded request.
#[derive(Debug)]
pub struct ProxyReply {
    /// The headers of the provider that callers may see.
    pub headers: Vec<(String, String)>,
    /// What was changed in the request or in the response; empty if nothing was.
    pub changed: Vec<&'static str>,
    /// Set if the response was withheld: the code of the gate's refusal.
    pub withheld: Option<&'static str>,
    /// The body.
    pub body: ProxyBody,
}

/// The body of a reply.
#[derive(Debug)]
pub enum ProxyBody {
    /// JSON, complete and recorded.
    Whole(Vec<u8>),
    /// Server-sent events.
    Stream(ProxyStream),
}

/// The events of a streamed reply. Dropping it ends the provider's call; what arrived is recorded.
#[derive(Debug)]
pub struct ProxyStream {
    pub(super) events: UnboundedReceiver<ProxyEvent>,
    /// Ends the call when the stream is dropped.
    pub(super) _cancel: DropGuard,
}

/// One item of a streamed reply.
#[derive(Debug)]
pub enum ProxyEvent {
    /// Frames of server-sent events, ready to send.
    Frames(bytes::Bytes),
    /// The stream ends here with this error.
    Failed(ProxyError),
}

impl ProxyStream {
    /// The next item; none after the last.
    pub async fn next(&mut self) -> Option<ProxyEvent> {
        self.events.recv().await
    }
}

/// Why there is no reply, or no complete one.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyError {
    /// The body is not JSON.
    Malformed(String),
    /// Fields that cannot be judged or are wrong.
    Invalid(Vec<Fault>),
    /// The provider rejected the request.
    Rejected(Box<Rejection>),
    /// Any other error.
    Engine(EngineError),
}

impl From<EngineError> for ProxyError {
    fn from(error: EngineError) -> Self {
        ProxyError::Engine(error)
    }
}
