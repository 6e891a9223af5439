//! The issuer's keys (JWKS, RFC 7517).

use std::collections::BTreeSet;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Most keys of a set that are used.
const MAX_KEYS: usize = 256;

/// A digest of everything that a key consists of.
pub(super) type KeyId = [u8; 32];

/// The usable keys of a set. Others are ignored: sets also hold keys for encryption and for other services.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// Whether the set was read from its source.
    loaded: bool,
}

/// A key that verifies signatures.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) decoding: DecodingKey,
    kid: Option<String>,
    algorithms: &'static [Algorithm],
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Parses a set.
    ///
    /// # Errors
    /// A sentence if the text is not a JWKS.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let document: Document = serde_json::from_str(text)
            .map_err(|_| "it is not a JSON object with `keys`, a list".to_owned())?;
        let keys = document.keys.iter().take(MAX_KEYS).filter_map(Key::of).collect();
        Ok(Self { keys, loaded: true })
    }

    /// The key for a token. Without a key ID, the only key that fits.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let fits = |key: &&Key| {
            key.algorithms.contains(&algorithm)
                && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        };
        let mut fitting = self.keys.iter().filter(fits);
        let first = fitting.next()?;
        // Two keys under one name: no choice would be right.
        fitting.next().is_none().then_some(first)
    }

    pub(super) fn has(&self, id: KeyId) -> bool {
        self.keys.iter().any(|key| key.id == id)
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.loaded
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        let ids = |set: &Self| set.keys.iter().map(|key| key.id).collect::<BTreeSet<_>>();
        self.loaded == other.loaded && ids(self) == ids(other)
    }
}

impl Key {
    /// A key of a set; none if it cannot verify tokens.
    fn of(value: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|r#use| *r#use != PublicKeyUse::Signature)
        {
            return None;
        }
        let algorithms = algorithms(&jwk)?;
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        // Members of an object are ordered by name, so the digest does not depend on the issuer's order.
        let id = Sha256::digest(value.to_string()).into();
        Some(Self { id, decoding, kid: jwk.common.key_id, algorithms })
    }
}

/// The accepted algorithms of a key. Symmetric keys have none.
fn algorithms(jwk: &Jwk) -> Option<&'static [Algorithm]> {
    let all: &'static [Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::PS256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            &[Algorithm::ES256]
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        _ => return None,
    };
    let Some(declared) = jwk.common.key_algorithm else { return Some(all) };
    let declared = match declared {
        KeyAlgorithm::RS256 => Algorithm::RS256,
        KeyAlgorithm::PS256 => Algorithm::PS256,
        KeyAlgorithm::ES256 => Algorithm::ES256,
        KeyAlgorithm::EdDSA => Algorithm::EdDSA,
        _ => return None,
    };
    all.iter().position(|algorithm| *algorithm == declared).map(|at| &all[at..=at])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(kid: &str) -> Value {
        json!({"kty": "RSA", "kid": kid, "n": "sXch", "e": "AQAB"})
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(&json!({"keys": keys}).to_string()).unwrap()
    }

    #[test]
    fn keys_that_cannot_verify_tokens_are_ignored() {
        let with = |name: &str, value: &str| {
            let mut key = rsa("a");
            key[name] = value.into();
            key
        };
        for unusable in [
            json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256"}),
            json!({"kty": "EC", "kid": "a", "crv": "P-384", "x": "AA", "y": "AA"}),
            json!({"kty": "OKP", "kid": "a", "crv": "X25519", "x": "AA"}),
            json!({"kty": "AKP", "kid": "a"}),
            json!({"kty": "RSA", "kid": "a"}),
            json!("no key"),
            with("use", "enc"),
            with("alg", "RS512"),
            with("alg", "RSA-OAEP"),
        ] {
            let keys = set(&[unusable.clone(), rsa("b")]);
            assert_eq!(keys.len(), 1, "{unusable}");
            assert!(keys.find(Some("a"), Algorithm::RS256).is_none(), "{unusable}");
        }
        assert!(set(&[]).is_empty() && set(&[]).is_loaded());
        for text in ["", "{}", "[]", r#"{"keys": {}}"#] {
            assert!(KeySet::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_is_found_by_id_and_algorithm_and_without_an_id_only_if_no_other_fits() {
        let mut ps256 = rsa("p");
        ps256["alg"] = "PS256".into();
        let keys = set(&[rsa("a"), ps256]);
        let found = |kid, algorithm| keys.find(kid, algorithm).and_then(|key| key.kid.as_deref());
        assert_eq!(found(Some("a"), Algorithm::RS256), Some("a"));
        assert_eq!(found(Some("p"), Algorithm::PS256), Some("p"));
        assert_eq!(found(Some("p"), Algorithm::RS256), None, "the key is declared for PS256");
        assert_eq!(found(Some("a"), Algorithm::ES256), None);
        assert_eq!(found(Some("x"), Algorithm::RS256), None);
        assert_eq!(found(None, Algorithm::RS256), Some("a"));
        assert_eq!(found(None, Algorithm::PS256), None, "two keys fit");
    }

    #[test]
    fn sets_are_equal_if_their_keys_are() {
        assert_eq!(set(&[rsa("a"), rsa("b")]), set(&[rsa("b"), rsa("a")]));
        assert_ne!(set(&[rsa("a")]), set(&[rsa("b")]));
        assert_ne!(set(&[]), KeySet::default());
    }
}
