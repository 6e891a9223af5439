//! The known keys: digests that are compared in constant time, from the settings and from `KEYS_FILE`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use life_agent_engine::Authority;
use life_agent_engine::domain::governance::ids::{AgentId, Principal};
use life_agent_engine::domain::governance::principal::{Scope, Scopes};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio::sync::watch;

use super::grant::Grant;
use super::jwt::{TokenFault, Tokens};
use super::keys_file::{Granted, KeysFile, KeysFileError};
use crate::settings::{NamedKey, Settings};

/// The principal of a key that the server generated for one run.
pub const LOCAL: &str = "local";
/// Shorter keys are accepted on loopback addresses only.
pub const MIN_LENGTH: usize = 16;

type Digested = [u8; 32];
type Table = Vec<(Digested, Arc<Grant>)>;

/// Where a key is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// `API_KEY` or `API_TOKENS`.
    Settings,
    /// `KEYS_FILE`.
    File,
    /// The issuer of tokens.
    Token,
}

/// A key of the list.
#[derive(Debug)]
pub struct KnownKey {
    /// What it grants.
    pub grant: Arc<Grant>,
    /// Where it is defined.
    pub source: KeySource,
    /// Whether it has not expired.
    pub is_valid: bool,
}

/// The known keys.
pub struct Keys {
    /// Keys from the settings, which never change.
    configured: Table,
    /// All keys.
    table: RwLock<Arc<Table>>,
    /// The text of `KEYS_FILE` at the start.
    file: Option<String>,
    /// Signed tokens, if an issuer is configured.
    tokens: Option<Tokens>,
    /// Requests per second of a principal without a limit of its own; 0 for no limit.
    rps: u32,
    /// Counts changes of the table and of the issuer's keys.
    changes: watch::Sender<u64>,
}

/// The keys do not allow a start, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Other machines can reach the service, and it has no key.
    #[error(
        "no key is configured and HOST is `{0}`, which other machines may reach; \
         set API_KEY or API_TOKENS, or listen on 127.0.0.1"
    )]
    Missing(IpAddr),
    /// Other machines can reach the service, and a key can be guessed.
    #[error(
        "the key `{0}` has fewer than {MIN_LENGTH} characters, which is accepted on loopback addresses only; \
         use a longer one, such as `openssl rand -hex 24` prints"
    )]
    Short(String),
    /// Two entries have the same name.
    #[error("two keys have the name `{0}`; give each key its own name")]
    SameName(String),
    /// Two entries have the same key.
    #[error("the keys `{0}` and `{1}` are the same; give each principal its own key")]
    SameKey(String, String),
    /// `KEYS_FILE` cannot be used.
    #[error(transparent)]
    File(#[from] KeysFileError),
    /// The issuer's keys cannot be used.
    #[error("{0}")]
    Tokens(String),
}

impl Keys {
    /// The configured keys. Without any, on a loopback address, a key generated for this run, which is also returned
    /// so that it can be shown once.
    pub fn of(settings: &Settings) -> Result<(Self, Option<SecretString>), KeysError> {
        let file = settings.keys_file.as_deref().map(KeysFile::text).transpose()?;
        let granted = match &file {
            Some(text) => KeysFile::parse(text)?.grants()?,
            None => Vec::new(),
        };
        if !settings.host.is_loopback() {
            let short = |key: &&NamedKey| key.key.expose_secret().len() < MIN_LENGTH;
            if let Some(key) = settings.keys.iter().find(short) {
                return Err(KeysError::Short(key.name.clone()));
            }
        }
        let rps = settings.rate_limit_principal_rps;
        let tokens = settings
            .jwt
            .clone()
            .map(|jwt| Tokens::new(jwt, rps))
            .transpose()
            .map_err(KeysError::Tokens)?;
        if !settings.keys.is_empty() || !granted.is_empty() || tokens.is_some() {
            let keys = Self { tokens, file, ..Self::new(&settings.keys, rps)? };
            keys.replace_file(granted)?;
            return Ok((keys, None));
        }
        if !settings.host.is_loopback() {
            return Err(KeysError::Missing(settings.host));
        }
        let generated = SecretString::from(random_key());
        let key =
            NamedKey { name: LOCAL.to_owned(), key: generated.clone(), scopes: Scopes::all() };
        Ok((Self { file, ..Self::new(&[key], rps)? }, Some(generated)))
    }

    /// Exactly these keys, with this many requests per second each; 0 for no limit.
    pub fn new(keys: &[NamedKey], rps: u32) -> Result<Self, KeysError> {
        let grant = |key: &NamedKey| {
            let digest = digest(key.key.expose_secret().as_bytes());
            let mut grant = Grant::configured(&key.name, key.scopes, digest);
            grant.limit_to(None, rps, None);
            (digest, Arc::new(grant))
        };
        let configured: Table = keys.iter().map(grant).collect();
        unique(&configured)?;
        let table = RwLock::new(Arc::new(configured.clone()));
        Ok(Self {
            configured,
            table,
            file: None,
            tokens: None,
            rps,
            changes: watch::Sender::new(0),
        })
    }

    /// Replaces the keys of `KEYS_FILE`. On an error the previous keys stay.
    pub fn replace_file(&self, granted: Vec<Granted>) -> Result<(), KeysError> {
        let (mut all, before) = (self.configured.clone(), self.table());
        let earlier = |digest: &Digested| before.iter().find(|(known, _)| known == digest);
        all.extend(granted.into_iter().map(|(digest, mut grant, rate)| {
            let earlier = earlier(&digest).map(|(_, grant)| grant.as_ref());
            grant.limit_to(rate, self.rps, earlier);
            grant.continue_use(earlier);
            (digest, Arc::new(grant))
        }));
        unique(&all)?;
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
        self.note_change();
        Ok(())
    }

    fn note_change(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// The grant of a presented key that has not expired. Takes the same time for every unknown key, and compares all
    /// known keys even after a match.
    pub fn grant(&self, presented: &[u8]) -> Option<Arc<Grant>> {
        let digest = digest(presented);
        self.of_key(&digest).or_else(|| self.token_for(presented)?.grant(presented, digest).ok())
    }

    /// Why a presented token is not accepted; none if it has not the form of a token.
    pub fn token_fault(&self, presented: &[u8]) -> Option<TokenFault> {
        self.token_for(presented)?.grant(presented, digest(presented)).err()
    }

    /// Fetches the issuer's keys if a presented token names a key that is not among them.
    pub async fn prepare(&self, presented: &[u8]) {
        if let Some(tokens) = self.token_for(presented)
            && tokens.refresh_for(presented, &digest(presented)).await
        {
            self.note_change();
        }
    }

    /// The text of `KEYS_FILE` from which the first keys were read.
    pub fn file_at_start(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The accepted tokens, if an issuer is configured.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// Reads the issuer's keys again.
    pub async fn refresh_tokens(&self) {
        if let Some(tokens) = &self.tokens
            && tokens.refresh().await
        {
            self.note_change();
        }
    }

    fn token_for(&self, presented: &[u8]) -> Option<&Tokens> {
        self.tokens.as_ref().filter(|_| Tokens::is_token(presented))
    }

    fn of_key(&self, presented: &Digested) -> Option<Arc<Grant>> {
        let table = self.table();
        let none = u64::MAX;
        let found = table.iter().enumerate().fold(none, |found, (index, (known, _))| {
            let same: Choice = known.ct_eq(presented);
            u64::conditional_select(&found, &u64::try_from(index).unwrap_or(none), same)
        });
        let (_, grant) = table.get(usize::try_from(found).ok()?)?;
        // Most keys never expire, and reading the clock costs more than the comparison.
        (grant.expires.is_none() || grant.is_valid(Timestamp::now())).then(|| Arc::clone(grant))
    }

    /// The grant of the key or of a recent token with this name, if it has not expired.
    pub fn named(&self, name: &str) -> Option<Arc<Grant>> {
        let table = self.table();
        let found = table.iter().find(|(_, grant)| grant.principal.as_str() == name);
        match found {
            Some((_, grant)) => grant.is_valid(Timestamp::now()).then(|| Arc::clone(grant)),
            None => self.tokens.as_ref()?.named(name),
        }
    }

    /// Every key, expired ones included, and a grant for each principal of recently accepted tokens.
    pub fn list(&self) -> Vec<KnownKey> {
        let (table, now) = (self.table(), Timestamp::now());
        let of_keys = table.iter().enumerate().map(|(index, (_, grant))| {
            let is_configured = index < self.configured.len();
            let source = if is_configured { KeySource::Settings } else { KeySource::File };
            (Arc::clone(grant), source)
        });
        let of_tokens = self.tokens.iter().flat_map(Tokens::recent);
        let all = of_keys.chain(of_tokens.map(|grant| (grant, KeySource::Token)));
        all.map(|(grant, source)| KnownKey { is_valid: grant.is_valid(now), grant, source })
            .collect()
    }

    /// Whether a grant that was valid before still is.
    pub fn is_current(&self, grant: &Arc<Grant>) -> bool {
        // A reload creates new grants; an unchanged key keeps its open streams.
        let same = |known: &Arc<Grant>| Arc::ptr_eq(known, grant) || known.is_same(grant);
        let known = self.table().iter().any(|(_, known)| same(known));
        let of_token = || self.tokens.as_ref().is_some_and(|tokens| tokens.is_current(grant));
        (known || of_token()) && grant.is_valid(Timestamp::now())
    }

    /// Notifies of every change of the keys.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether two or more keys exist and all of them may do everything.
    pub fn is_unrestricted(&self) -> bool {
        let table = self.table();
        table.len() > 1 && table.iter().all(|(_, grant)| grant.is_unrestricted())
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Queued turns run for keys that may still act for their agents.
impl Authority for Keys {
    fn actor(&self, principal: &str, agent: &AgentId) -> Option<Principal> {
        let grant = self.named(principal)?;
        let may_act = grant.principal.has(Scope::Act) && grant.may_access(agent.as_str());
        may_act.then(|| grant.principal.clone())
    }
}

fn unique(table: &Table) -> Result<(), KeysError> {
    let (mut names, mut digests) = (BTreeMap::new(), BTreeMap::new());
    for (digest, grant) in table {
        let name = grant.principal.as_str();
        if names.insert(name, ()).is_some() {
            return Err(KeysError::SameName(name.to_owned()));
        }
        if let Some(other) = digests.insert(digest, name) {
            return Err(KeysError::SameKey(other.to_owned(), name.to_owned()));
        }
    }
    Ok(())
}

/// The digest under which a key is stored.
pub fn digest(key: &[u8]) -> Digested {
    Sha256::digest(key).into()
}

/// 32 hexadecimal digits: 128 bits from ChaCha, seeded by the system.
pub fn random_key() -> String {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::scope::named as role;

    fn named(name: &str, key: &str) -> NamedKey {
        NamedKey { name: name.to_owned(), key: key.into(), scopes: Scopes::all() }
    }

    fn granted(name: &str, key: &str) -> Granted {
        with_scopes(name, key, Scopes::all())
    }

    fn with_scopes(name: &str, key: &str, scopes: Scopes) -> Granted {
        let digest = digest(key.as_bytes());
        (digest, Grant::configured(name, scopes, digest), None)
    }

    fn name(keys: &Keys, key: &str) -> Option<String> {
        keys.grant(key.as_bytes()).map(|grant| grant.principal.as_str().to_owned())
    }

    #[test]
    fn a_known_key_has_its_name_and_no_other_key_is_known() {
        let keys = Keys::new(&[named("default", "one"), named("ci", "two")], 0).unwrap();
        assert_eq!(name(&keys, "one").as_deref(), Some("default"));
        assert_eq!(name(&keys, "two").as_deref(), Some("ci"));
        for wrong in ["", "on", "onee", "ONE", "one,two", "default"] {
            assert_eq!(name(&keys, wrong), None, "{wrong}");
        }
        assert!(Keys::new(&[], 0).unwrap().grant(b"").is_none());
    }

    #[test]
    fn names_and_keys_are_unique() {
        assert!(matches!(
            Keys::new(&[named("a", "1"), named("a", "2")], 0),
            Err(KeysError::SameName(_))
        ));
        assert!(matches!(
            Keys::new(&[named("a", "1"), named("b", "1")], 0),
            Err(KeysError::SameKey(..))
        ));
        let keys = Keys::new(&[named("a", "1")], 0).unwrap();
        assert!(keys.replace_file(vec![granted("a", "2")]).is_err());
        assert!(keys.replace_file(vec![granted("b", "1")]).is_err());
        assert_eq!(name(&keys, "1").as_deref(), Some("a"), "the previous keys stay");
    }

    #[test]
    fn a_replaced_file_revokes_and_an_unchanged_key_stays() {
        let keys = Keys::new(&[], 0).unwrap();
        keys.replace_file(vec![granted("a", "1"), granted("b", "2")]).unwrap();
        let (a, b) = (keys.grant(b"1").unwrap(), keys.grant(b"2").unwrap());
        let changes = keys.subscribe();
        keys.replace_file(vec![granted("a", "1")]).unwrap();
        assert!(changes.has_changed().unwrap());
        assert!(keys.is_current(&a) && !keys.is_current(&b));
        assert!(keys.grant(b"2").is_none());
        let narrower = with_scopes("a", "1", role("observer").unwrap());
        keys.replace_file(vec![narrower]).unwrap();
        assert!(!keys.is_current(&a), "a key with other permissions is another key");
    }

    #[test]
    fn queued_turns_run_for_keys_that_may_still_act() {
        let keys = Keys::new(&[named("a", "1")], 0).unwrap();
        keys.replace_file(vec![with_scopes("b", "2", role("observer").unwrap())]).unwrap();
        let agent = AgentId::new("hero").unwrap();
        assert!(keys.actor("a", &agent).is_some());
        assert!(keys.actor("b", &agent).is_none() && keys.actor("c", &agent).is_none());
    }

    #[test]
    fn an_expired_key_is_unknown() {
        let keys = Keys::new(&[], 0).unwrap();
        let mut expired = granted("a", "1");
        expired.1.expires = Some(Timestamp::from_second(1).unwrap());
        keys.replace_file(vec![expired]).unwrap();
        assert!(keys.grant(b"1").is_none());
    }

    #[test]
    fn every_run_generates_another_key() {
        let (a, b) = (random_key(), random_key());
        assert_ne!(a, b);
        assert!(a.len() == 32 && a.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
