//! The latency that gates and journal add to a chat completion: alternating calls to a local provider, directly and
//! through the release server, by the same client over kept-alive connections.
//!
//! `cargo build --release -p life-agent-server && cargo run --release -p life-agent-tests --example overhead`
//! (`-- --json` for a program that reads it, `--calls N` for more than 2,000 calls of each kind)

mod figures;
mod parts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};

use figures::Times;
use parts::{KEY, Provider, Server};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Concurrent callers.
const AT_ONCE: [usize; 2] = [1, 8];
/// Warm-up calls of each kind, which are not counted.
const WARM_UP: usize = 200;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let as_json = arguments.iter().any(|argument| argument == "--json");
    let calls = match arguments.iter().position(|argument| argument == "--calls") {
        Some(at) => arguments.get(at + 1).ok_or("`--calls` needs a number")?.parse()?,
        None => 2_000,
    };
    let provider = Provider::start().await?;
    let server = Server::start(&provider.base_url)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().tls_certs_only([]).build()?;
    let asked = Asked {
        client,
        directly: format!("{}/chat/completions", provider.base_url),
        through: format!("http://{}/v1/chat/completions", server.addr),
        body: json!({"model": "openai/gpt-oss-120b", "messages": [
            {"role": "user", "content": parts::words(1024)}]})
        .to_string(),
    };
    let asked = Arc::new(asked);
    asked.both(WARM_UP).await?;

    let mut runs = Vec::new();
    for at_once in AT_ONCE {
        let each = calls / at_once;
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..at_once {
            let asked = Arc::clone(&asked);
            workers.spawn(async move { asked.both(each).await });
        }
        let (mut directly, mut through) = (Vec::new(), Vec::new());
        while let Some(worker) = workers.join_next().await {
            let (one, other) = worker??;
            directly.extend(one);
            through.extend(other);
        }
        runs.push((at_once, Times::of(directly), Times::of(through)));
    }
    let metrics =
        asked.client.get(format!("http://{}/metrics", server.addr)).send().await?.text().await?;
    let commits = figures::mean_ms(&metrics, "journal_commit_seconds")
        .ok_or("no `journal_commit_seconds`")?;
    let rows =
        figures::mean_ms(&metrics, "journal_batch_rows").ok_or("no `journal_batch_rows`")? / 1000.0;
    if as_json {
        let runs: Vec<_> = runs
            .iter()
            .map(|(at_once, directly, through)| run_json(*at_once, directly, through))
            .collect();
        println!("{}", json!({"runs": runs, "commit_mean_ms": commits, "rows_per_commit": rows}));
        return Ok(());
    }
    println!("at once | calls | ms          mean     p50     p99");
    for (at_once, directly, through) in &runs {
        let calls = directly.count;
        println!("{at_once:7} | {calls:5} | directly  {directly}");
        println!("{at_once:7} | {calls:5} | through   {through}");
        println!("{at_once:7} | {calls:5} | added     {}", through.less(directly));
    }
    println!("journal: commit {commits:.2} ms on the mean, {rows:.1} rows in each");
    Ok(())
}

fn run_json(at_once: usize, directly: &Times, through: &Times) -> Value {
    json!({"at_once": at_once, "calls": directly.count, "directly": directly.json(),
           "through": through.json(), "added": through.less(directly).json()})
}

struct Asked {
    client: Client,
    directly: String,
    through: String,
    body: String,
}

impl Asked {
    /// Alternating calls on both paths; returns the duration of each.
    async fn both(&self, calls: usize) -> Result<(Vec<Duration>, Vec<Duration>), Failure> {
        let (mut directly, mut through) = (Vec::new(), Vec::new());
        for _ in 0..calls {
            directly.push(self.one(&self.directly).await?);
            through.push(self.one(&self.through).await?);
        }
        Ok((directly, through))
    }

    async fn one(&self, url: &str) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let request = self.client.post(url).header("Content-Type", "application/json");
        let answer = request.bearer_auth(KEY).body(self.body.clone()).send().await?;
        let status = answer.status();
        let answer: Value = answer.json().await?;
        let took = begun.elapsed();
        if answer["choices"][0]["message"]["content"].as_str().is_none_or(|text| text.len() < 1000)
        {
            return Err(format!("{url} answers {status}: {answer}").into());
        }
        Ok(took)
    }
}
