//! Signed tokens of a real issuer: `oidc-provider`, which `.ci/run` installs from npm

use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{Answer, Setup, TestApp};

const ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

/// The issuer, in a process of its own.
struct Provider {
    /// Killed when it is dropped.
    child: Child,
    url: String,
}

/// The folder of the issuer's packages; `None` if they are not installed and need not be.
fn packages() -> Option<PathBuf> {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/oidc/node_modules");
    if packages.join("oidc-provider").is_dir() {
        return Some(packages);
    }
    let needed = std::env::var_os("LIFE_AGENT_NEED_OIDC").is_some_and(|need| need == "1");
    assert!(!needed, "`target/oidc` has no package `oidc-provider`; see `.ci/run`");
    eprintln!("SKIPPED: `target/oidc` has no package `oidc-provider`; nothing was tested");
    None
}

impl Provider {
    /// Starts one with keys of these names; on any port if it is 0.
    async fn start(packages: &Path, port: u16, keys: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/oidc/provider.mjs");
        let mut command = Command::new("node");
        command.arg(script).arg(packages).arg(port.to_string()).args(keys);
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = piped.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.next_line().await.unwrap().expect("the issuer did not start");
        Self { child, url }
    }

    fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Stops it and waits until its port is free.
    async fn stop(mut self) {
        self.child.kill().await.unwrap();
    }

    /// An access token, signed with this algorithm. `more` extends the name of the resource.
    async fn token(&self, algorithm: &str, scope: &str, more: &str) -> String {
        let resource = format!("urn:life-agent:{algorithm}{more}");
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", "ann"),
            ("client_secret", "a-secret-of-the-test-0815"),
            ("scope", scope),
            ("resource", &resource),
        ];
        let body =
            form.map(|(name, value)| format!("{name}={}", value.replace(':', "%3A"))).join("&");
        let request = reqwest::Client::new().post(format!("{}/token", self.url)).body(body);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let told: Value = request.send().await.unwrap().json().await.unwrap();
        told["access_token"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned()
    }
}

async fn trusting(provider: &Provider) -> TestApp {
    let setup = Setup::new().set("JWT_ISSUER", &provider.url).set("JWT_AUDIENCE", "life-agent");
    setup.set("JWT_JWKS", &format!("{}/jwks", provider.url)).start().await
}

async fn whoami(app: &TestApp, token: &str) -> Answer {
    Answer::of(app.bare(Method::GET, "/whoami").bearer_auth(token)).await
}

#[tokio::test]
async fn tokens_of_a_real_issuer_are_accepted_and_do_what_their_scopes_permit() {
    let Some(packages) = packages() else { return };
    let provider = Provider::start(&packages, 0, &["one"]).await;
    let app = trusting(&provider).await;
    for algorithm in ALGORITHMS {
        let token = provider.token(algorithm, "act", "").await;
        let who = whoami(&app, &token).await.ok();
        assert_eq!((&who["principal"], &who["person"]), (&json!("jwt:ann"), &json!("ann")));
        assert_eq!(who["scopes"], json!(["act"]), "{algorithm}");
        let act = json!({"agent_id": "hero", "action": "rest"});
        let acted = app.bare(Method::POST, "/act").bearer_auth(&token).json(&act);
        Answer::of(acted).await.ok();
        let switch = json!({"on": true, "reason": "x"});
        let switched = app.bare(Method::POST, "/kill-switch").bearer_auth(&token).json(&switch);
        Answer::of(switched).await.error(403, "scope_missing");
    }
    let rows = app.journal_of("&kind=obs.act").await;
    assert!(rows.len() == ALGORITHMS.len() && rows.iter().all(|row| row.principal == "jwt:ann"));
}

#[tokio::test]
async fn a_token_for_another_service_or_of_another_issuer_is_refused() {
    let Some(packages) = packages() else { return };
    let provider = Provider::start(&packages, 0, &["one"]).await;
    let stranger = Provider::start(&packages, 0, &["one"]).await;
    let app = trusting(&provider).await;
    for algorithm in ALGORITHMS {
        for token in [
            provider.token(algorithm, "act", ":another-service").await,
            stranger.token(algorithm, "act", "").await,
        ] {
            whoami(&app, &token).await.error(401, "invalid_api_key");
        }
        let good = provider.token(algorithm, "read", "").await;
        whoami(&app, &good).await.ok();
        // The payload of one token with the signature of another.
        let more = provider.token(algorithm, "operator", "").await;
        let (_, signature) = good.rsplit_once('.').unwrap();
        let (message, _) = more.rsplit_once('.').unwrap();
        whoami(&app, &format!("{message}.{signature}")).await.error(401, "invalid_api_key");
    }
}

#[tokio::test]
async fn an_issuer_that_rotates_its_keys_is_followed() {
    let Some(packages) = packages() else { return };
    let provider = Provider::start(&packages, 0, &["one"]).await;
    let (app, port) = (trusting(&provider).await, provider.port());
    let old = provider.token("ES256", "read", "").await;
    whoami(&app, &old).await.ok();
    provider.stop().await;
    whoami(&app, &old).await.ok();
    let provider = Provider::start(&packages, port, &["two"]).await;
    let new = provider.token("ES256", "read", "").await;
    whoami(&app, &new).await.ok();
    whoami(&app, &old).await.error(401, "invalid_api_key");
}
