//! What a person reads when the service has started: where it is, which key opens it, a first call.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use secrecy::{ExposeSecret, SecretString};

use crate::settings::Settings;

/// The message. Shows a key only if the server made it for this run.
pub fn text(bound: SocketAddr, settings: &Settings, made_key: Option<&SecretString>) -> String {
    let base = format!("http://{}", reachable(bound));
    let mut text = format!("life-agent {} is listening on {base}\n", env!("CARGO_PKG_VERSION"));
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
            text += &format!(
                "send one of the configured keys as X-API-Key: {}\ntry it:\n  curl -s {base}/readyz\n\
                 dashboard: {base}/ui\n",
                names.join(", ")
            );
        }
    }
    text + &format!("every call, to try in the browser: {base}/docs\n")
}

/// Prints it. A closed standard output is no reason not to serve.
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
