//! What `cargo xtask bench` compares the service with: actix-web alone, which parses the same JSON and
//! sends it back. No key, no gate, no journal, no log.
//!
//! `cargo run --release -p life-agent-server --example bare_echo` prints its address. It also stands in for
//! a model's provider: `POST /v1/chat/completions` answers a kilobyte, at once and always the same.

use std::net::TcpListener;

use actix_web::web::{Json, Query};
use actix_web::{App, HttpResponse, HttpServer, Responder, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Act {
    agent_id: String,
    action: String,
    #[serde(default)]
    payload: Map<String, Value>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    agent_id: String,
    input: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Check {
    kind: String,
    agent_id: String,
    input: String,
}

#[derive(Deserialize, Serialize)]
struct State {
    agent_id: String,
}

#[derive(Deserialize)]
struct Chat {
    messages: Vec<Value>,
}

async fn act(Json(body): Json<Act>) -> impl Responder {
    HttpResponse::Ok().json(body)
}

async fn turn(Json(body): Json<Turn>) -> impl Responder {
    HttpResponse::Ok().json(body)
}

async fn check(Json(body): Json<Check>) -> impl Responder {
    HttpResponse::Ok().json(body)
}

async fn state(Query(query): Query<State>) -> impl Responder {
    HttpResponse::Ok().json(query)
}

async fn complete(Json(body): Json<Chat>) -> impl Responder {
    let text = "The keep is quiet, and the lamps along its wall are lit. ".repeat(18);
    HttpResponse::Ok().json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_795_000_000,
        "model": "openai/gpt-oss-120b",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": body.messages.len(), "completion_tokens": 250, "total_tokens": 250 + body.messages.len()},
    }))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = || {
        App::new()
            .route("/act", web::post().to(act))
            .route("/turn", web::post().to(turn))
            .route("/check", web::post().to(check))
            .route("/state", web::get().to(state))
            .route("/v1/chat/completions", web::post().to(complete))
    };
    HttpServer::new(app).listen(listener)?.run().await
}
