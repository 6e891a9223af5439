//! The service as an OAuth 2.0 protected resource: where the tokens of its callers come from (RFC 9728), and the
//! challenges that lead clients there.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderValue};
use life_agent_engine::domain::governance::principal::Scope;
use serde_json::{Value, json};

use crate::state::AppState;

/// The path of the metadata, to which the path of a resource is appended.
pub const METADATA: &str = "/.well-known/oauth-protected-resource";
/// The claims in which identity providers put the scopes that a client requests.
const SCOPE_CLAIMS: [&str; 2] = ["scope", "scp"];

/// The metadata of a resource of this service, whose path is empty or begins with a slash. `None` if the service
/// accepts no tokens.
pub fn metadata(state: &AppState, request: &HttpRequest, path: &str) -> Option<Value> {
    let tokens = state.keys.tokens()?;
    let base = base(state, request)?;
    let mut document = json!({
        "resource": format!("{base}{path}"),
        "authorization_servers": [tokens.issuer()],
        "bearer_methods_supported": ["header"],
        "resource_name": "life-agent",
        "resource_documentation": format!("{base}/docs"),
    });
    if SCOPE_CLAIMS.contains(&tokens.scope_claim()) {
        document["scopes_supported"] = scopes(path).into();
    }
    Some(document)
}

/// The scopes that clients of a resource request; those of MCP need one.
fn scopes(path: &str) -> Vec<&'static str> {
    if is_mcp(path) {
        return vec![Scope::Act.as_str()];
    }
    Scope::ALL.iter().map(|scope| scope.as_str()).collect()
}

fn is_mcp(path: &str) -> bool {
    path == "/mcp" || path.starts_with("/mcp/")
}

/// The challenge to a request without a valid key; `error` says what is wrong with the presented one, `scope` what
/// it lacks.
pub fn challenge(
    state: Option<&AppState>,
    request: &HttpRequest,
    error: Option<&str>,
    scope: Option<&str>,
) -> HeaderValue {
    let mut challenge = "Bearer realm=\"life-agent\"".to_owned();
    let mut add = |name: &str, value: &str| challenge.push_str(&format!(", {name}=\"{value}\""));
    if let Some(error) = error {
        add("error", error);
    }
    if let Some(state) = state
        && let Some(tokens) = state.keys.tokens()
        && let Some(base) = base(state, request)
    {
        let path = if is_mcp(request.path()) { request.path() } else { "" };
        let requested = is_mcp(path).then(|| Scope::Act.as_str());
        if let Some(scope) =
            scope.or(requested).filter(|_| SCOPE_CLAIMS.contains(&tokens.scope_claim()))
        {
            add("scope", scope);
        }
        add("resource_metadata", &format!("{base}{METADATA}{path}"));
    }
    // The path may hold characters that no header does.
    HeaderValue::from_str(&challenge)
        .unwrap_or_else(|_| HeaderValue::from_static("Bearer realm=\"life-agent\""))
}

/// The address of the service as its callers know it: that of the settings, else the one that they called.
fn base(state: &AppState, request: &HttpRequest) -> Option<String> {
    if let Some(url) = &state.public_url {
        return Some(url.trim_end_matches('/').to_owned());
    }
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    (!host.is_empty() && host.bytes().all(plain)).then(|| format!("http://{host}"))
}
