//! An OPA server as the OPA gate: queried after the other gates, with the redacted command. Only a clear
//! `true` allows the request.

use std::net::IpAddr;
use std::time::Duration;

use life_agent_domain::governance::command::{Gated, Subject};
use life_agent_domain::governance::gate::{Denial, GateInputs, OpaAnswer, Permit};
use life_agent_domain::governance::redaction::Redact;
use life_agent_gates::opa;
use life_agent_gates::tool::ToolView;
use life_agent_policy::snapshot::Snapshot;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::error::BadOpaUrl;
use crate::trace::{Span, SpanKind};

/// Time limit of a query, including the connection.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Concurrent queries; further requests are denied, not queued.
const MAX_AT_ONCE: usize = 64;
/// Longest response read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// The path of `data.agent.allow` in OPA's data API.
const ENTRY_POINT: &str = "v1/data/agent/allow";

pub(crate) struct OpaServer {
    client: reqwest::Client,
    url: reqwest::Url,
    places: Semaphore,
}

#[derive(Deserialize)]
struct Answer {
    result: Option<Value>,
}

impl OpaServer {
    /// A server at a base URL (`http://127.0.0.1:8181`), or at the full one of its decision.
    pub(crate) fn new(url: &str, token: Option<&SecretString>) -> Result<Self, BadOpaUrl> {
        let mut url = reqwest::Url::parse(url).map_err(|_| BadOpaUrl::Url)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if !matches!(url.scheme(), "http" | "https") || !plain {
            return Err(BadOpaUrl::Url);
        }
        let headers = match token {
            Some(_) if url.scheme() == "http" && !is_this_machine(&url) => {
                return Err(BadOpaUrl::Exposed);
            }
            Some(token) => bearer(token)?,
            None => HeaderMap::new(),
        };
        if matches!(url.path(), "" | "/") {
            url = url.join(ENTRY_POINT).map_err(|_| BadOpaUrl::Url)?;
        }
        // Whichever of the process's crates comes first installs it; a second attempt changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(MAX_AT_ONCE)
            .build()
            .map_err(|_| BadOpaUrl::Url)?;
        Ok(Self { client, url, places: Semaphore::new(MAX_AT_ONCE) })
    }

    /// Queries the server about a command that all other gates passed. The query contains the redacted
    /// command only.
    pub(super) async fn confirm<C: Gated>(
        &self,
        permit: Permit<C>,
        inputs: &GateInputs,
        snapshot: &Snapshot,
        redactor: &dyn Redact,
        span: &Span,
    ) -> Result<Permit<C>, Box<Denial<C>>> {
        let kind = permit.command().view().kind();
        let input = {
            let mut subject = Subject::new(permit.principal(), permit.command().view());
            subject.trace = permit.trace().clone();
            ToolView::prepare(&subject, snapshot, redactor);
            opa::input(&subject, inputs, &snapshot.hash)
        };
        match self.ask(input, span).await {
            OpaAnswer::Allow => Ok(permit),
            OpaAnswer::Deny { why } => Err(permit.refuse("opa", opa::refusal(kind, &why))),
        }
    }

    /// Queries the server. Every response other than `{"result": true}` in time denies.
    async fn ask(&self, input: Value, span: &Span) -> OpaAnswer {
        let Ok(_place) = self.places.try_acquire() else {
            return deny("too many questions wait for the policy server");
        };
        let mut span = span.child(SpanKind::Client, || "POST");
        span.set("http.request.method", "POST");
        span.set("peer.service", "opa");
        match self.answer(input, &mut span).await {
            Ok(Some(Value::Bool(true))) => OpaAnswer::Allow,
            Ok(Some(Value::Bool(false))) => deny("the policy says no"),
            Ok(Some(_)) => deny("the policy's answer is neither true nor false"),
            Ok(None) => deny("the policy gives no answer"),
            Err(why) => {
                tracing::warn!(why, "the policy server did not answer");
                span.fail("no_answer");
                deny(why)
            }
        }
    }

    async fn answer(&self, input: Value, span: &mut Span) -> Result<Option<Value>, &'static str> {
        let unreachable = "the policy server cannot be reached or is too slow";
        let unreadable = "the policy server's answer cannot be read";
        let mut query = self.client.post(self.url.clone()).json(&json!({ "input": input }));
        for (name, value) in span.trace().map(|trace| trace.headers()).unwrap_or_default() {
            query = query.header(name, value);
        }
        let mut response = query.send().await.map_err(|_| unreachable)?;
        span.set("http.response.status_code", response.status().as_u16());
        if response.status() != reqwest::StatusCode::OK {
            return Err("the policy server answered with an error");
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(unreadable);
            }
            body.extend_from_slice(&chunk);
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| unreadable)?;
        Ok(answer.result)
    }
}

/// The header with the token, which logs do not show.
fn bearer(token: &SecretString) -> Result<HeaderMap, BadOpaUrl> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
    let mut value = value.map_err(|_| BadOpaUrl::Token)?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

fn is_this_machine(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn deny(why: &str) -> OpaAnswer {
    OpaAnswer::Deny { why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that reads a request and sends `reply` as it is, or never replies.
    async fn server(reply: Option<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 65536];
                let _ = stream.read(&mut request).await;
                match &reply {
                    Some(reply) => drop(stream.write_all(reply.as_bytes()).await),
                    None => std::future::pending::<()>().await,
                }
            }
        });
        format!("http://{address}")
    }

    fn http(status: &str, body: &str) -> Option<String> {
        let length = body.len();
        Some(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ))
    }

    async fn ask(reply: Option<String>) -> OpaAnswer {
        OpaServer::new(&server(reply).await, None)
            .unwrap()
            .ask(json!({"kind": "act"}), &Span::default())
            .await
    }

    #[tokio::test]
    async fn only_a_clear_true_allows() {
        assert_eq!(ask(http("200 OK", r#"{"result":true}"#)).await, OpaAnswer::Allow);
        let long = format!(r#"{{"result":true,"x":"{}"}}"#, "x".repeat(MAX_ANSWER));
        for reply in [
            http("200 OK", r#"{"result":false}"#),
            http("200 OK", r#"{"result":"true"}"#),
            http("200 OK", r#"{"result":{"allow":true}}"#),
            http("200 OK", "{}"),
            http("200 OK", "<html>"),
            http("200 OK", &long),
            http("500 Internal Server Error", r#"{"result":true}"#),
            http("302 Found", r#"{"result":true}"#),
            Some("not http".to_owned()),
        ] {
            assert!(matches!(ask(reply.clone()).await, OpaAnswer::Deny { .. }), "{reply:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_server_denies() {
        assert!(matches!(ask(None).await, OpaAnswer::Deny { .. }));
    }

    #[tokio::test]
    async fn a_dead_server_denies() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let dead = OpaServer::new(&format!("http://{address}"), None).unwrap();
        assert!(matches!(dead.ask(json!({}), &Span::default()).await, OpaAnswer::Deny { .. }));
    }

    #[test]
    fn a_base_url_is_completed_and_a_bad_one_is_refused() {
        let url = |text: &str| OpaServer::new(text, None).map(|server| server.url.to_string()).ok();
        let complete = "http://127.0.0.1:8181/v1/data/agent/allow";
        assert_eq!(url("http://127.0.0.1:8181").as_deref(), Some(complete));
        assert_eq!(url(complete).as_deref(), Some(complete));
        for bad in ["127.0.0.1:8181", "ftp://h", "http://u:p@h", "http://h/?a=b", ""] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_does_not_leave_this_machine_in_clear_text() {
        let with_token = |url: &str| OpaServer::new(url, Some(&"opa-token".to_owned().into()));
        for good in [
            "https://opa.example",
            "http://localhost:8181",
            "http://[::1]:8181",
            "http://127.0.0.2",
        ] {
            assert!(with_token(good).is_ok(), "{good}");
        }
        for bad in ["http://opa.example", "http://10.0.0.1:8181", "http://localhost.example"] {
            assert!(matches!(with_token(bad), Err(BadOpaUrl::Exposed)), "{bad}");
        }
    }
}
