//! Signed tokens (JWT) of one issuer: which of them are accepted, and the grants they stand for.

mod algorithms;
mod claims;
mod fault;
mod key_set;
mod settings;
mod source;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use self::claims::PREFIX;
pub use self::fault::TokenFault;
pub use self::settings::JwtSettings;
pub use self::source::JwksSource;

use self::algorithms::ACCEPTED;
use self::key_set::{KeyId, KeySet};
use super::grant::Grant;

/// Tolerated difference between the clocks of issuer and service, in seconds.
pub const LEEWAY: u64 = 60;
/// Longest accepted token, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Accepted tokens that are kept. Their signatures are verified once.
const MAX_ACCEPTED: usize = 4096;
/// Shortest time between two fetches that unknown keys cause.
const UNKNOWN_KEY_EVERY: Duration = Duration::from_secs(60);
/// The same while no key set has been read.
const FIRST_EVERY: Duration = Duration::from_secs(5);

/// SHA-256 of a token: tokens themselves are not kept.
type Digested = [u8; 32];

/// The accepted tokens of an issuer.
pub struct Tokens {
    settings: JwtSettings,
    /// Requests per second of a principal; 0 for no limit.
    rps: u32,
    keys: RwLock<Arc<KeySet>>,
    accepted: RwLock<HashMap<Digested, Accepted>>,
    /// When an unknown key last caused a fetch. Held during it, so that one fetch runs at a time.
    fetched: Mutex<Option<Instant>>,
}

/// A token whose signature and claims were verified.
struct Accepted {
    grant: Arc<Grant>,
    key: KeyId,
}

impl Tokens {
    /// Tokens of these settings, with this many requests per second for each principal. Reads the key set if it is a file; [`Tokens::refresh`] fetches the others.
    ///
    /// # Errors
    /// A sentence for the operator if the file cannot be used.
    pub fn new(settings: JwtSettings, rps: u32) -> Result<Self, String> {
        algorithms::install();
        let keys = match &settings.jwks {
            JwksSource::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    format!("cannot read JWT_JWKS `{}`: {error}", path.display())
                })?;
                KeySet::parse(&text).map_err(|fault| format!("JWT_JWKS is not usable: {fault}"))?
            }
            JwksSource::Url(_) => KeySet::default(),
        };
        Ok(Self {
            settings,
            rps,
            keys: RwLock::new(Arc::new(keys)),
            accepted: RwLock::default(),
            fetched: Mutex::default(),
        })
    }

    /// The issuer.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The claim with the scopes.
    pub fn scope_claim(&self) -> &str {
        &self.settings.scope_claim
    }

    /// How often the key set is read again.
    pub fn refresh_interval(&self) -> Duration {
        if self.key_set().is_loaded() { self.settings.jwks.interval() } else { FIRST_EVERY }
    }

    /// Whether a presented key has the form of a token: three parts.
    pub fn is_token(presented: &[u8]) -> bool {
        memchr::memchr_iter(b'.', presented).count() == 2
    }

    /// The grant of a token.
    pub fn grant(&self, token: &[u8], digest: Digested) -> Result<Arc<Grant>, TokenFault> {
        let now = Timestamp::now();
        if let Some(known) = self.read_accepted().get(&digest) {
            let grant = Arc::clone(&known.grant);
            return if grant.is_valid(now) { Ok(grant) } else { Err(TokenFault::Expired) };
        }
        let keys = self.key_set();
        let (mut grant, key) = self.verified(token, &keys)?;
        if !grant.is_valid(now) {
            return Err(TokenFault::Expired);
        }
        // All tokens of a principal count together.
        let earlier = self.named(grant.principal.as_str());
        grant.limit_to(None, self.rps, earlier.as_deref());
        grant.continue_use(earlier.as_deref());
        let grant = Arc::new(grant);
        let mut accepted = self.accepted.write().unwrap_or_else(PoisonError::into_inner);
        // The set may have changed since; its change has removed the tokens of removed keys.
        if !self.key_set().has(key) {
            return Err(TokenFault::UnknownKey);
        }
        if accepted.len() >= MAX_ACCEPTED {
            accepted.retain(|_, token| token.grant.is_valid(now));
        }
        if accepted.len() >= MAX_ACCEPTED
            && let Some(any) = accepted.keys().next().copied()
        {
            accepted.remove(&any);
        }
        accepted.insert(digest, Accepted { grant: Arc::clone(&grant), key });
        Ok(grant)
    }

    /// The grant of a principal whose token was accepted and is valid: the one that lasts longest.
    pub fn named(&self, name: &str) -> Option<Arc<Grant>> {
        let now = Timestamp::now();
        let accepted = self.read_accepted();
        let own = accepted.values().map(|token| &token.grant);
        let own = own.filter(|grant| grant.principal.as_str() == name && grant.is_valid(now));
        own.max_by_key(|grant| grant.expires).map(Arc::clone)
    }

    /// For each principal of the accepted tokens, the grant that lasts longest.
    pub fn recent(&self) -> Vec<Arc<Grant>> {
        let mut longest: BTreeMap<String, Arc<Grant>> = BTreeMap::new();
        for Accepted { grant, .. } in self.read_accepted().values() {
            let known = longest
                .entry(grant.principal.as_str().to_owned())
                .or_insert_with(|| Arc::clone(grant));
            if grant.expires > known.expires {
                *known = Arc::clone(grant);
            }
        }
        longest.into_values().collect()
    }

    /// Whether a grant is still that of an accepted token.
    pub fn is_current(&self, grant: &Arc<Grant>) -> bool {
        let all = self.read_accepted();
        let accepted = all.values().any(|token| Arc::ptr_eq(&token.grant, grant));
        accepted && grant.is_valid(Timestamp::now())
    }

    /// Fetches the key set if a token names a key that is not in it, at most once a minute. Returns whether the
    /// set has changed.
    pub async fn refresh_for(&self, token: &[u8], digest: &Digested) -> bool {
        if self.read_accepted().contains_key(digest) || !self.lacks_key_of(token) {
            return false;
        }
        let mut fetched = self.fetched.lock().await;
        let every = if self.key_set().is_loaded() { UNKNOWN_KEY_EVERY } else { FIRST_EVERY };
        if !self.lacks_key_of(token) || fetched.is_some_and(|at| at.elapsed() < every) {
            return false;
        }
        *fetched = Some(Instant::now());
        self.read_keys().await
    }

    /// Reads the key set again and returns whether it has changed. If it cannot be read, the last one stays.
    pub async fn refresh(&self) -> bool {
        // Tokens with unknown keys wait for the result instead of fetching too.
        let _one = self.fetched.lock().await;
        self.read_keys().await
    }

    async fn read_keys(&self) -> bool {
        let keys = match self.settings.jwks.read().await.and_then(|text| KeySet::parse(&text)) {
            Ok(keys) => Arc::new(keys),
            Err(error) => {
                tracing::warn!(%error, "JWT_JWKS cannot be read; the last good key set stays");
                return false;
            }
        };
        let mut accepted = self.accepted.write().unwrap_or_else(PoisonError::into_inner);
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if *keys == **current {
            return false;
        }
        if keys.is_empty() {
            tracing::warn!("JWT_JWKS has no key that this service can use");
        }
        accepted.retain(|_, token| keys.has(token.key));
        tracing::info!(keys = keys.len(), "the issuer's key set has changed and is active");
        *current = keys;
        true
    }

    fn verified(&self, token: &[u8], keys: &KeySet) -> Result<(Grant, KeyId), TokenFault> {
        if token.len() > MAX_TOKEN {
            return Err(TokenFault::TooLong);
        }
        let header = decode_header(token).map_err(|_| TokenFault::Unreadable)?;
        if !ACCEPTED.contains(&header.alg) {
            return Err(TokenFault::Algorithm);
        }
        // Extensions that a reader must understand: this one understands none.
        if header.crit.is_some() {
            return Err(TokenFault::Unreadable);
        }
        let key = keys.find(header.kid.as_deref(), header.alg).ok_or(TokenFault::UnknownKey)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&self.settings.audience);
        let verified = decode::<Value>(token, &key.decoding, &validation)?;
        Ok((claims::grant(&verified.claims, &self.settings)?, key.id))
    }

    /// Whether a token could be verified if the key set had its key.
    fn lacks_key_of(&self, token: &[u8]) -> bool {
        if token.len() > MAX_TOKEN {
            return false;
        }
        decode_header(token).is_ok_and(|header| {
            let keys = self.key_set();
            let named = header.kid.is_some() || !keys.is_loaded();
            ACCEPTED.contains(&header.alg)
                && named
                && keys.find(header.kid.as_deref(), header.alg).is_none()
        })
    }

    fn key_set(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn read_accepted(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Digested, Accepted>> {
        self.accepted.read().unwrap_or_else(PoisonError::into_inner)
    }
}
