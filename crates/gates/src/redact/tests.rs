//! Generated credentials of every kind are taken out, and nothing else is.

use life_agent_domain::governance::payload::Payload;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn clean(text: &str) -> String {
    SecretRedactor.redact(text).into_owned()
}

/// Credentials as their issuers make them: a rule, and an expression for the secret part. Generated,
/// so that no scanner of this repository mistakes them for real ones.
fn kinds() -> impl Strategy<Value = (&'static str, String)> {
    let kind = |rule: &'static str, shape: &'static str| shape.prop_map(move |s: String| (rule, s));
    prop_oneof![
        kind("github_token", "gh[pousr]_[A-Za-z0-9]{12}[0-9][A-Za-z0-9]{23}"),
        kind("github_token", "github_pat_[A-Z0-9]{11}[A-Za-z0-9]{11}_[a-z0-9]{12}[A-Z0-9]{30}"),
        kind("gitlab_token", "glpat-[a-z][0-9]{2}[A-Za-z0-9]{17}"),
        kind("slack_token", "xox[bp]-[0-9]{12}-[0-9]{12}-[a-z][0-9][A-Za-z0-9]{22}"),
        kind("aws_key", "A[KS]IA[A-Z]{3}[2-7]{2}[A-Z2-7]{11}"),
        kind("payment_key", "[sr]k_live_[a-z][0-9]{2}[A-Za-z0-9]{21}"),
        kind("model_key", "sk-proj-[a-z][0-9]{3}[A-Za-z0-9]{36}"),
        kind("model_key", "gsk_[a-z][0-9]{3}[A-Za-z0-9]{44}"),
        kind("google_key", "AIza[0-9]{2}[A-Za-z0-9_]{33}"),
        kind("package_token", "npm_[a-z][0-9]{2}[A-Za-z0-9]{33}"),
        kind("mail_key", "SG\\.[A-Za-z0-9]{20}[0-9]{2}\\.[A-Za-z0-9]{40}[0-9]{3}"),
        kind("chat_bot_token", "[0-9]{9}:AA[A-Za-z0-9]{31}[0-9]{2}"),
        kind("cloud_token", "dop_v1_[0-9a-f]{64}"),
        kind("cloud_token", "hvs\\.[a-z][0-9]{2}[A-Za-z0-9]{26}"),
        kind("service_token", "lin_api_[a-z][0-9]{2}[A-Za-z0-9]{37}"),
        kind("jwt", "eyJ[A-Za-z0-9]{17}[0-9]\\.eyJ[A-Za-z0-9]{30}\\.[A-Za-z0-9]{43}"),
    ]
}

proptest! {
    #[test]
    fn a_credential_is_taken_out_wherever_it_stands(
        (rule, secret) in kinds(), place in 0usize..6
    ) {
        let text = match place {
            0 => secret.clone(),
            1 => format!("use {secret} for it"),
            2 => format!("KEY={secret}\nnext"),
            3 => format!("{{\"a\": \"{secret}\"}}"),
            4 => format!("(\"{secret}\")"),
            _ => format!("größe: '{secret}', ok"),
        };
        let clean = clean(&text);
        prop_assert!(!clean.contains(&secret), "{rule}: {clean}");
        prop_assert!(clean.contains("[redacted:"), "{rule}: {clean}");
    }

    #[test]
    fn a_credential_behind_escapes_or_invisible_signs_is_taken_out((_, secret) in kinds()) {
        let encoded: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let scattered: String = secret.chars().flat_map(|c| [c, '\u{200b}']).collect();
        for hidden in [encoded, scattered] {
            let clean = clean(&format!("use {hidden} now"));
            prop_assert!(clean.starts_with("use [redacted:") && clean.ends_with("now"), "{clean}");
        }
    }

    #[test]
    fn redacting_twice_changes_nothing_more(
        text in "(key|token|password|=|: |\"|'|-----BEGIN PRIVATE KEY-----|://a:|@b| |[a-zA-Z0-9]{1,20}|\\PC){0,30}"
    ) {
        let once = clean(&text);
        prop_assert_eq!(clean(&once), once);
    }
}

#[test]
fn the_place_reads_redacted_and_the_rule() {
    let key =
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END RSA PRIVATE KEY-----";
    for (text, expected) in [
        (format!("a\n{key}\nb"), "a\n[redacted:private_key]\nb"),
        (
            "pw: https://bob:s3cr3t-pw@db.example/x".to_owned(),
            "pw: https://bob:[redacted:url_password]@db.example/x",
        ),
        (
            "api_key = \"9wXq2LkPz7VbN4mTr8Yc\";".to_owned(),
            "api_key = \"[redacted:named_secret]\";",
        ),
        (
            "password = 'correct horse battery'".to_owned(),
            "password = '[redacted:quoted_password]'",
        ),
    ] {
        assert_eq!(clean(&text), expected);
    }
}

#[test]
fn a_long_credential_is_taken_out_whole() {
    let key = "9wXq2LkPz7VbN4mTr8Yc".repeat(60);
    for (text, expected) in [
        (format!("api_key: {key} end"), "api_key: [redacted:named_secret] end"),
        (format!("pwd: a$b!{{{key}}}~c%d end"), "pwd: [redacted:unquoted_password] end"),
        (format!("pass = '{key} or so' end"), "pass = '[redacted:quoted_password]' end"),
        (
            format!("https://bob:{key}@db.example end"),
            "https://bob:[redacted:url_password]@db.example end",
        ),
    ] {
        assert_eq!(clean(&text), expected);
    }
}

#[test]
fn letters_of_a_placeholder_within_a_credential_change_nothing() {
    for middle in ["xXXx", "xxxx", "YouR", "your"] {
        let key = ["lin_api_", "a00Qz7LmP2sTvB4w", middle, "KcR8yNd9wXq2LkPz7VbN"].concat();
        assert_eq!(clean(&key), "[redacted:service_token]", "{key}");
    }
    for shown in
        ["lin_api_xxxxxxxx00Qz7LmP2sTvB4wKcR8yNd9wXqxxxx", "api_key = \"your9wXq2LkPz7VbN4mT\""]
    {
        assert_eq!(clean(shown), shown);
    }
}

#[test]
fn harmless_text_is_not_even_copied() {
    for text in [
        "add API-key rate limiting",
        "the token is read from the file, the secret never leaves it",
        "password: required, at least 12 characters",
        "sha256 of it: 3f7a9c2e8b1d6f4a0c5e7b9d2f8a1c6e4b0d7f3a9c5e2b8d1f6a4c0e7b9d2f8a",
        "commit 4cf54ab1c0ffee12345678901234567890abcdef",
        "id 7f3a9c5e-2b8d-4f6a-8c0e-7b9d2f8a1c6e",
    ] {
        assert!(matches!(SecretRedactor.redact(text), Cow::Borrowed(_)), "{text}: {}", clean(text));
    }
}

#[test]
fn the_key_of_a_value_tells_that_it_is_a_credential() {
    let object = json!({
        "password": "Tr0ub4dor3xyz",
        "api_key": ["9wXq2LkPz7VbN4mTr8Yc"],
        "note": "Tr0ub4dor3xyz",
        "inner": {"client_secret": "correct horse battery", "name": "hero"},
    });
    let payload = Payload::try_from(object.as_object().cloned().unwrap()).unwrap();
    let clean = Value::Object(payload.redacted(&SecretRedactor).as_object().clone());
    for path in ["/password", "/api_key/0", "/inner/client_secret"] {
        let value = clean.pointer(path).and_then(Value::as_str).unwrap();
        assert!(value.starts_with("[redacted:"), "{path}: {value}");
    }
    assert_eq!(clean["note"], "Tr0ub4dor3xyz");
    assert_eq!(clean["inner"]["name"], "hero");
}

#[test]
fn patterns_of_the_policy_are_redacted_too() {
    let snapshot = crate::chain::testing::policy(
        "risk: {patterns: [{id: staff-pin, category: secrets, pattern: 'PIN-\\d{4}'}, \
         {id: no-cats, category: url, pattern: cats}]}",
    );
    let redactor = PolicyRedactor::new(snapshot);
    assert!(redactor.has_own_patterns());
    for (text, expected) in [
        ("PIN-1234 and PIN-5678, cats", "[redacted:staff-pin] and [redacted:staff-pin], cats"),
        ("%50IN-1234", "[redacted:staff-pin]"),
        ("password = \"correct horse\" PIN-1", "password = \"[redacted:quoted_password]\" PIN-1"),
    ] {
        assert_eq!(redactor.redact(text), expected);
    }
    assert_eq!(redactor.redact_under("note", "x PIN-1234"), "x [redacted:staff-pin]");
    assert!(matches!(redactor.redact("nothing here"), Cow::Borrowed(_)));
}

#[test]
fn a_search_that_is_given_up_redacts_everything() {
    let snapshot = crate::chain::testing::policy(
        "risk: {patterns: [{id: slow, category: secrets, pattern: '(?:(?!b)a|(?!c)aa){1,50}(?!a)'}]}",
    );
    let text = "a".repeat(65_536);
    assert_eq!(PolicyRedactor::new(snapshot).redact(&text), "[redacted:slow]");
}

#[test]
fn credentials_in_escapes_are_taken_out() {
    let key = "ghp_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0";
    let json: String = key.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let c: String = key.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
    let html: String = key.bytes().map(|byte| format!("&#x{byte:x};")).collect();
    let mail = format!("token=3D{}=\n{}", &format!("{}{key}", "x ".repeat(30))[..80], &key[20..]);
    for text in [json, c, html] {
        let clean = clean(&format!("use {text} now"));
        assert_eq!(clean, "use [redacted:github_token] now");
    }
    let clean = clean(&mail);
    assert!(!clean.contains(&key[..20]) && !clean.contains(&key[20..]), "{clean}");
}
