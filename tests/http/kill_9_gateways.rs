//! Random deaths of the client, of the service (SIGKILL) and of the model provider and MCP server behind it: a call
//! with a key has one effect, no response lacks its row, and unknown outcomes stay marked.
//!
//! `LIFE_AGENT_KILL_ROUNDS` sets the number of rounds: 4 by default, 25 in `.ci/run`.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::audit::run_json;
use crate::support::{Answer, Mortal, Row, Setup, TestApp, assert_chained};

const CALLERS: usize = 6;

/// What a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Chat,
    Stream,
    Tool,
    ToolWithoutKey,
}

const KINDS: [Kind; 4] = [Kind::Chat, Kind::Stream, Kind::Tool, Kind::ToolWithoutKey];

/// A call that was begun, and its response if one arrived whole.
#[derive(Debug)]
struct Called {
    kind: Kind,
    mark: String,
    response: Option<Value>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_through_the_gateways_is_doubled_or_lost_by_kills() {
    let rounds =
        std::env::var("LIFE_AGENT_KILL_ROUNDS").map_or(4, |rounds| rounds.parse().unwrap());
    let mut upstream = Mortal::start().await;
    let mut app = start(&upstream).await;
    let mut all = Vec::new();
    for round in 0..rounds {
        let mut begun = run(&mut app, &mut upstream, round).await;
        // A client repeats its calls with a key until it knows how they ended.
        for call in begun.iter_mut().filter(|call| call.response.is_none()) {
            if matches!(call.kind, Kind::Tool | Kind::Chat) {
                let answer = Answer::of(request(&app, call.kind, &call.mark)).await;
                call.response = whole(call.kind, answer);
            }
        }
        all.extend(begun);
        verify(&app, &upstream, &all).await;
    }
    assert_eq!(run_json(&app, 0, &["audit", "verify"])["verdict"], "whole");
    let answered = all.iter().filter(|call| call.response.is_some()).count();
    println!("{answered} of {} calls answered in {rounds} rounds", all.len());
    assert!(answered > 0, "no call was answered at all: nothing has been tested");
}

async fn start(upstream: &Mortal) -> TestApp {
    let policy = format!(
        "version: '1'\nallowed_dirs: [plans]\nmcp: {{refresh_seconds: 3600, servers: {{web: {{url: '{}'}}}}}}\n",
        upstream.url("/mcp")
    );
    let setup = Setup::new().policy(&policy).set("GROQ_API_KEY", "key-of-the-provider");
    let app = setup.set("GROQ_BASE_URL", &upstream.url("/v1")).start().await;
    let mut pin = app.command();
    pin.args(["mcp", "pin", "web"]);
    let pinned = tokio::task::spawn_blocking(move || pin.output().unwrap()).await.unwrap();
    assert!(pinned.status.success(), "{pinned:?}");
    app
}

/// One round: callers under way, and random deaths, the last of which is the service's.
async fn run(app: &mut TestApp, upstream: &mut Mortal, round: usize) -> Vec<Called> {
    let ended = Arc::new(Semaphore::new(0));
    let (report, mut reports) = mpsc::unbounded_channel();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let templates = KINDS.map(|kind| (kind, request(app, kind, "MARK")));
        callers.spawn(call_until_gone(
            round,
            caller,
            templates,
            report.clone(),
            Arc::clone(&ended),
        ));
    }
    drop(report);
    let victims: [bool; 2] = [rand::rng().random_bool(0.5), rand::rng().random_bool(0.5)];
    for (victim, dies) in victims.into_iter().enumerate() {
        if dies {
            moment(&ended).await;
            if victim == 0 {
                upstream.die().await;
            } else {
                callers.abort_all();
            }
        }
    }
    if !victims[1] {
        moment(&ended).await;
    }
    app.kill_9();
    while callers.join_next().await.is_some() {}
    if victims[0] {
        upstream.revive().await;
    }
    app.start_again().await;
    let (mut begun, mut ended) = (Vec::new(), Vec::new());
    while let Some((is_end, call)) = reports.recv().await {
        if is_end { ended.push(call) } else { begun.push(call) }
    }
    for call in ended {
        let same = begun.iter_mut().find(|other: &&mut Called| other.mark == call.mark).unwrap();
        same.response = call.response;
    }
    begun
}

/// A random moment: after some responses, and then within the next milliseconds.
async fn moment(ended: &Semaphore) {
    let (enough, then) = (rand::rng().random_range(0..40), rand::rng().random_range(0..20_000));
    drop(ended.acquire_many(enough).await.unwrap());
    tokio::time::sleep(Duration::from_micros(then)).await;
}

/// The request of a call; the mark identifies it and is its key.
fn request(app: &TestApp, kind: Kind, mark: &str) -> RequestBuilder {
    let chat = |stream: bool| json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": mark}]});
    let tool = |meta: Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "post", "arguments": {"mark": mark}, "_meta": meta}})
    };
    let post = |path: &str, body: Value| app.request(Method::POST, path).json(&body);
    match kind {
        Kind::Chat => post("/v1/chat/completions", chat(false)).header("Idempotency-Key", mark),
        Kind::Stream => post("/v1/chat/completions", chat(true)),
        Kind::Tool => post("/mcp/web", tool(json!({"life-agent/idempotency-key": mark}))),
        Kind::ToolWithoutKey => post("/mcp/web", tool(json!({}))),
    }
}

/// The same request with another mark.
fn marked(template: &RequestBuilder, kind: Kind, mark: &str) -> RequestBuilder {
    let (client, request) = template.try_clone().unwrap().build_split();
    let mut request = request.unwrap();
    let body = request.body().unwrap().as_bytes().unwrap();
    let body = String::from_utf8_lossy(body).replace("MARK", mark);
    *request.body_mut() = Some(body.into());
    if kind == Kind::Chat {
        request.headers_mut().insert("idempotency-key", mark.parse().unwrap());
    }
    RequestBuilder::from_parts(client, request)
}

/// Makes calls until the service is gone. Reports each before it is made, and its response.
async fn call_until_gone(
    round: usize,
    caller: usize,
    templates: [(Kind, RequestBuilder); 4],
    report: mpsc::UnboundedSender<(bool, Called)>,
    ended: Arc<Semaphore>,
) {
    for n in 0_usize.. {
        let (kind, template) = &templates[(n + caller) % KINDS.len()];
        let mark = format!("mark-{round}-{caller}-{n}");
        let call = |response| Called { kind: *kind, mark: mark.clone(), response };
        let _ = report.send((false, call(None)));
        let Ok(answer) = Answer::try_of(marked(template, *kind, &mark)).await else { return };
        let _ = report.send((true, call(whole(*kind, answer))));
        ended.add_permits(1);
    }
}

/// A response that says how the call ended; none for an error after which nothing is known or was done.
fn whole(kind: Kind, answer: Answer) -> Option<Value> {
    if answer.status != 200 {
        return None;
    }
    match kind {
        Kind::Stream => {
            let text = answer.text();
            text.ends_with("data: [DONE]\n\n").then(|| json!(text))
        }
        _ => Some(answer.json()),
    }
}

async fn verify(app: &TestApp, upstream: &Mortal, calls: &[Called]) {
    let rows = app.journal().await;
    assert_chained(&rows);
    for call in calls {
        let of = |kind: &str| -> Vec<&Row> {
            let quoted = format!("\"{}\"", call.mark);
            rows.iter().filter(|row| row.kind == kind && row.data.get().contains(&quoted)).collect()
        };
        match call.kind {
            Kind::Tool | Kind::ToolWithoutKey => {
                let requested = of("tool.requested");
                let count = upstream.count(&call.mark);
                assert!(count <= 1, "{call:?} had {count} effects");
                assert!(count <= requested.len(), "{call:?} was forwarded without a row");
                verify_tool(&rows, &requested, call);
            }
            Kind::Chat | Kind::Stream => {
                let answered: Vec<_> = of("llm.chat")
                    .into_iter()
                    .filter(|row| row.json()["outcome"] == "answered")
                    .collect();
                assert!(answered.len() <= 1, "{call:?} is recorded twice");
                let is_answered = call.response.is_some();
                assert!(!is_answered || answered.len() == 1, "{call:?} has no row");
            }
        }
    }
    // A stream whose end is not known is on the record as begun.
    let count = |kind: &str| rows.iter().filter(|row| row.kind == kind).count();
    let streamed = |row: &&Row| row.kind == "llm.chat" && row.json()["stream"] == true;
    assert!(count("llm.begun") >= rows.iter().filter(streamed).count());
}

fn verify_tool(rows: &[Row], requested: &[&Row], call: &Called) {
    let finished = |row: &Row| {
        rows.iter().any(|other| other.kind == "tool.finished" && other.json()["call"] == row.id)
    };
    let Some(result) = call.response.as_ref().map(|response| &response["result"]) else { return };
    let text = result["content"][0]["text"].as_str().unwrap();
    if result["isError"] == false {
        assert_eq!(text, call.mark);
        let row = result["_meta"]["event_id"].as_u64().unwrap();
        let row = requested.iter().find(|known| known.id == row);
        assert!(row.is_some_and(|row| finished(row)), "{call:?} has no row of its result");
        return;
    }
    // Not made, or not known: then no row says that it ended.
    let error: Value = serde_json::from_str(text).unwrap();
    let (code, message) = (&error["error"]["code"], error["error"]["message"].to_string());
    if code == "outcome_unknown" || message.contains("outcome is unknown") {
        assert!(requested.iter().any(|row| !finished(row)), "{call:?}");
    } else if message.contains("response was lost") {
        assert!(requested.iter().any(|row| finished(row)), "{call:?}");
    } else {
        assert!(code == "upstream_failed" || code == "tool_changed", "{call:?}");
    }
}
