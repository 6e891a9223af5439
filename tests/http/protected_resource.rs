//! The service as an OAuth 2.0 protected resource (RFC 9728), for clients that look for a token.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::issuer::{AUDIENCE, ISSUER, Issuer, SigningKey, claims};
use crate::support::{Answer, Setup, TestApp};

const METADATA: &str = "/.well-known/oauth-protected-resource";

async fn get(app: &TestApp, path: &str) -> Answer {
    Answer::of(app.bare(Method::GET, path)).await
}

fn ping() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})
}

#[tokio::test]
async fn a_client_without_a_token_finds_the_issuer() {
    let ec = SigningKey::ec();
    let issuer = Issuer::start(&[ec.public("c")]).await;
    let setup = Setup::new().set("JWT_ISSUER", ISSUER).set("JWT_AUDIENCE", AUDIENCE);
    let app = setup.set("JWT_JWKS", issuer.address()).start().await;
    issuer.was_fetched().await;
    let base = format!("http://{}", app.addr());
    for path in ["/mcp", "/mcp/web"] {
        let refused = Answer::of(app.bare(Method::POST, path).json(&ping())).await;
        refused.error(401, "missing_api_key");
        let expected = format!(
            "Bearer realm=\"life-agent\", scope=\"act\", resource_metadata=\"{base}{METADATA}{path}\""
        );
        assert_eq!(refused.header("WWW-Authenticate"), Some(expected.as_str()));
        let found = get(&app, &format!("{METADATA}{path}")).await.ok();
        assert_eq!(found["resource"], format!("{base}{path}"));
        assert_eq!(found["authorization_servers"], json!([ISSUER]));
        assert_eq!(found["scopes_supported"], json!(["act"]));
        assert_eq!(found["bearer_methods_supported"], json!(["header"]));
    }
    let whole = get(&app, METADATA).await.ok();
    assert_eq!(
        (&whole["resource"], whole["scopes_supported"].as_array().unwrap().len()),
        (&json!(base), 5)
    );
    let refused = Answer::of(app.bare(Method::GET, "/whoami").bearer_auth("a.b.c")).await;
    let challenge = refused.header("WWW-Authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\", resource_metadata="), "{challenge}");
    // A token without the scope learns which one it lacks.
    let token = ec.token("ES256", "c", &claims(json!({"scope": "read"})));
    let refused =
        Answer::of(app.bare(Method::POST, "/mcp").bearer_auth(&token).json(&ping())).await;
    refused.error(403, "scope_missing");
    let challenge = refused.header("WWW-Authenticate").unwrap();
    assert!(challenge.contains("error=\"insufficient_scope\", scope=\"act\""), "{challenge}");
    for path in ["/act", "/mcp/", "/mcp/a/b", "/mcp/%22"] {
        get(&app, &format!("{METADATA}{path}")).await.error(404, "not_found");
    }
}

#[tokio::test]
async fn the_address_is_that_of_the_settings_and_scopes_need_their_claim() {
    let ec = SigningKey::ec();
    let issuer = Issuer::start(&[ec.public("c")]).await;
    let setup = Setup::new().set("JWT_ISSUER", ISSUER).set("JWT_AUDIENCE", AUDIENCE);
    let setup =
        setup.set("JWT_JWKS", issuer.address()).set("JWT_SCOPE_CLAIM", "/realm_access/roles");
    let app = setup.set("PUBLIC_SERVER_URL", "https://agent.example.com/").start().await;
    let refused = Answer::of(app.bare(Method::POST, "/mcp").json(&ping())).await;
    let expected = format!(
        "Bearer realm=\"life-agent\", resource_metadata=\"https://agent.example.com{METADATA}/mcp\""
    );
    assert_eq!(refused.header("WWW-Authenticate"), Some(expected.as_str()));
    let found = get(&app, &format!("{METADATA}/mcp")).await.ok();
    assert_eq!(found["resource"], "https://agent.example.com/mcp");
    assert_eq!(found.get("scopes_supported"), None);
}

#[tokio::test]
async fn without_an_issuer_there_is_no_metadata() {
    let app = TestApp::start().await;
    get(&app, METADATA).await.error(404, "not_found");
    let refused = Answer::of(app.bare(Method::POST, "/mcp").json(&ping())).await;
    assert_eq!(refused.header("WWW-Authenticate"), Some("Bearer realm=\"life-agent\""));
}
