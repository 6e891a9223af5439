//! From verified claims to a grant.

use jiff::Timestamp;
use life_agent_engine::domain::governance::ids::Principal;
use life_agent_engine::domain::governance::principal::Scopes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::LEEWAY;
use super::fault::TokenFault;
use super::settings::JwtSettings;
use crate::auth::grant::Grant;
use crate::auth::scope;

/// How the principals of tokens begin, so that no token can pass for a configured key.
pub const PREFIX: &str = "jwt:";
/// Longest principal, in characters.
const MAX_NAME: usize = 64;
/// Longest person, in bytes.
const MAX_PERSON: usize = 256;
/// Most agent globs, and the longest of them: a glob is compiled to an automaton.
const MAX_GLOBS: usize = 64;
const MAX_GLOB: usize = 128;

/// The grant of a token with these claims, which the issuer has signed.
pub(super) fn grant(claims: &Value, settings: &JwtSettings) -> Result<Grant, TokenFault> {
    let subject = text(claims, "sub")?;
    // Without the person, the rule that two persons decide together could not hold.
    let person = text(claims, &settings.person_claim)?;
    if person.len() > MAX_PERSON {
        return Err(TokenFault::Claim(settings.person_claim.clone()));
    }
    let mut principal = Principal::new(&name(subject))
        .with_person(person)
        .with_scopes(scopes(claim(claims, &settings.scope_claim)));
    if let Some(agents) = &settings.agents_claim {
        principal = principal.with_agents(globs(claims, agents)?);
    }
    let expires = expiry(claims).ok_or_else(|| TokenFault::Claim("exp".to_owned()))?;
    Grant::new(principal, Some(expires))
        .map_err(|_| TokenFault::Claim(settings.agents_claim.clone().unwrap_or_default()))
}

/// A claim by name, or by JSON pointer for one within an object.
fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

fn text<'a>(claims: &'a Value, name: &str) -> Result<&'a str, TokenFault> {
    let text = claim(claims, name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| TokenFault::Claim(name.to_owned()))
}

/// The end of the token, with the tolerance for clocks.
fn expiry(claims: &Value) -> Option<Timestamp> {
    let exp = claims.get("exp")?;
    let second = exp.as_i64().or_else(|| exp.as_f64().map(|second| second as i64))?;
    let last = second.saturating_add(i64::try_from(LEEWAY).ok()?);
    Some(Timestamp::from_second(last).unwrap_or(Timestamp::MAX))
}

/// The known scopes and roles of a claim: a list, or a text with spaces. Issuers add names of their own, such as
/// `openid`, so unknown names grant nothing.
fn scopes(claim: Option<&Value>) -> Scopes {
    let known = claim.map(words).unwrap_or_default();
    known
        .into_iter()
        .filter_map(scope::named)
        .flat_map(|scopes| scopes.iter().collect::<Vec<_>>())
        .collect()
}

/// The agent globs of a claim. Without the claim, none: the token reaches no agent.
fn globs(claims: &Value, name: &str) -> Result<Vec<String>, TokenFault> {
    let globs = claim(claims, name).map(words).unwrap_or_default();
    if globs.len() > MAX_GLOBS || globs.iter().any(|glob| glob.len() > MAX_GLOB) {
        return Err(TokenFault::Claim(name.to_owned()));
    }
    Ok(globs.into_iter().map(str::to_owned).collect())
}

fn words(claim: &Value) -> Vec<&str> {
    match claim {
        Value::String(text) => text.split_whitespace().collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A subject as a principal. One that does not fit the form of names gets a part of its digest in front of what
/// fits, after a colon with which no other name begins, so that no two subjects have one name.
fn name(subject: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    let room = MAX_NAME - PREFIX.len();
    if subject.len() <= room && subject.chars().all(fits) && !subject.starts_with(':') {
        return format!("{PREFIX}{subject}");
    }
    let digest = hex::encode(Sha256::digest(subject));
    let digest = digest.get(..32).unwrap_or(&digest);
    let readable: String =
        subject.chars().map(|c| if fits(c) { c } else { '-' }).take(room - 34).collect();
    format!("{PREFIX}:{digest}:{readable}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use life_agent_engine::domain::governance::ids::AgentId;
    use serde_json::json;

    use super::super::source::JwksSource;
    use super::*;

    fn settings() -> JwtSettings {
        JwtSettings {
            issuer: "https://issuer.example".to_owned(),
            audience: vec!["life-agent".to_owned()],
            jwks: JwksSource::File(PathBuf::from("jwks.json")),
            scope_claim: "scope".to_owned(),
            person_claim: "sub".to_owned(),
            agents_claim: None,
        }
    }

    fn of(claims: Value, settings: &JwtSettings) -> Result<Grant, TokenFault> {
        let mut all = json!({"sub": "ann", "exp": 1_000});
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        grant(&all, settings)
    }

    fn missing(name: &str) -> TokenFault {
        TokenFault::Claim(name.to_owned())
    }

    #[test]
    fn scopes_and_roles_come_as_a_text_or_a_list_and_others_grant_nothing() {
        for (claim, expected) in [
            (json!("act read"), &["act", "read"][..]),
            (json!(["act", "read"]), &["act", "read"]),
            (json!("openid reviewer profile"), &["read", "approve"]),
            (json!(["operator"]), &["act", "read", "approve", "policy", "operate"]),
            (json!("admin"), &[]),
            (json!(["act read"]), &[]),
            (json!(7), &[]),
            (json!(null), &[]),
        ] {
            let grant = of(json!({"scope": claim}), &settings()).unwrap();
            assert_eq!(scope::names(grant.principal.scopes()), expected, "{claim}");
        }
        let nested = JwtSettings { scope_claim: "/realm/roles".to_owned(), ..settings() };
        let grant = of(json!({"realm": {"roles": ["agent"]}}), &nested).unwrap();
        assert_eq!(scope::names(grant.principal.scopes()), ["act"]);
    }

    #[test]
    fn a_token_reaches_the_agents_of_its_claim_and_without_the_claim_none() {
        let every = of(json!({}), &settings()).unwrap();
        assert!(every.may_access("any"));
        let limited = JwtSettings { agents_claim: Some("agents".to_owned()), ..settings() };
        for claim in [json!("gpt-* hero"), json!(["gpt-*", "hero"])] {
            let grant = of(json!({"agents": claim}), &limited).unwrap();
            assert!(grant.may_access("gpt-1") && grant.may_access("hero"));
            assert!(!grant.may_access("heroine"));
        }
        for none in [json!({}), json!({"agents": ""}), json!({"agents": []}), json!({"agents": 7})]
        {
            assert!(!of(none.clone(), &limited).unwrap().may_access("hero"), "{none}");
        }
        for bad in [json!("["), json!("x".repeat(129)), json!(vec!["a"; 65])] {
            assert_eq!(
                of(json!({"agents": bad}), &limited).unwrap_err(),
                missing("agents"),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_person_is_a_claim_that_a_token_must_have() {
        let grant = of(json!({}), &settings()).unwrap();
        assert_eq!(grant.principal.person(), Some("ann"));
        let mail = JwtSettings { person_claim: "email".to_owned(), ..settings() };
        let grant = of(json!({"email": "ann@example.com"}), &mail).unwrap();
        assert_eq!(grant.principal.person(), Some("ann@example.com"));
        for bad in [
            json!({}),
            json!({"email": ""}),
            json!({"email": ["a"]}),
            json!({"email": "x".repeat(257)}),
        ] {
            assert_eq!(of(bad.clone(), &mail).unwrap_err(), missing("email"), "{bad}");
        }
        assert_eq!(of(json!({"sub": ""}), &settings()).unwrap_err(), missing("sub"));
    }

    #[test]
    fn a_token_works_until_its_end_and_a_minute() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for exp in [json!(1_000), json!(1_000.9)] {
            let grant = of(json!({"exp": exp}), &settings()).unwrap();
            assert!(grant.is_valid(at(1_059)) && !grant.is_valid(at(1_060)), "{exp}");
        }
        assert!(of(json!({"exp": i64::MAX}), &settings()).unwrap().is_valid(at(1)));
        assert_eq!(of(json!({"exp": "soon"}), &settings()).unwrap_err(), missing("exp"));
    }

    #[test]
    fn every_subject_has_a_name_of_its_own_that_no_key_has() {
        assert_eq!(name("4f1c-9"), "jwt:4f1c-9");
        let subjects = [
            "auth0|5f7c",
            "auth0-5f7c",
            "ann@example.com",
            "ann-example.com",
            "Zoë",
            "Zo-",
            ":x",
            "x",
            &"a".repeat(60),
            &"a".repeat(61),
            &"a".repeat(62),
        ];
        let names: std::collections::BTreeSet<_> = subjects.iter().map(|s| name(s)).collect();
        assert_eq!(names.len(), subjects.len(), "{names:?}");
        for name in names {
            assert!(AgentId::new(&name).is_ok() && name.starts_with(PREFIX), "{name}");
        }
        assert!(name("auth0|5f7c").ends_with(":auth0-5f7c"));
    }
}
