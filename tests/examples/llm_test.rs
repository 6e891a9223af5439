//! Reads the model status of a running service, then sends a chat, as any HTTP client would:
//! `API_KEY=... cargo run -p life-agent-tests --example llm_test -- "a question"`
//! (`BASE_URL` is `http://127.0.0.1:8000` unless set).

use std::process::ExitCode;

use reqwest::{Client, Method};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let base = std::env::var("BASE_URL").unwrap_or_else(|_| "http://127.0.0.1:8000".to_owned());
    let Ok(key) = std::env::var("API_KEY") else {
        return Err("set `API_KEY` to a key of the service; it prints one when it starts without"
            .to_owned());
    };
    // The workspace's reqwest has no default TLS provider. Installing a second provider fails harmlessly.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().build().map_err(|error| format!("no client: {error}"))?;
    let service = Service { client, base: base.trim_end_matches('/').to_owned(), key };

    let status = service.ask(Method::GET, "/llm/status", None).await?;
    println!(
        "model {}, key {}, breaker {}",
        status["model_default"], status["key_prefix"], status["breaker"]
    );
    if status["configured"] != true {
        return Err("the service has no model; start it with `GROQ_API_KEY`".to_owned());
    }

    let question =
        std::env::args().nth(1).unwrap_or_else(|| "Who are you, in one line?".to_owned());
    let body = json!({"messages": [{"role": "user", "content": question}]});
    let answer = service.ask(Method::POST, "/llm/chat", Some(body)).await?;
    println!("{}", answer["content"].as_str().unwrap_or_default());
    println!(
        "{}: {} tokens, row {}",
        answer["model"], answer["usage"]["total_tokens"], answer["event_id"]
    );
    Ok(())
}

struct Service {
    client: Client,
    base: String,
    key: String,
}

impl Service {
    /// The JSON of a response, or the service's error message.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request.header("X-API-Key", &self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let failed = |error: reqwest::Error| {
            format!("`{}` does not answer: {}", self.base, error.without_url())
        };
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let text = response.text().await.map_err(failed)?;
        let answer: Value = serde_json::from_str(&text).map_err(|_| {
            format!("`{}{path}` is no life-agent: it answers {status} without JSON", self.base)
        })?;
        let error = &answer["error"];
        match (error["code"].as_str(), error["message"].as_str()) {
            _ if status.is_success() => Ok(answer),
            (Some(code), Some(message)) => Err(format!(
                "{code}: {message} (request {})",
                error["request_id"].as_str().unwrap_or("unknown")
            )),
            _ => Err(format!("`{}{path}` answers {status}", self.base)),
        }
    }
}
