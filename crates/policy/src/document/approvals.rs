//! The `approvals` section of a policy.

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
    /// An https URL that receives each new request for an approval, and each new plan.
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

/// Longest webhook, in bytes.
const MAX_WEBHOOK: usize = 2048;

/// The message never repeats the URL, whose path may be a credential.
fn check_webhook<T: AsRef<str>>(url: &T, _: &()) -> garde::Result {
    let url = url.as_ref();
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`');
    let host = url.strip_prefix("https://").map(host_of);
    let fault = match host {
        _ if url.len() > MAX_WEBHOOK => "must be at most 2048 bytes long",
        None => "must be an https URL",
        Some("") => "has no host",
        Some(host) if host.contains('@') => "must not hold a user name or password",
        Some(_) if !url.chars().all(plain) => "must be a URL in ASCII",
        Some(_) => return Ok(()),
    };
    Err(garde::Error::new(fault))
}

fn host_of(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Webhook URLs of many services are credentials, so only the origin is shown.
fn origin<S: Serializer>(webhook: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    let rest = webhook.as_deref().and_then(|url| url.strip_prefix("https://")).unwrap_or_default();
    let host = host_of(rest);
    let hidden = if rest.trim_end_matches('/') == host { "" } else { "/redacted" };
    to.serialize_str(&format!("https://{host}{hidden}"))
}
