//! The model of a demo: replies without a network, in the form of a chat completion.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// Largest request, in bytes.
const MAX_BODY: u64 = 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);
/// A question that the model fails to answer.
pub(super) const FAILS: &str = "Translate the whole archive.";
/// Replies by a word of the last message, which may also hold earlier turns.
const REPLIES: [(&str, &str); 5] = [
    ("shift", "The shift ended with an empty queue and one open question for finance."),
    ("portcullis", "A portcullis is a heavy gate that drops in front of a castle's entrance."),
    (
        "open refunds",
        "Three refunds are open. Two are below the limit and one needs a second look.",
    ),
    ("summarize", "The queue has three refunds; the oldest has waited since Tuesday."),
    ("release notes", "The release fixes two faults of the refund limit and adds a report."),
];

/// Starts it on a free port of this machine; it ends with the process.
pub(super) fn start() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A caller that goes away gets no reply.
            std::thread::spawn(move || drop(answer(&stream)));
        }
    });
    Ok(address)
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut from = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if (&mut from).take(MAX_BODY).read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = Vec::new();
    from.take(length.min(MAX_BODY)).read_to_end(&mut body)?;
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, reply) = completion(&request, length);
    let reply = reply.to_string();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{reply}",
        reply.len()
    )?;
    stream.flush()
}

/// The status and the body.
fn completion(request: &Value, length: u64) -> (&'static str, Value) {
    let messages = request["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let asked = messages.last().map(|message| message["content"].to_string()).unwrap_or_default();
    if asked.contains(FAILS) {
        return ("400 Bad Request", json!({"error": {"message": "the request is too large"}}));
    }
    let known = REPLIES.iter().find(|(word, _)| asked.contains(word));
    let content = known.map_or("It is done, and the desk is quiet again.", |(_, reply)| reply);
    // About four characters make a token.
    let (prompt, reply) = (length / 4, content.len() / 4);
    let body = json!({
        "id": "chatcmpl-demo", "object": "chat.completion", "created": 1_795_000_000,
        "model": request["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content},
            "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": reply,
            "total_tokens": prompt + reply as u64},
    });
    ("200 OK", body)
}
