//! A provider of our own to test against, which misbehaves on demand; feature `testing`.
//!
//! It listens on 127.0.0.1, answers each request with the next of its scripted answers (the last one
//! again and again), closes the connection after each, and remembers what it was sent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest request read, in bytes.
const MAX_REQUEST: usize = 64 * 1024 * 1024;

/// One scripted answer.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    manner: Manner,
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// At once.
    Whole,
    /// A byte at a time, with a pause after each.
    Slowly(Duration),
    /// At once and without a length: it ends where the connection does.
    Unmeasured,
    /// At once, but the head promises more than comes before the connection ends.
    CutOff,
    /// The body at once and in full, then nothing for ever, and no end.
    Stalling,
    /// Nothing for ever, not even a head.
    Silent,
    /// The connection is closed without an answer.
    Closed,
}

impl Answer {
    /// Any status with any body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into(), manner: Manner::Whole }
    }

    /// A status with JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// An error as Groq words it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let error = json!({"message": message, "type": "invalid_request_error", "code": code});
        Self::json(status, &json!({ "error": error }))
    }

    /// A good answer with this text, as Groq sends it.
    pub fn text(text: &str) -> Self {
        Self::message(&json!({"role": "assistant", "content": text}), "stop")
    }

    /// A good answer that calls one tool with these arguments, sound or not.
    pub fn tool_call(name: &str, arguments: &str) -> Self {
        let function = json!({"name": name, "arguments": arguments});
        let call = json!({"id": "call_1", "type": "function", "function": function});
        Self::message(&json!({"role": "assistant", "tool_calls": [call]}), "tool_calls")
    }

    fn message(message: &Value, finish_reason: &str) -> Self {
        let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason});
        Self::json(
            200,
            &json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1_795_000_000,
                "model": "openai/gpt-oss-120b", "choices": [choice],
                "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "queue_time": 0.01},
                "service_tier": "on_demand", "x_groq": {"id": "req_1"},
            }),
        )
    }

    /// A stream of these chunks, without its end mark.
    pub fn events(chunks: &[Value]) -> Self {
        let body: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        Self::new(200, "text/event-stream", body)
    }

    /// A good stream with these texts, as Groq sends it: its usage sits in the last chunk's `x_groq`.
    pub fn stream(texts: &[&str]) -> Self {
        let start = chunk(&json!({"role": "assistant", "content": ""}), &Value::Null);
        let texts = texts.iter().map(|text| chunk(&json!({ "content": text }), &Value::Null));
        let mut end = chunk(&json!({}), &json!("stop"));
        let usage = json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18});
        end["x_groq"] = json!({"id": "req_1", "usage": usage});
        let chunks: Vec<_> = std::iter::once(start).chain(texts).chain([end]).collect();
        Self::events(&chunks).done()
    }

    /// Nothing for ever.
    pub fn silence() -> Self {
        Self { manner: Manner::Silent, ..Self::new(200, "text/plain", "") }
    }

    /// The connection is closed without an answer.
    pub fn hang_up() -> Self {
        Self { manner: Manner::Closed, ..Self::new(200, "text/plain", "") }
    }

    /// The same with the end mark of a stream.
    pub fn done(mut self) -> Self {
        self.body.extend_from_slice(b"data: [DONE]\n\n");
        self
    }

    /// The same with a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, a byte at a time.
    pub fn slowly(self, pause: Duration) -> Self {
        Self { manner: Manner::Slowly(pause), ..self }
    }

    /// The same without a length: it ends where the connection does.
    pub fn unmeasured(self) -> Self {
        Self { manner: Manner::Unmeasured, ..self }
    }

    /// The same, and then the connection breaks though more was promised.
    pub fn cut_off(self) -> Self {
        Self { manner: Manner::CutOff, ..self }
    }

    /// The same, and then nothing for ever.
    pub fn stalling(self) -> Self {
        Self { manner: Manner::Stalling, ..self }
    }

    async fn send(&self, stream: &mut BufReader<TcpStream>) -> io::Result<()> {
        let missing = usize::from(matches!(self.manner, Manner::CutOff | Manner::Stalling));
        let mut head = format!("HTTP/1.1 {} Scripted\r\nconnection: close\r\n", self.status);
        if !matches!(self.manner, Manner::Unmeasured) {
            head.push_str(&format!("content-length: {}\r\n", self.body.len() + missing));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        match self.manner {
            Manner::Silent => std::future::pending::<()>().await,
            Manner::Closed => return Ok(()),
            _ => stream.write_all(head.as_bytes()).await?,
        }
        match self.manner {
            Manner::Slowly(pause) => {
                for byte in &self.body {
                    stream.write_all(&[*byte]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(pause).await;
                }
            }
            _ => stream.write_all(&self.body).await?,
        }
        stream.flush().await?;
        if matches!(self.manner, Manner::Stalling) {
            // Until the other side leaves.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await?;
        }
        stream.shutdown().await
    }
}

/// A chunk of a stream, as Groq sends it.
pub fn chunk(delta: &Value, finish_reason: &Value) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_795_000_000,
        "model": "openai/gpt-oss-120b",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    })
}

/// A request as the stand-in got it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method and target, as in `POST /v1/chat/completions`.
    pub line: String,
    /// Names in lower case, in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// The body, `null` if it is not JSON.
    pub body: Value,
    /// The body as it came.
    pub raw: Vec<u8>,
}

impl Seen {
    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The provider itself; it stops when it is dropped.
#[derive(Debug)]
pub struct StandIn {
    base_url: String,
    seen: Arc<watch::Sender<Vec<Seen>>>,
    open: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl StandIn {
    /// Starts one with a script, which should not be empty.
    pub async fn start(script: Vec<Answer>) -> io::Result<Self> {
        Self::answering(move |nth, _| {
            let last = script.len().saturating_sub(1);
            script.get(nth.min(last)).cloned().unwrap_or_else(Answer::hang_up)
        })
        .await
    }

    /// Starts one that makes up its answers; it is told how many it gave before.
    pub async fn answering(
        answer: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let seen = Arc::new(watch::Sender::new(Vec::new()));
        let (count, open) = watch::channel(0);
        let (answer, requests) = (Arc::new(answer), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, requests, count) =
                    (Arc::clone(&answer), Arc::clone(&requests), count.clone());
                connections.spawn(async move {
                    count.send_modify(|open| *open += 1);
                    let mut stream = BufReader::new(stream);
                    if let Ok(request) = read(&mut stream).await {
                        let mut reply = Answer::hang_up();
                        requests.send_modify(|requests| {
                            reply = answer(requests.len(), &request);
                            requests.push(request);
                        });
                        // Clients that leave early are part of the game.
                        let _ = reply.send(&mut stream).await;
                    }
                    count.send_modify(|open| *open -= 1);
                });
            }
        });
        Ok(Self { base_url, seen, open, task })
    }

    /// What to put where the provider's address goes.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What it was sent so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until it was sent so many requests.
    pub async fn until_seen(&self, requests: usize) {
        // An error means that the stand-in has stopped: there will be no more.
        let _ = self.seen.subscribe().wait_for(|seen| seen.len() >= requests).await;
    }

    /// Waits until so many connections are open.
    pub async fn until_open(&mut self, connections: usize) {
        // An error means that the stand-in has stopped, with no connections left.
        let _ = self.open.wait_for(|open| *open == connections).await;
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Seen> {
    let line = read_line(stream).await?;
    let mut headers = Vec::new();
    loop {
        let header = read_line(stream).await?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length.min(MAX_REQUEST)];
    stream.read_exact(&mut body).await?;
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    let json = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Seen { line, headers, body: json, raw: body })
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
