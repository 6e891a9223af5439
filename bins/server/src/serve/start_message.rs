//! The message that a start prints: the address, the key, a first call, and what the service works with.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use life_agent_engine::Engine;
use secrecy::{ExposeSecret, SecretString};

use crate::settings::Settings;

/// What the running service works with, as an operator wants to see it confirmed.
#[derive(Debug)]
pub struct Facts {
    /// The path of the policy, or `built-in`.
    pub policy: String,
    /// Its hash.
    pub policy_hash: String,
    /// Rules in it.
    pub rules: usize,
    /// Rows in the journal.
    pub rows: u64,
    /// The model and its provider's host; none without a provider.
    pub model: Option<(String, String)>,
}

impl Facts {
    /// The facts of an engine that has just been opened.
    pub fn of(engine: &Engine) -> Self {
        let (source, policy) = engine.policy();
        let llm = engine.llm_status();
        let host = llm.base_host.unwrap_or_else(|| "the default provider".to_owned());
        Self {
            policy: source.path,
            policy_hash: source.hash,
            rules: policy.rules.len(),
            rows: engine.journal().head().id,
            model: llm.configured.then_some((llm.model_default, host)),
        }
    }
}

/// The message. Shows a key only if the server generated it for this run.
pub fn text(
    bound: SocketAddr,
    settings: &Settings,
    made_key: Option<&SecretString>,
    facts: &Facts,
) -> String {
    let base = format!("http://{}", reachable(bound));
    let mut text = format!("life-agent {} is listening on {base}\n", env!("CARGO_PKG_VERSION"));
    text += &works_with(settings, facts);
    match made_key {
        Some(key) => {
            let key = key.expose_secret();
            text += &format!(
                "key for this run (set API_KEY for one that stays): {key}\n\
                 try it:\n  \
                 curl -s {base}/turn -H 'X-API-Key: {key}' -H 'Content-Type: application/json' \
                 -d '{{\"agent_id\":\"hero\",\"input\":\"explore the gate of the fortress\"}}'\n\
                 dashboard, opened with this key: {base}/ui#key={key}\n"
            );
        }
        None => {
            let names: Vec<_> = settings.keys.iter().map(|key| key.name.as_str()).collect();
            if !names.is_empty() {
                text += &format!(
                    "send the value of a configured key as X-API-Key; the keys are named: {}\n",
                    names.join(", ")
                );
            }
            if let Some(jwt) = &settings.jwt {
                text += &format!("send tokens of {} as Authorization: Bearer\n", jwt.issuer);
            }
            text += &format!(
                "try it:\n  curl -s {base}/readyz\n\
                 dashboard: {base}/ui\n",
            );
        }
    }
    text + &format!("every call, to try in the browser: {base}/docs\n")
}

fn works_with(settings: &Settings, facts: &Facts) -> String {
    let rules = match facts.rules {
        1 => "1 rule".to_owned(),
        rules => format!("{rules} rules"),
    };
    let model = match &facts.model {
        Some((model, host)) => format!("{model} at {host}"),
        None => "none; set GROQ_API_KEY to use one".to_owned(),
    };
    format!(
        "policy: {}, {rules}, hash {:.12}\n\
         journal: {}, {} rows\n\
         workspace: {}\n\
         model: {model}\n",
        facts.policy,
        facts.policy_hash,
        settings.journal,
        facts.rows,
        settings.workspace_dir.display(),
    )
}

/// Prints it. A closed standard output does not stop the service.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// The address as a client on this machine can use it.
pub(crate) fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}
