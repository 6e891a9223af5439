//! The configured keys, stored as digests and compared in constant time.

use life_agent_engine::domain::governance::ids::Principal;
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::settings::{NamedKey, Settings};

/// The principal of a key that the server generated for one run.
pub const LOCAL: &str = "local";

/// The known keys.
#[derive(Debug)]
pub struct Keys(Vec<(Digested, Principal)>);

type Digested = [u8; 32];

/// The service must not start without a key on this address.
#[derive(Debug, thiserror::Error)]
#[error(
    "no key is configured and HOST is `{0}`, which other machines may reach; \
     set API_KEY or API_TOKENS, or listen on 127.0.0.1"
)]
pub struct KeyNeeded(std::net::IpAddr);

impl Keys {
    /// The configured keys. Without any, on a loopback address, a key generated for this run, which is also returned
    /// so that it can be shown once.
    pub fn of(settings: &Settings) -> Result<(Self, Option<SecretString>), KeyNeeded> {
        if !settings.keys.is_empty() {
            return Ok((Self::new(&settings.keys), None));
        }
        if !settings.host.is_loopback() {
            return Err(KeyNeeded(settings.host));
        }
        let made = SecretString::from(random_key());
        let keys = Self::new(&[NamedKey { name: LOCAL.to_owned(), key: made.clone() }]);
        Ok((keys, Some(made)))
    }

    /// Exactly these keys; of a duplicate key the first name counts.
    pub fn new(keys: &[NamedKey]) -> Self {
        let digested = |key: &NamedKey| {
            (digest(key.key.expose_secret().as_bytes()), Principal::new(&key.name))
        };
        Self(keys.iter().map(digested).collect())
    }

    /// The principal of a presented key. Takes the same time for every unknown key, and compares all known keys even
    /// after a match.
    pub fn principal(&self, presented: &[u8]) -> Option<&Principal> {
        let presented = digest(presented);
        let none = u64::MAX;
        // From last to first, so that the first of equal keys remains.
        let numbered = self.0.iter().enumerate().rev();
        let found = numbered.fold(none, |found, (index, (known, _))| {
            let same: Choice = known.ct_eq(&presented);
            u64::conditional_select(&found, &u64::try_from(index).unwrap_or(none), same)
        });
        let index = usize::try_from(found).ok()?;
        self.0.get(index).map(|(_, principal)| principal)
    }
}

fn digest(key: &[u8]) -> Digested {
    Sha256::digest(key).into()
}

/// 32 hexadecimal digits: 128 bits from ChaCha, seeded by the system.
fn random_key() -> String {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, key: &str) -> NamedKey {
        NamedKey { name: name.to_owned(), key: key.into() }
    }

    #[test]
    fn a_known_key_has_its_name_and_no_other_key_is_known() {
        let keys = Keys::new(&[named("default", "one"), named("ci", "two"), named("late", "one")]);
        let name = |key: &str| keys.principal(key.as_bytes()).map(|p| p.as_str().to_owned());
        assert_eq!(name("one").as_deref(), Some("default"));
        assert_eq!(name("two").as_deref(), Some("ci"));
        for wrong in ["", "on", "onee", "ONE", "one,two", "default"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        assert!(Keys::new(&[]).principal(b"").is_none());
    }

    #[test]
    fn every_run_generates_another_key() {
        let (a, b) = (random_key(), random_key());
        assert_ne!(a, b);
        assert!(a.len() == 32 && a.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
