//! The `approvals` section of a policy.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// Settings of approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Approvals {
    /// Seconds until a request for an approval expires.
    #[garde(range(min = 1, max = 604_800))]
    pub expire_seconds: u32,
    /// An https URL, or an http URL of this machine, that receives each new request for an approval, and each
    /// new plan. `WEBHOOK_SECRET` signs the messages.
    #[garde(inner(custom(check_webhook)))]
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "origin")]
    pub webhook: Option<String>,
}

impl Default for Approvals {
    fn default() -> Self {
        Self { expire_seconds: 900, webhook: None }
    }
}

/// The schemes of webhooks.
const SCHEMES: [&str; 2] = ["https", "http"];
/// Longest webhook, in bytes.
const MAX_WEBHOOK: usize = 2048;

/// The message never repeats the URL, whose path may be a credential.
fn check_webhook<T: AsRef<str>>(url: &T, _: &()) -> garde::Result {
    let url = url.as_ref();
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`');
    let fault = match parts(url) {
        _ if url.len() > MAX_WEBHOOK => "must be at most 2048 bytes long",
        None => "must be an https URL, or an http URL of this machine",
        Some((_, "", _)) => "has no host",
        Some((_, host, _)) if host.contains('@') => "must not hold a user name or password",
        Some(("http", host, _)) if !is_local(host) => {
            "must be an https URL; http is accepted for this machine only"
        }
        Some(_) if !url.chars().all(plain) => "must be a URL in ASCII",
        Some(_) => return Ok(()),
    };
    Err(garde::Error::new(fault))
}

/// The scheme, the host with its port, and the rest; `None` for other schemes.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| SCHEMES.contains(scheme))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    Some((scheme, host, path))
}

/// Whether a host with its port names this machine whatever a name server says.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// The origin of a webhook, which rows and responses show: URLs of many services are credentials.
pub fn webhook_origin(url: &str) -> String {
    let (scheme, host, path) = parts(url).unwrap_or_default();
    let hidden = if path.trim_end_matches('/').is_empty() { "" } else { "/redacted" };
    format!("{scheme}://{host}{hidden}")
}

fn origin<S: Serializer>(webhook: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&webhook_origin(webhook.as_deref().unwrap_or_default()))
}
