//! A stand-in for an MCP server behind the gateway: speaks one protocol era, and keeps what it received.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A request that the server received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
    /// The body, byte for byte.
    pub(crate) text: String,
}

/// How the server behaves.
pub(crate) struct Behavior {
    /// Whether it needs `initialize` and a session.
    pub(crate) has_sessions: bool,
    /// The items of `tools/list`.
    pub(crate) tools: Vec<Value>,
    /// The result of every `tools/call`; `null` closes the connection without a response.
    pub(crate) result: Value,
    /// The status of every response, whose body is a page and no message.
    pub(crate) refuses: Option<u16>,
    /// Whether `tools/call` gets no response and keeps its connection.
    pub(crate) stalls: bool,
    /// Whether `tools/call` responds with a stream that begins with a notification.
    pub(crate) streams: bool,
}

/// The server.
#[derive(Clone)]
pub(crate) struct McpServer {
    addr: SocketAddr,
    behavior: Arc<Mutex<Behavior>>,
    received: Arc<Mutex<Vec<Received>>>,
    called: Arc<Notify>,
}

impl McpServer {
    pub(crate) async fn start(behavior: Behavior) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = Self {
            addr,
            behavior: Arc::new(Mutex::new(behavior)),
            received: Arc::default(),
            called: Arc::default(),
        };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(own.clone().serve(stream));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.addr)
    }

    /// Changes the behavior from the next request on.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Behavior)) {
        change(&mut self.behavior.lock().unwrap());
    }

    /// The calls that reached it.
    pub(crate) fn calls(&self) -> Vec<Received> {
        let received = self.received.lock().unwrap();
        received.iter().filter(|one| one.body["method"] == "tools/call").cloned().collect()
    }

    /// Waits for the next `tools/call`.
    pub(crate) async fn called(&self) {
        self.called.notified().await;
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let (head, length) = loop {
            let mut piece = [0; 4096];
            let Ok(read @ 1..) = stream.read(&mut piece).await else { return };
            bytes.extend_from_slice(&piece[..read]);
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            bytes.drain(..end + 4);
            let headers = headers(&head);
            let length: usize = headers["content-length"].parse().unwrap();
            break (headers, length);
        };
        while bytes.len() < length {
            let mut piece = [0; 4096];
            let Ok(read @ 1..) = stream.read(&mut piece).await else { return };
            bytes.extend_from_slice(&piece[..read]);
        }
        let text = String::from_utf8(bytes).unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        self.received.lock().unwrap().push(Received {
            headers: head.clone(),
            body: body.clone(),
            text,
        });
        if body["method"] == "tools/call" {
            self.called.notify_one();
            if self.behavior.lock().unwrap().stalls {
                return std::future::pending().await;
            }
        }
        if let Some(reply) = self.reply(&head, &body) {
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    }

    fn reply(&self, headers: &BTreeMap<String, String>, body: &Value) -> Option<String> {
        let behavior = self.behavior.lock().unwrap();
        let result = |result: Value| json!({"jsonrpc": "2.0", "id": body["id"], "result": result});
        if let Some(status) = behavior.refuses {
            return Some(format!(
                "HTTP/1.1 {status} No\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>"
            ));
        }
        let session = headers.get("mcp-session-id").is_some_and(|id| id == "s-1");
        Some(match body["method"].as_str().unwrap_or_default() {
            "initialize" if behavior.has_sessions => http(
                200,
                "mcp-session-id: s-1\r\n",
                &result(json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                               "serverInfo": {"name": "stand-in", "version": "1"}})),
            ),
            "notifications/initialized" => {
                "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
            }
            _ if behavior.has_sessions && !session => {
                http(400, "", &json!({"error": "no session"}))
            }
            "tools/list" => http(200, "", &result(json!({"tools": behavior.tools}))),
            "tools/call" if behavior.result.is_null() => return None,
            "tools/call" if behavior.streams => {
                let note = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}});
                let events =
                    format!("data: {note}\n\ndata: {}\n\n", result(behavior.result.clone()));
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{events}",
                    events.len()
                )
            }
            "tools/call" => http(200, "", &result(behavior.result.clone())),
            _ => http(200, "", &result(json!({"echo": body["method"]}))),
        })
    }
}

fn headers(head: &str) -> BTreeMap<String, String> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect()
}

fn http(status: u16, more: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
