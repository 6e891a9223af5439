//! What is judged is what is sent and stored: generated requests of every kind against stand-ins for a provider, an
//! OPA server and an MCP server.
//!
//! `LIFE_AGENT_PROPERTY_CASES` sets the number of requests, and `LIFE_AGENT_PROPERTY_SEED` the first choice; a failure
//! prints both.

mod random;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use life_agent_groq::testing::{Answer as Reply, Seen, StandIn};
use serde_json::json;

use self::random::Random;
use self::requests::{Case, case};
use crate::support::{Answer, Behavior, McpServer, Row, Setup, TestApp, model_setup};

const PATTERNS: &str = "patterns: [{id: staff-pin, category: secrets, pattern: 'PIN-[0-9]{24}'}]";

/// A credential, and where it came from.
type Secrets = BTreeMap<String, String>;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

/// A response in the API of the path, with a credential of the provider's in it.
fn reply(nth: usize, seen: &Seen, secrets: &Mutex<Secrets>) -> Reply {
    let mut random = Random::new(0xfeed + nth as u64);
    let (token, body) = random.token();
    secrets.lock().unwrap().insert(body, format!("the provider's answer {nth}"));
    let text = format!("the answer is {token} of course");
    match seen.line.as_str() {
        "POST /v1/messages" => Reply::json(
            200,
            &json!({"id": "m", "type": "message", "role": "assistant", "model": "m",
                "stop_reason": "end_turn", "content": [{"type": "text", "text": text}]}),
        ),
        "POST /v1/responses" => Reply::json(
            200,
            &json!({"id": "r", "object": "response", "status": "completed", "model": "m", "output": [
                {"type": "message", "role": "assistant", "content": [
                    {"type": "output_text", "text": text}]}]}),
        ),
        _ if seen.body["stream"] == true => {
            let (head, tail) = text.split_at(text.len() / 2);
            Reply::stream(&[head, tail])
        }
        _ => Reply::text(&text),
    }
}

struct World {
    app: TestApp,
    provider: StandIn,
    opa: StandIn,
    mcp: McpServer,
    secrets: Arc<Mutex<Secrets>>,
}

impl World {
    async fn start(risk: &str) -> Self {
        let secrets: Arc<Mutex<Secrets>> = Arc::default();
        let kept = Arc::clone(&secrets);
        let provider = StandIn::answering(move |nth, seen| reply(nth, seen, &kept)).await.unwrap();
        let opa = StandIn::answering(|_, _| Reply::json(200, &json!({"result": true})));
        let opa = opa.await.unwrap();
        let (token, body) = Random::new(0xbeef).token();
        secrets.lock().unwrap().insert(body, "the result of the MCP server".to_owned());
        let tool = json!({"name": "search", "description": "Searches.", "inputSchema": {"type": "object"}});
        let mcp = McpServer::start(Behavior {
            has_sessions: false,
            tools: vec![tool],
            result: json!({"content": [{"type": "text", "text": format!("found {token}")}]}),
            refuses: None,
            stalls: false,
            streams: false,
        })
        .await;
        let policy = format!(
            "version: '1'\nallowed_dirs: [plans]\nrisk: {{{risk}{PATTERNS}}}\n\
             tools: {{keep_results: true}}\nllm: {{on_failure: fail}}\n\
             mcp: {{servers: {{web: {{url: '{}'}}}}}}\n",
            mcp.url()
        );
        let opa_url = opa.base_url().trim_end_matches("/v1").to_owned();
        let setup: Setup = model_setup(&provider).policy(&policy).set("LOG_LEVEL", "DEBUG");
        let app = setup.set("OPA_ENABLE", "true").set("OPA_URL", &opa_url).start().await;
        let mut pin: Command = app.command();
        pin.args(["mcp", "pin", "web"]);
        let pinned = tokio::task::spawn_blocking(move || pin.output().unwrap()).await.unwrap();
        assert!(pinned.status.success(), "{pinned:?}");
        Self { app, provider, opa, mcp, secrets }
    }

    /// The bytes that went to each outside, with its name.
    fn sent(&self) -> Vec<(String, Vec<u8>)> {
        let requests = |name: &str, seen: Vec<Seen>| {
            let named = move |(nth, one): (usize, Seen)| (format!("{name} {nth}"), one.raw);
            seen.into_iter().enumerate().map(named).collect::<Vec<_>>()
        };
        let calls = self.mcp.calls().into_iter().enumerate();
        let calls = calls.map(|(nth, call)| (format!("MCP server {nth}"), call.text.into_bytes()));
        let outside = requests("provider", self.provider.seen());
        outside.into_iter().chain(requests("OPA server", self.opa.seen())).chain(calls).collect()
    }

    /// Everything on the disk that the service wrote.
    fn stored(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        files(&self.app.folder(), &mut found);
        found.retain(|(path, _)| !path.contains("/policy/") && !path.contains("/policies/"));
        found
    }
}

fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path.to_string_lossy().into_owned(), bytes));
        }
    }
}

/// What a reader could make of these bytes: as they are, and without what disguises them.
fn readings(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut readings = vec![text.clone()];
    let mut decoded = text;
    // JSON within JSON has escapes of escapes.
    for _ in 0..2 {
        decoded = decode(&decoded);
        readings.push(decoded.clone());
    }
    readings
}

fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (code, len) = escape(rest).unwrap_or((u32::from(c), c.len_utf8()));
        rest = &rest[len..];
        match char::from_u32(code) {
            Some('\u{e0020}'..='\u{e007e}') => out.extend(char::from_u32(code - 0xe0000)),
            Some('\u{200b}' | '\'' | '"' | '\\') | None => {}
            Some(c) => out.push(c),
        }
    }
    out
}

/// The character that an escape at the start stands for, and the length of the escape.
fn escape(text: &str) -> Option<(u32, usize)> {
    let hex = |at: usize, len: usize| u32::from_str_radix(text.get(at..at + len)?, 16).ok();
    if text.starts_with("\\u") {
        return Some((hex(2, 4)?, 6));
    }
    if text.starts_with('%') {
        return Some((hex(1, 2)?, 3));
    }
    let (number, _) = text.strip_prefix("&#")?.split_once(';')?;
    Some((number.parse().ok()?, number.len() + 3))
}

/// The markers in a text: `mk`, the number of the case, `x`, the number of the text and `z`.
fn markers(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("mk") {
        let rest = &text[at + 2..];
        let Some((case, rest)) = rest.split_once('x') else { continue };
        let Some((number, _)) = rest.split_once('z') else { continue };
        let is_number =
            |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if is_number(case) && is_number(number) {
            found.insert(format!("mk{case}x{number}z"));
        }
    }
    found
}

/// The judged texts of a row.
async fn judged(app: &TestApp, row: &Row) -> String {
    let mut data = row.json();
    if data.get("references").is_some() {
        // A list of rows leaves out texts that rows share.
        data = app.get(&format!("/journal/{}?expand=texts", row.id)).await.ok()["data"].take();
    }
    match row.kind.as_str() {
        "llm.chat" | "llm.begun" => data["messages"].to_string(),
        "gate.denied" => data["request"].to_string(),
        _ => data.to_string(),
    }
}

fn assert_clean(outputs: &[(String, Vec<u8>)], secrets: &Secrets, seed: u64) {
    for (outlet, bytes) in outputs {
        for reading in readings(bytes) {
            for (secret, origin) in secrets {
                if let Some(at) = reading.find(secret.as_str()) {
                    let (from, to) = (at.saturating_sub(300), (at + 200).min(reading.len()));
                    let around = &reading
                        [reading.floor_char_boundary(from)..reading.floor_char_boundary(to)];
                    panic!("seed {seed}: a credential ({origin}) is in {outlet}: {around:?}");
                }
            }
        }
    }
}

async fn holds(risk: &str, seed: u64, cases: u64) {
    let mut world = World::start(risk).await;
    let mut random = Random::new(seed);
    let (mut answered, mut refused) = (0, 0);
    for number in 0..cases as usize {
        let Case { path, body, planted } = case(&mut random, number);
        let request = world.app.request(reqwest::Method::POST, path).json(&body);
        let answer = Answer::of(request).await;
        assert!(answer.status < 500, "seed {seed}, case {number}: {body} {answer:?}");
        if answer.status == 200 {
            answered += 1
        } else {
            refused += 1
        }
        let mut secrets = world.secrets.lock().unwrap();
        for one in planted {
            let origin = format!("case {number}, {path}, {}", one.disguise);
            secrets.extend(one.secrets.into_iter().map(|secret| (secret, origin.clone())));
        }
    }
    let rows = world.app.journal().await;
    let mut judged_texts = BTreeSet::new();
    for row in &rows {
        judged_texts.extend(markers(&judged(&world.app, row).await));
    }
    let sent = world.sent();
    let mut outputs = world.stored();
    assert!(world.app.stop().await.success());
    outputs.extend(world.stored());
    let secrets = world.secrets.lock().unwrap().clone();
    assert_clean(&sent, &secrets, seed);
    assert_clean(&outputs, &secrets, seed);
    for (outlet, bytes) in sent.iter().chain(&outputs) {
        let unjudged: Vec<_> =
            markers(&String::from_utf8_lossy(bytes)).difference(&judged_texts).cloned().collect();
        assert_eq!(
            unjudged,
            Vec::<String>::new(),
            "seed {seed}: {outlet} got texts that no gate read"
        );
    }
    // A world in which nothing passes would prove nothing.
    assert!(answered > cases / 8 && sent.len() as u64 > cases / 4, "{answered}, {refused}");
    assert!(rows.iter().any(|row| row.data.get().contains("[redacted:")));
    assert!(judged_texts.len() > 20, "{judged_texts:?}");
}

/// The number of requests of a run, and its seed.
fn run() -> (u64, u64) {
    let seed = setting("LIFE_AGENT_PROPERTY_SEED", 20_261_129);
    (seed, setting("LIFE_AGENT_PROPERTY_CASES", 132))
}

#[tokio::test]
async fn what_is_judged_is_sent_and_stored_where_credentials_pass() {
    let (seed, cases) = run();
    holds("categories: {secrets: observe, prompt_injection: off}, ", seed, cases).await;
}

#[tokio::test]
async fn what_is_judged_is_sent_and_stored_where_credentials_are_refused() {
    let (seed, cases) = run();
    holds("", seed + 1, cases).await;
}
