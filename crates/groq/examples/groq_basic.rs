//! Asks a model one question, whole and streamed. Needs a key:
//! `GROQ_API_KEY=... cargo run -p life-agent-groq --example groq_basic -- "a question"`

use std::borrow::Cow;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use futures_util::StreamExt;
use life_agent_domain::governance::redaction::Redact;
use life_agent_groq::{ChatMessage, ChatRequest, Client, Delta, Model, Settings, seed};

/// The service puts its own redactor here (`life_agent_gates`); the client's key goes in any case.
struct KeyOnly;

impl Redact for KeyOnly {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        Cow::Borrowed(text)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let Ok(key) = std::env::var("GROQ_API_KEY") else {
        println!("This example talks to a real model and needs a key. Get one from Groq's console");
        println!("(console.groq.com), then run it again with `GROQ_API_KEY` set to it.");
        println!("`GROQ_BASE_URL` points it to any other server that speaks the same protocol.");
        return Ok(());
    };
    let mut settings = Settings::new(key.into());
    if let Ok(base_url) = std::env::var("GROQ_BASE_URL") {
        settings.base_url = base_url;
    }
    let client = Client::new(settings, Arc::new(KeyOnly))?;
    let question =
        std::env::args().nth(1).unwrap_or_else(|| "Who are you, in one line?".to_owned());
    let request = ChatRequest {
        model: "openai/gpt-oss-120b".to_owned(),
        messages: vec![ChatMessage::new("user", question)],
        temperature: Some(0.0),
        max_completion_tokens: Some(512),
        seed: Some(seed(42, "example", 0)),
        ..ChatRequest::default()
    };

    let reply = client.chat(&request).await?;
    println!("{}\n{:?}", reply.content, reply.usage);

    let mut deltas = client.stream(&request).await?;
    while let Some(delta) = deltas.next().await {
        match delta? {
            Delta::Text(text) => print!("{text}"),
            Delta::ToolCall(call) => print!("{}", call.arguments),
            Delta::End { usage, .. } => println!("\n{usage:?}"),
        }
        std::io::stdout().flush()?;
    }
    println!("{:?}", client.status().limits);
    Ok(())
}
