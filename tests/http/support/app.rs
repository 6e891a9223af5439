//! A running server: the real binary, in a temporary folder and on a free port.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use super::answer::Answer;
use super::journal::Row;
use super::setup::{KEY, Setup};
use super::sse::Events;

/// The longest wait for a start, generous for a machine under load.
const START: Duration = Duration::from_secs(60);
/// The longest wait for a response.
const ANSWER: Duration = Duration::from_secs(30);

/// A running server; it ends when dropped.
pub(crate) struct TestApp {
    setup: Setup,
    child: Child,
    /// The output since the first start.
    printed: watch::Sender<String>,
    /// Resolves when the child's standard output closes, which means that it has ended.
    ended: oneshot::Receiver<()>,
    addr: SocketAddr,
    client: Client,
}

/// One page of the journal.
#[derive(Deserialize)]
struct Page {
    events: Vec<Row>,
    next: Option<u64>,
}

impl TestApp {
    /// A server with the default setup.
    pub(crate) async fn start() -> Self {
        Setup::new().start().await
    }

    pub(super) async fn start_from(setup: Setup) -> Self {
        let printed = watch::Sender::default();
        let (child, addr, ended) = spawn(&setup, &printed).await;
        Self { setup, child, printed, ended, addr, client: client() }
    }

    /// The address of the server.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its working directory and workspace.
    pub(crate) fn folder(&self) -> PathBuf {
        self.setup.folder()
    }

    /// A file below its working directory.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let path = self.folder().join(path);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Its standard output.
    pub(crate) fn printed(&self) -> String {
        self.printed.borrow().clone()
    }

    /// Waits for a line of standard output with this start.
    pub(crate) async fn printed_line(&self, start: &str) -> String {
        let find = |text: &str| {
            text.lines()
                .map(str::trim_start)
                .find(|line| line.starts_with(start))
                .map(str::to_owned)
        };
        let mut printed = self.printed.subscribe();
        let there =
            tokio::time::timeout(ANSWER, printed.wait_for(|text| find(text).is_some())).await;
        let text = there.expect("no such line").unwrap();
        find(&text).unwrap()
    }

    /// Its standard error.
    pub(crate) fn complained(&self) -> String {
        std::fs::read_to_string(self.setup.stderr_path()).unwrap()
    }

    /// A request without a key.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.addr)).timeout(ANSWER)
    }

    /// A request with the usual key.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).header("X-API-Key", KEY)
    }

    /// `GET` with the usual key.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// `POST` of a JSON body with the usual key.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    /// `POST` without a body.
    pub(crate) async fn post_nothing(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::POST, path)).await
    }

    /// `POST` of any bytes as JSON.
    pub(crate) async fn post_bytes(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = self.request(Method::POST, path).header("Content-Type", "application/json");
        Answer::of(request.body(body.into())).await
    }

    /// A turn that succeeds.
    pub(crate) async fn turn(&self, agent: &str, input: &str) -> Value {
        self.post("/turn", &serde_json::json!({"agent_id": agent, "input": input})).await.ok()
    }

    /// An act that succeeds.
    pub(crate) async fn act(&self, agent: &str, action: &str) -> Value {
        self.post("/act", &serde_json::json!({"agent_id": agent, "action": action})).await.ok()
    }

    /// The state of an agent.
    pub(crate) async fn state(&self, agent: &str) -> Value {
        self.get(&format!("/state?agent_id={agent}")).await.ok()["state"].take()
    }

    /// Every row of the journal, page by page.
    pub(crate) async fn journal(&self) -> Vec<Row> {
        self.journal_of("").await
    }

    /// Every row that matches a filter (`&kind=…&agent_id=…`).
    pub(crate) async fn journal_of(&self, filter: &str) -> Vec<Row> {
        let (mut rows, mut after) = (Vec::new(), 0);
        loop {
            let answer = self.get(&format!("/journal?after={after}&limit=500{filter}")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let page: Page = serde_json::from_slice(&answer.body).unwrap();
            rows.extend(page.events);
            match page.next {
                Some(next) if next > after => after = next,
                _ => return rows,
            }
        }
    }

    /// The number of the last row.
    pub(crate) async fn last_id(&self) -> u64 {
        self.journal().await.last().map_or(0, |row| row.id)
    }

    /// `/metrics` as text.
    pub(crate) async fn metrics(&self) -> String {
        Answer::of(self.bare(Method::GET, "/metrics")).await.text()
    }

    /// The value of one series, in Prometheus' notation; `None` if it does not exist.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(line.trim().parse().unwrap())
    }

    /// An event stream after its `ready`.
    pub(crate) async fn events(&self, query: &str) -> Events {
        self.events_after(query, None).await
    }

    /// An event stream that resumes after a row, as a browser requests it.
    pub(crate) async fn events_after(&self, query: &str, last_event_id: Option<u64>) -> Events {
        let mut request =
            self.client.get(format!("http://{}/events{query}", self.addr)).header("X-API-Key", KEY);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        Events::open(request).await
    }

    /// Stops the server and starts it again on the same folder, on another port.
    pub(crate) async fn restart(&mut self) {
        let status = self.stop().await;
        assert!(status.success(), "{status}; {}", self.complained());
        self.start_again().await;
    }

    /// Starts the server after it has ended.
    pub(crate) async fn start_again(&mut self) {
        (self.child, self.addr, self.ended) = spawn(&self.setup, &self.printed).await;
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The binary with this server's settings and folder, to run a command next to it.
    pub(crate) fn command(&self) -> std::process::Command {
        self.setup.command()
    }

    /// Changes a setting of the next start.
    pub(crate) fn set_for_next_start(&mut self, name: &str, value: &str) {
        self.setup.settings.insert(name.to_owned(), value.to_owned());
    }

    /// Sends SIGTERM and returns the exit status.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exit().await
    }

    /// Sends a signal and returns immediately.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the exit and returns its status.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(Duration::from_secs(10), &mut self.ended).await;
        assert!(ended.is_ok(), "it still runs after 10 s; {}", self.complained());
        self.child.wait().unwrap()
    }

    /// Sends SIGKILL.
    pub(crate) fn kill_9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn spawn(
    setup: &Setup,
    printed: &watch::Sender<String>,
) -> (Child, SocketAddr, oneshot::Receiver<()>) {
    let mut command = setup.command();
    command.stdout(Stdio::piped()).stderr(setup.stderr_file());
    let mut child = command.spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (started, start) = oneshot::channel();
    let (ending, ended) = oneshot::channel();
    let printed = printed.clone();
    std::thread::spawn(move || {
        let mut started = Some(started);
        for line in stdout.lines().map_while(Result::ok) {
            printed.send_modify(|text| {
                text.push_str(&line);
                text.push('\n');
            });
            if let Some(addr) = address_in(&line)
                && let Some(started) = started.take()
            {
                let _ = started.send(addr);
            }
        }
        let _ = ending.send(());
    });
    match tokio::time::timeout(START, start).await {
        Ok(Ok(addr)) => (child, addr, ended),
        _ => {
            let _ = child.kill();
            let status = child.wait();
            let said = std::fs::read_to_string(setup.stderr_path()).unwrap_or_default();
            panic!("the server did not start ({status:?}):\n{said}");
        }
    }
}

/// A client of this test, because connections live on the test's runtime.
pub(crate) fn client() -> Client {
    // The tests use no TLS, but the workspace's reqwest is built with it: it needs a provider, and without
    // `tls_certs_only` it would read the system's certificates for every test.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

/// The address in a line like `listening on http://127.0.0.1:8000`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:[]".contains(c)));
    rest[..end.unwrap_or(rest.len())].parse().ok()
}
