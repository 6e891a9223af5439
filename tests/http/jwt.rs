//! Signed tokens: which of them are accepted, and what they may do.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::issuer::{AUDIENCE, ISSUER, Issuer, SigningKey, claims, encoded, in_seconds};
use crate::support::{Answer, Events, Setup, TestApp};

fn trusting(issuer: &Issuer) -> Setup {
    let setup = Setup::new().set("JWT_ISSUER", ISSUER).set("JWT_AUDIENCE", AUDIENCE);
    setup.set("JWT_JWKS", issuer.address())
}

async fn whoami(app: &TestApp, token: &str) -> Answer {
    Answer::of(app.bare(Method::GET, "/whoami").bearer_auth(token)).await
}

async fn post(app: &TestApp, path: &str, token: &str, body: &Value) -> Answer {
    Answer::of(app.bare(Method::POST, path).bearer_auth(token).json(body)).await
}

#[tokio::test]
async fn tokens_of_every_accepted_algorithm_are_accepted() {
    let (rsa, ec, ed) = (SigningKey::rsa(), SigningKey::ec(), SigningKey::ed());
    let issuer = Issuer::start(&[rsa.public("r"), ec.public("c"), ed.public("d")]).await;
    let app = trusting(&issuer).start().await;
    issuer.was_fetched().await;
    for (key, algorithm, kid) in
        [(&rsa, "RS256", "r"), (&rsa, "PS256", "r"), (&ec, "ES256", "c"), (&ed, "EdDSA", "d")]
    {
        let token = key.token(algorithm, kid, &claims(json!({"scope": "openid read"})));
        let who = whoami(&app, &token).await.ok();
        assert_eq!(who["principal"], "jwt:ann", "{algorithm}");
        assert_eq!(who["person"], "ann", "{algorithm}");
        assert_eq!(who["scopes"], json!(["read"]), "{algorithm}");
        assert!(who["expires"].is_string(), "{algorithm}");
    }
    assert_eq!(issuer.fetches(), 1, "known keys cause no fetch");
    app.get("/whoami").await.ok();
}

#[tokio::test]
async fn a_token_that_is_not_exactly_right_is_refused_with_the_reason() {
    let (rsa, ec, stranger) = (SigningKey::rsa(), SigningKey::ec(), SigningKey::ec());
    let issuer = Issuer::start(&[rsa.public("r"), ec.public("c")]).await;
    let app = trusting(&issuer).start().await;
    let of = |other: Value| ec.token("ES256", "c", &claims(other));
    let good = of(json!({}));
    whoami(&app, &good).await.ok();
    let header = |header: Value| ec.with_header(&header, &claims(json!({})));
    let unsigned = {
        let (message, _) = good.rsplit_once('.').unwrap();
        let (_, payload) = message.split_once('.').unwrap();
        let none = encoded(json!({"alg": "none", "kid": "c"}).to_string());
        [format!("{none}.{payload}."), format!("{none}.{payload}.AA"), format!("{message}.")]
    };
    for token in unsigned {
        whoami(&app, &token).await.error(401, "invalid_api_key");
    }
    whoami(&app, &with_public_key_as_secret(&rsa)).await.error(401, "invalid_api_key");
    let (head, _) = good.rsplit_once('.').unwrap();
    let payload = encoded(claims(json!({"sub": "eve"})).to_string());
    let swapped = {
        let mut parts: Vec<_> = good.split('.').collect();
        parts[1] = &payload;
        parts.join(".")
    };
    for (token, reason) in [
        (header(json!({"alg": "HS256", "kid": "c"})), "RS256, PS256, ES256 or EdDSA"),
        (header(json!({"alg": "ES384", "kid": "c"})), "RS256, PS256, ES256 or EdDSA"),
        (header(json!({"alg": "RS256", "kid": "c"})), "key set does not contain"),
        (header(json!({"alg": "ES256", "kid": "c", "crit": ["b64"], "b64": false})), "can read"),
        (header(json!({"alg": "ES256", "kid": "x"})), "key set does not contain"),
        (stranger.token("ES256", "c", &claims(json!({}))), "signature"),
        (format!("{head}.{}", encoded([0; 64])), "signature"),
        (swapped, "signature"),
        (of(json!({"aud": "other"})), "JWT_AUDIENCE"),
        (of(json!({"aud": ["other", "another"]})), "JWT_AUDIENCE"),
        (of(json!({"aud": null})), "`aud`"),
        (of(json!({"iss": "https://issuer.example/other"})), "another issuer"),
        (of(json!({"iss": null})), "`iss`"),
        (of(json!({"sub": null})), "`sub`"),
        (of(json!({"exp": null})), "`exp`"),
        (of(json!({"exp": "tomorrow"})), "`exp`"),
        (of(json!({"exp": in_seconds(-61)})), "expired"),
        (of(json!({"nbf": in_seconds(120)})), "not valid yet"),
        (of(json!({"nbf": "now"})), "`nbf`"),
        ("a.b.c".to_owned(), "can read"),
        ("..".to_owned(), "can read"),
    ] {
        let answer = whoami(&app, &token).await;
        let error = answer.error(401, "invalid_api_key");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(reason), "{reason}: {message}");
        assert!(!message.contains(&token), "the message repeats the token");
        assert!(answer.header("WWW-Authenticate").unwrap().contains("invalid_token"));
    }
    // Within the tolerance for clocks, and any of several audiences.
    for other in [
        json!({"exp": in_seconds(-50)}),
        json!({"nbf": in_seconds(60)}),
        json!({"aud": ["other", AUDIENCE]}),
    ] {
        whoami(&app, &of(other)).await.ok();
    }
    whoami(&app, "neither.atoken").await.error(401, "invalid_api_key");
}

/// The confusion of algorithms: a token signed with HMAC, with the public key as the secret.
fn with_public_key_as_secret(key: &SigningKey) -> String {
    let public = key.public("r").to_string();
    let message = format!(
        "{}.{}",
        encoded(json!({"alg": "HS256", "kid": "r"}).to_string()),
        encoded(claims(json!({})).to_string())
    );
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public.as_bytes());
    let signature = ring::hmac::sign(&secret, message.as_bytes());
    format!("{message}.{}", encoded(signature.as_ref()))
}

#[tokio::test]
async fn without_an_issuer_a_token_is_an_unknown_key() {
    let key = SigningKey::ed();
    let issuer = Issuer::start(&[key.public("d")]).await;
    let app = trusting(&issuer).unset("JWT_ISSUER").start().await;
    let error = whoami(&app, &key.token("EdDSA", "d", &claims(json!({})))).await;
    let error = error.error(401, "invalid_api_key");
    assert!(error["message"].as_str().unwrap().starts_with("unknown key"), "{error}");
    assert_eq!(issuer.fetches(), 0);
}

#[tokio::test]
async fn new_keys_are_fetched_when_a_token_names_them_and_at_most_once_a_minute() {
    let (old, new, third) = (SigningKey::ed(), SigningKey::ed(), SigningKey::ed());
    let issuer = Issuer::start(&[old.public("old")]).await;
    let app = trusting(&issuer).start().await;
    issuer.was_fetched().await;
    let of_old = old.token("EdDSA", "old", &claims(json!({})));
    whoami(&app, &of_old).await.ok();
    let stream = app.bare(Method::GET, "/events").bearer_auth(&of_old);
    let events = Events::open(stream).await;
    issuer.publish(&[new.public("new")]);
    // All of them at once: one fetch, and no request is refused because another one waits for it.
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..16 {
        let token = new.token("EdDSA", "new", &claims(json!({"sub": format!("user-{n}")})));
        calls.spawn(Answer::of(app.bare(Method::GET, "/whoami").bearer_auth(token)));
    }
    for answer in calls.join_all().await {
        answer.ok();
    }
    assert_eq!(issuer.fetches(), 2);
    // The key that the issuer withdrew no longer works, nor does what was opened with it.
    whoami(&app, &of_old).await.error(401, "invalid_api_key");
    events.ends_cleanly().await;
    issuer.publish(&[new.public("new"), third.public("third")]);
    for _ in 0..8 {
        let token = third.token("EdDSA", "third", &claims(json!({})));
        whoami(&app, &token).await.error(401, "invalid_api_key");
    }
    assert_eq!(issuer.fetches(), 2, "the next fetch is a minute away");
    whoami(&app, &new.token("EdDSA", "new", &claims(json!({})))).await.ok();
}

#[tokio::test]
async fn the_last_key_set_is_kept_while_the_issuer_does_not_respond() {
    let key = SigningKey::ec();
    let issuer = Issuer::start(&[key.public("c")]).await;
    let app = trusting(&issuer).start().await;
    issuer.was_fetched().await;
    let token = |subject: &str| key.token("ES256", "c", &claims(json!({"sub": subject})));
    whoami(&app, &token("a")).await.ok();
    issuer.break_down();
    whoami(&app, &key.token("ES256", "x", &claims(json!({})))).await.error(401, "invalid_api_key");
    assert_eq!(issuer.fetches(), 2);
    whoami(&app, &token("b")).await.ok();
    // A service that starts meanwhile works with its keys, and has no token to accept.
    let app = trusting(&issuer).start().await;
    whoami(&app, &token("c")).await.error(401, "invalid_api_key");
    app.get("/whoami").await.ok();
}

#[tokio::test]
async fn a_key_set_in_a_file_is_read_again_and_an_unusable_one_prevents_a_start() {
    let (old, new) = (SigningKey::ed(), SigningKey::ed());
    let set = |key: &SigningKey, kid: &str| json!({"keys": [key.public(kid)]}).to_string();
    let setup = Setup::new().set("JWT_ISSUER", ISSUER).set("JWT_AUDIENCE", AUDIENCE);
    let setup = setup.set("JWT_JWKS", "jwks.json");
    assert!(setup.refused().await.in_words().contains("JWT_JWKS"));
    let setup = setup.file("jwks.json", "{}");
    assert!(setup.refused().await.in_words().contains("JWT_JWKS"));
    let app = setup.file("jwks.json", set(&old, "old")).start().await;
    whoami(&app, &old.token("EdDSA", "old", &claims(json!({})))).await.ok();
    std::fs::write(app.folder().join("jwks.json"), set(&new, "new")).unwrap();
    whoami(&app, &new.token("EdDSA", "new", &claims(json!({})))).await.ok();
}

#[tokio::test]
async fn incomplete_settings_prevent_a_start() {
    let setup = Setup::new().set("JWT_ISSUER", ISSUER);
    assert!(setup.refused().await.in_words().contains("JWT_AUDIENCE"));
    let setup = setup.set("JWT_AUDIENCE", AUDIENCE);
    assert!(setup.refused().await.in_words().contains("JWT_JWKS"));
    let setup = setup.set("JWT_JWKS", "http://issuer.example/jwks");
    assert!(setup.refused().await.in_words().contains("https"));
}

#[tokio::test]
async fn a_token_of_the_largest_size_is_accepted_and_a_larger_one_refused() {
    let key = SigningKey::ec();
    let issuer = Issuer::start(&[key.public("c")]).await;
    let app = trusting(&issuer).start().await;
    let padded = |bytes: usize| {
        let token = |pad: usize| key.token("ES256", "c", &claims(json!({"pad": "x".repeat(pad)})));
        // Three bytes of claims are four of the token.
        token((bytes - token(0).len()) / 4 * 3)
    };
    let largest = padded(16 * 1024);
    assert!((16_380..=16_384).contains(&largest.len()), "{}", largest.len());
    whoami(&app, &largest).await.ok();
    let error = whoami(&app, &padded(17 * 1024)).await.error(401, "invalid_api_key");
    assert!(error["message"].as_str().unwrap().contains("16384 bytes"), "{error}");
    // Such a header is not read to its end, so the connection may be gone before the response arrives.
    let beyond = app.bare(Method::GET, "/whoami").bearer_auth(padded(200 * 1024));
    let beyond = Answer::try_of(beyond).await;
    assert!(beyond.is_err() || beyond.is_ok_and(|answer| (400..500).contains(&answer.status)));
    // The client may not know yet that the connection is gone.
    let next = || Answer::try_of(app.request(Method::GET, "/whoami"));
    let answer = match next().await {
        Ok(answer) => answer,
        Err(_) => next().await.unwrap(),
    };
    answer.ok();
}

#[tokio::test]
async fn a_token_does_what_its_scopes_and_agents_permit() {
    let key = SigningKey::ed();
    let issuer = Issuer::start(&[key.public("d")]).await;
    let setup = trusting(&issuer).set("JWT_SCOPE_CLAIM", "/realm/roles");
    let app = setup.set("JWT_AGENTS_CLAIM", "agents").start().await;
    let token = |roles: Value, agents: Value| {
        let claims = claims(json!({"scope": null, "realm": {"roles": roles}, "agents": agents}));
        key.token("EdDSA", "d", &claims)
    };
    let act = |agent: &str| json!({"agent_id": agent, "action": "rest"});
    let agent = token(json!(["agent", "offline_access"]), json!(["gpt-*"]));
    let row = post(&app, "/act", &agent, &act("gpt-1")).await.ok();
    post(&app, "/act", &agent, &act("hero")).await.error(403, "agent_forbidden");
    post(&app, "/kill-switch", &agent, &json!({"on": true})).await.error(403, "scope_missing");
    let observer = token(json!("observer"), json!("gpt-*"));
    post(&app, "/act", &observer, &act("gpt-1")).await.error(403, "scope_missing");
    let no_agents = token(json!(["agent"]), Value::Null);
    post(&app, "/act", &no_agents, &act("gpt-1")).await.error(403, "agent_forbidden");
    let id = row["event_id"].as_u64().unwrap();
    let rows = app.journal().await;
    let row = rows.iter().find(|row| row.id == id).unwrap();
    assert_eq!(row.principal, "jwt:ann");
    // Nothing that the service keeps or prints contains a token.
    let signature = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    let log = String::from_utf8(app.read("logs/app.log")).unwrap();
    let printed = app.printed() + &app.complained() + &log;
    let journal = [app.read("agent.db"), app.read("agent.db-wal")].concat();
    for token in [&agent, &observer, &no_agents] {
        let signature = signature(token);
        assert!(!printed.contains(&signature));
        assert!(!journal.windows(signature.len()).any(|part| part == signature.as_bytes()));
    }
}

#[tokio::test]
async fn a_persons_key_and_token_are_one_person() {
    use sha2::Digest;

    let key = SigningKey::ed();
    let issuer = Issuer::start(&[key.public("d")]).await;
    let digest = hex::encode(sha2::Sha256::digest("a-key-of-ann-0123456789"));
    let file = format!(
        "keys: [{{name: desk, digest: 'sha256:{digest}', roles: [operator], person: ann@example.com}}]"
    );
    let setup = trusting(&issuer).set("JWT_PERSON_CLAIM", "email").set("KEYS_FILE", "keys.yaml");
    let mut app = setup.file("keys.yaml", file).start().await;
    let token = |sub: &str, email: &str| {
        key.token("EdDSA", "d", &claims(json!({"sub": sub, "email": email})))
    };
    let ann = token("7f", "ann@example.com");
    let plan = json!({"intent": "say hello", "target_paths": ["plans/hello.txt"]});
    let id = post(&app, "/plan", &ann, &plan).await.ok()["id"].as_str().unwrap().to_owned();
    let path = format!("/plans/{id}/review");
    let approve = json!({"decision": "approve"});
    post(&app, &path, &ann, &approve).await.error(409, "conflict");
    let desk = "a-key-of-ann-0123456789";
    post(&app, &path, desk, &approve).await.error(403, "own_request");
    // The row knows the person, so a restart that forgets the token changes nothing.
    app.restart().await;
    post(&app, &path, desk, &approve).await.error(403, "own_request");
    let no_person = key.token("EdDSA", "d", &claims(json!({"sub": "7f"})));
    whoami(&app, &no_person).await.error(401, "invalid_api_key");
    post(&app, &path, &token("8a", "bob@example.com"), &approve).await.ok();
}
