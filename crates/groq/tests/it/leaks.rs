//! No key and no secret in errors, `Debug` output and logs, whatever the provider sends.

use std::io;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use life_agent_groq::Model;
use life_agent_groq::testing::{Answer, chunk};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{KEY, SECRET, pair, request, settings};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;
    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// What a provider may answer, each time with our key and a secret in it.
fn indiscreet() -> Vec<Answer> {
    let words = format!("your key {KEY} and {SECRET}");
    let text = chunk(&json!({"content": "a"}), &Value::Null);
    let mut answers: Vec<_> = [400, 401, 403, 404, 408, 418, 429, 498, 500, 503]
        .into_iter()
        .flat_map(|status| {
            [
                Answer::error(status, SECRET, &words),
                Answer::new(status, "text/plain", words.clone()),
            ]
        })
        .collect();
    answers.extend([
        Answer::new(302, "text/plain", words.clone())
            .header("location", &format!("http://127.0.0.1:1/{KEY}")),
        Answer::new(200, "application/json", format!("{{\"{words}\"")),
        Answer::new(200, "text/html", words.clone()),
        Answer::json(200, &json!({"error": {"message": words}})),
        Answer::json(200, &json!({"error": words})),
        Answer::new(200, "text/event-stream", format!("data: {words}\n\n")),
        Answer::new(200, "text/event-stream", format!("data: {text}\n\ndata: {words}\n\n")),
        Answer::new(
            200,
            "text/event-stream",
            format!("event: error\ndata: {{\"{words}\"\ndata: }}\n\n"),
        ),
        Answer::events(&[text.clone(), json!({"x_groq": {"error": words}})]),
        Answer::events(&[text, json!({"error": {"message": words}})]),
    ]);
    answers
}

#[tokio::test]
async fn neither_the_key_nor_a_secret_leaves_the_client() {
    let log = Log::default();
    // For the whole process, tests beside this one included: what is scoped to a thread may miss
    // lines whose place in the code another thread has come by first.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .init();

    let mut told = String::new();
    for answer in indiscreet() {
        let (provider, client) = pair(vec![answer.clone()]).await;
        let error = client.chat(&request()).await.unwrap_err();
        told.push_str(&format!("{error} {error:?} {}\n", json!(error)));
        match client.stream(&request()).await {
            Err(error) => told.push_str(&format!("{error} {error:?}\n")),
            Ok(deltas) => {
                let items: Vec<_> = deltas.collect().await;
                assert!(items.last().unwrap().is_err(), "{answer:?}");
                told.push_str(&format!("{items:?}\n"));
            }
        }
        told.push_str(&format!("{client:?} {:?} {:?}\n", client.status(), settings(&provider)));
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // The log was captured: our own line is in it.
    assert!(logged.contains("retrying the call to the model"));
    for text in [&told, &logged] {
        let line = |word: &str| text.lines().find(|line| line.contains(word)).map(str::to_owned);
        assert_eq!(line(KEY), None);
        assert_eq!(line(SECRET), None);
        assert_eq!(line("who goes there?"), None, "the request's body is shown");
    }
    assert!(told.contains("[redacted:test]"), "the provider's words are told, redacted");
}
