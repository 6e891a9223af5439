//! A model provider and MCP server in one, which can die at any moment and come back: all of its connections break,
//! as those of a killed process do. It counts what it was asked to do.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The server.
pub(crate) struct Mortal {
    addr: SocketAddr,
    /// How often each mark arrived.
    counts: Arc<Mutex<HashMap<String, usize>>>,
    served: JoinSet<()>,
}

impl Mortal {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut server = Self { addr, counts: Arc::default(), served: JoinSet::new() };
        server.live(listener);
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// How often a mark arrived in a request that is an effect.
    pub(crate) fn count(&self, mark: &str) -> usize {
        self.counts.lock().unwrap().get(mark).copied().unwrap_or_default()
    }

    /// Ends it with all of its connections.
    pub(crate) async fn die(&mut self) {
        self.served.shutdown().await;
    }

    /// Starts it again at its address.
    pub(crate) async fn revive(&mut self) {
        let listener = TcpListener::bind(self.addr).await.unwrap();
        self.live(listener);
    }

    fn live(&mut self, listener: TcpListener) {
        let counts = Arc::clone(&self.counts);
        self.served.spawn(async move {
            // What is still served ends with this task.
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, Arc::clone(&counts)));
            }
        });
    }
}

async fn serve(mut stream: TcpStream, counts: Arc<Mutex<HashMap<String, usize>>>) {
    let mut bytes = Vec::new();
    let (head, end) = loop {
        let mut piece = [0; 8192];
        let Ok(read @ 1..) = stream.read(&mut piece).await else { return };
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break (String::from_utf8_lossy(&bytes[..end]).to_lowercase(), end + 4);
        }
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    while bytes.len() < end + length {
        let mut piece = [0; 8192];
        let Ok(read @ 1..) = stream.read(&mut piece).await else { return };
        bytes.extend_from_slice(&piece[..read]);
    }
    let body: Value = serde_json::from_slice(&bytes[end..]).unwrap_or_default();
    let mark =
        body.pointer("/params/arguments/mark").or_else(|| body.pointer("/messages/0/content"));
    if let Some(mark) = mark.and_then(Value::as_str) {
        *counts.lock().unwrap().entry(mark.to_owned()).or_default() += 1;
    }
    let text = mark.and_then(Value::as_str).unwrap_or_default();
    for piece in reply(&body, text) {
        if stream.write_all(piece.as_bytes()).await.is_err() {
            return;
        }
        // Between the pieces anything can die.
        tokio::time::sleep(std::time::Duration::from_millis(rand::random_range(0..4))).await;
    }
    let _ = stream.shutdown().await;
}

/// The pieces of a response.
fn reply(body: &Value, mark: &str) -> Vec<String> {
    if body["jsonrpc"] == "2.0" {
        let result = match body["method"].as_str() {
            Some("tools/list") => {
                json!({"tools": [{"name": "post", "description": "Posts.", "inputSchema": {"type": "object"}}]})
            }
            _ => json!({"content": [{"type": "text", "text": mark}], "isError": false}),
        };
        let body = json!({"jsonrpc": "2.0", "id": body["id"], "result": result}).to_string();
        return vec![String::new(), head("application/json", Some(body.len())), body];
    }
    let choice = |name: &str, said: Value, finish: Value| json!({"id": "c", "model": "m", "choices": [{"index": 0, name: said, "finish_reason": finish}]});
    if body["stream"] == true {
        let mut pieces = vec![head("text/event-stream", None)];
        let said = |text: &str| choice("delta", json!({"content": text}), Value::Null);
        let chunks =
            [said("one "), said("two "), said(mark), choice("delta", json!({}), json!("stop"))];
        pieces.extend(chunks.iter().map(|chunk| format!("data: {chunk}\n\n")));
        pieces.push("data: [DONE]\n\n".to_owned());
        return pieces;
    }
    let body =
        choice("message", json!({"role": "assistant", "content": mark}), json!("stop")).to_string();
    vec![String::new(), head("application/json", Some(body.len())), body]
}

fn head(kind: &str, length: Option<usize>) -> String {
    let length = length.map(|length| format!("content-length: {length}\r\n")).unwrap_or_default();
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{length}connection: close\r\n\r\n")
}
