//! From texts to the typed [`Settings`]: the first invalid value is the error.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use life_agent_engine::domain::governance::principal::Scopes;
use life_agent_engine::observer::Retention;
use life_agent_engine::policy_document::llm::Dialect;
use life_agent_engine::shared_counters::RateFallback;
use life_agent_engine::{MetricLabels, WebhookSecrets};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tracing::level_filters::LevelFilter;

use super::database::database;
use super::sources::DEFAULT;
use super::traces::traces;
use super::{ALL, Found, NamedKey, RedisSettings, RequiredPath, SettingError, Settings};
use crate::auth::jwt::{JwksSource, JwtSettings};
use crate::auth::keys_file::is_reserved;
use crate::auth::scope::all_named;
use crate::place::Place;

const SWITCH: &str = "`on` or `off`";
const URL: &str = "an address that begins with `https://` or `http://`";
const LABELS: &str = "`principal`, `agent` and `model`, comma separated";
const WEBHOOK_SECRET: &str = "`whsec_` and 24 to 64 bytes in base64";
const KEYS: &str = "keys of visible ASCII characters without commas, each `key`, `name=key` or \
                    `name[role+role]=key`, with a name of 1 to 64 characters out of `A-Z a-z 0-9 . _ : -` and \
                    roles out of `agent`, `observer`, `reviewer`, `author`, `operator`";

/// Checks what was found.
pub fn settings(found: &BTreeMap<&'static str, Found>) -> Result<Settings, SettingError> {
    let read = Reader(found);
    same_source(found)?;
    Ok(Settings {
        host: read.one("HOST", "an IP address or `localhost`", host)?,
        port: read.one("PORT", "a number from 0 to 65535", number)?,
        keys: keys(read)?,
        keys_file: read.optional("KEYS_FILE", "a path", path)?,
        jwt: jwt(read)?,
        journal: journal(read)?,
        workspace_dir: read.one("WORKSPACE_DIR", "a path", path)?,
        policy_path: read.one("POLICY_PATH", "a path", path)?,
        policy_dir: read.one("POLICY_DIR", "a path", path)?,
        plans_dir: read.one("PLANS_DIR", "a path", path)?,
        whitelist_dirs: read.one("AGENT_WHITELIST_DIRS", "directories, comma separated", list)?,
        kill_switch: read.one("KILL_SWITCH", SWITCH, switch)?,
        seed: read.one("DETERMINISTIC_SEED", "a whole number from 0", number)?,
        rate_limit_rps: read.one("RATE_LIMIT_RPS", "a whole number from 0", number)?,
        rate_limit_principal_rps: of_principal(read, "RATE_LIMIT_PRINCIPAL_RPS", |rps| {
            rps.saturating_mul(10).max(50)
        })?,
        new_agents_per_minute: of_principal(read, "NEW_AGENTS_PER_MINUTE", |_| 60)?,
        redis: redis(read)?,
        opa_enable: read.one("OPA_ENABLE", SWITCH, switch)?,
        opa_url: read.optional("OPA_URL", URL, url)?,
        opa_token: read.optional("OPA_TOKEN", "visible ASCII characters", key)?,
        webhook_secrets: read.optional("WEBHOOK_SECRET", WEBHOOK_SECRET, WebhookSecrets::parse)?,
        groq_api_key: read.optional("GROQ_API_KEY", "visible ASCII characters", key)?,
        groq_base_url: read.one("GROQ_BASE_URL", URL, url)?,
        groq_dialect: read.optional("GROQ_DIALECT", "`openai`, `anthropic` or `any`", Dialect::parse)?,
        groq_timeout: read.one("GROQ_TIMEOUT_SECONDS", "a number from 1 to 600", model_timeout)?,
        llm_first_byte: first_byte(read)?,
        llm_idle: read.one("LLM_IDLE_SECONDS", "a number from 1 to 3600", silence)?,
        llm_max_concurrent: read.one("LLM_MAX_CONCURRENT", "a whole number from 1", at_least_one)?,
        llm_queue: read.one("LLM_QUEUE_SECONDS", "a number from 0 to 60", agent_wait)?,
        llm_max_body: read.one("LLM_MAX_BODY_BYTES", "a number from 1024 to 1073741824", model_bytes)?,
        llm_max_response: read.one("LLM_MAX_RESPONSE_BYTES", "a number from 1024 to 1073741824", model_bytes)?,
        llm_max_messages: read.one("LLM_MAX_MESSAGES", "a whole number from 1", at_least_one)?,
        llm_ca_file: read.optional("LLM_CA_FILE", "a path", path)?,
        allowed_origins: read.one(
            "ALLOWED_ORIGINS",
            "exact origins such as `https://chatgpt.com`, comma separated, `only:` in front of a list that replaces the defaults",
            origins,
        )?,
        public_server_url: read.optional("PUBLIC_SERVER_URL", URL, url)?,
        log_file: read.one("LOG_FILE", "a path or `-`", log_file)?,
        log_level: read.one("LOG_LEVEL", "`ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`", level)?,
        metric_labels: read.optional("METRICS_LABELS", LABELS, MetricLabels::parse)?.unwrap_or_default(),
        traces: traces(read)?,
        workers: read.one("WORKERS", "a number from 0 to 512", workers)?,
        max_connections: read.one(
            "MAX_CONNECTIONS",
            "a whole number; 0 is as many as there is room for",
            or_chosen,
        )?,
        max_in_flight: read.one("MAX_IN_FLIGHT", "a whole number from 1", at_least_one)?,
        max_agents_in_memory: read.one(
            "MAX_AGENTS_IN_MEMORY",
            "a whole number from 1",
            at_least_one,
        )?,
        agent_wait: read.one("AGENT_WAIT_SECONDS", "a number from 0 to 60", agent_wait)?,
        turn_workers: read.one("TURN_WORKERS", "a number from 1 to 64", turn_workers)?,
        turn_queue: read.one("TURN_QUEUE", "a number from 1 to 1000000", turn_queue)?,
        journal_max_bytes: read.one("JOURNAL_MAX_BYTES", "a whole number from 0", or_none)?,
        journal_keep: journal_keep(read)?,
        journal_prune_all: read.one("JOURNAL_PRUNE_ALL", SWITCH, switch)?,
        required: required(found),
    })
}

/// A `.env` file comes with the folder in which the service starts. An address in it must not receive a key that
/// the environment holds for another one.
fn same_source(found: &BTreeMap<&'static str, Found>) -> Result<(), SettingError> {
    let from = |name| found.get(name).map(|found| found.from.as_str());
    for (address, secret) in [
        ("GROQ_BASE_URL", "GROQ_API_KEY"),
        ("OPA_URL", "OPA_TOKEN"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"),
    ] {
        if let (Some(".env"), Some(other)) = (from(address), from(secret))
            && other != ".env"
        {
            return Err(SettingError::Sentence(format!(
                "{address} is in `.env` and {secret} in {other}; set both in one place, so that the file of a folder \
                 cannot send the secret elsewhere"
            )));
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a BTreeMap<&'static str, Found>);

impl Reader<'_> {
    pub(super) fn one<T>(
        self,
        name: &'static str,
        expected: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<T, SettingError> {
        self.optional(name, expected, parse)?.ok_or_else(|| {
            SettingError::Sentence(format!("{name} is not set, expected {expected}"))
        })
    }

    pub(super) fn optional<T>(
        self,
        name: &'static str,
        expected: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, SettingError> {
        let Some(found) = self.0.get(name) else { return Ok(None) };
        let bad = || {
            let from = found.from.clone();
            if ALL.iter().any(|setting| setting.name == name && setting.secret) {
                SettingError::BadSecret { name, from, expected }
            } else {
                let value = without_userinfo(&found.text);
                SettingError::BadValue { name, value, from, expected }
            }
        };
        parse(&found.text).ok_or_else(bad).map(Some)
    }
}

/// A value that is shown: the user and the password of an address are not.
fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..end).and_then(|authority| authority.rfind('@')) {
        Some(at) => format!("{scheme}://********{}", rest.get(at..).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn host(text: &str) -> Option<IpAddr> {
    if text.eq_ignore_ascii_case("localhost") {
        "127.0.0.1".parse().ok()
    } else {
        text.parse().ok()
    }
}

pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn at_least_one<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Option<T> {
    number(text).filter(|n| *n >= T::from(1))
}

fn journal_keep(read: Reader<'_>) -> Result<Vec<Retention>, SettingError> {
    let expected = "a whole number from 1";
    let rows = read.optional("JOURNAL_KEEP_ROWS", expected, at_least_one)?.map(Retention::Rows);
    let days = read.optional("JOURNAL_KEEP_DAYS", expected, at_least_one)?.map(Retention::Days);
    Ok(rows.into_iter().chain(days).collect())
}

/// A limit on a principal that is not set follows `RATE_LIMIT_RPS`: a service that runs without a rate limit, such
/// as one under a load test, keeps running without one.
fn of_principal(
    read: Reader<'_>,
    name: &'static str,
    unset: fn(u32) -> u32,
) -> Result<u32, SettingError> {
    let expected = "a whole number from 0";
    let rps: u32 = read.one("RATE_LIMIT_RPS", expected, number)?;
    let own = read.optional(name, expected, number)?;
    Ok(own.unwrap_or(if rps == 0 { 0 } else { unset(rps) }))
}

fn model_timeout(text: &str) -> Option<Duration> {
    number(text).filter(|seconds| (1..=600).contains(seconds)).map(Duration::from_secs)
}

fn agent_wait(text: &str) -> Option<Duration> {
    number(text).filter(|seconds| *seconds <= 60).map(Duration::from_secs)
}

fn turn_workers(text: &str) -> Option<usize> {
    number(text).filter(|workers| (1..=64).contains(workers))
}

fn turn_queue(text: &str) -> Option<usize> {
    number(text).filter(|turns| (1..=1_000_000).contains(turns))
}

fn workers(text: &str) -> Option<Option<usize>> {
    match number(text)? {
        0 => Some(None),
        n @ 1..=512 => Some(Some(n)),
        _ => None,
    }
}

/// 0 is no limit.
fn or_none(text: &str) -> Option<Option<u64>> {
    number(text).map(|n| (n > 0).then_some(n))
}

/// 0 leaves the choice to the service.
fn or_chosen(text: &str) -> Option<Option<usize>> {
    number(text).map(|n| (n > 0).then_some(n))
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.contains('\0')).then(|| PathBuf::from(text))
}

fn log_file(text: &str) -> Option<Option<PathBuf>> {
    if text == "-" { Some(None) } else { path(text).map(Some) }
}

fn list(text: &str) -> Option<Vec<String>> {
    let items: Vec<_> = items(text).map(str::to_owned).collect();
    (!items.is_empty()).then_some(items)
}

pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn level(text: &str) -> Option<LevelFilter> {
    match text.to_ascii_lowercase().as_str() {
        // CRITICAL and FATAL are Python's level above ERROR; nothing here logs above ERROR.
        "error" | "critical" | "fatal" => Some(LevelFilter::ERROR),
        "warn" | "warning" => Some(LevelFilter::WARN),
        "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        "trace" | "notset" => Some(LevelFilter::TRACE),
        _ => None,
    }
}

pub(super) fn url(text: &str) -> Option<String> {
    let uri: actix_web::http::Uri = text.parse().ok()?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    let plain = uri.authority().is_some_and(|a| !a.as_str().contains('@'));
    (web && plain).then(|| text.trim_end_matches('/').to_owned())
}

/// The silence before a `/v1` response begins. Responses that are not streamed begin when they are
/// complete, so the default is long; a limit that the operator set applies to them too.
fn first_byte(read: Reader<'_>) -> Result<Duration, SettingError> {
    const DEFAULT: Duration = Duration::from_secs(300);
    let own = read.optional("LLM_FIRST_BYTE_SECONDS", "a number from 1 to 3600", silence)?;
    let set = read.0.get("GROQ_TIMEOUT_SECONDS").filter(|found| found.from != "the default");
    let whole = set.and_then(|found| model_timeout(&found.text));
    Ok(own.or(whole).unwrap_or(DEFAULT))
}

fn silence(text: &str) -> Option<Duration> {
    number::<f64>(text)
        .filter(|seconds| (1.0..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
}

fn model_bytes(text: &str) -> Option<usize> {
    number(text).filter(|bytes| (1024..=1 << 30).contains(bytes))
}

/// The default origins and those of `text`; only those of `text` after `only:`.
fn origins(text: &str) -> Option<Vec<String>> {
    let (defaults, more) = match text.strip_prefix("only:") {
        Some(only) => ("", only),
        None => {
            let setting = ALL.iter().find(|setting| setting.name == "ALLOWED_ORIGINS");
            (setting.and_then(|setting| setting.default).unwrap_or_default(), text)
        }
    };
    let mut origins: Vec<String> = Vec::new();
    for item in items(defaults).chain(items(more)) {
        let origin = origin(item)?;
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Some(origins)
}

/// An origin exactly as a browser sends it: scheme and host, no path, no wildcard. The scheme may be
/// that of a desktop or mobile application (`tauri://localhost`) or of a browser extension.
fn origin(item: &str) -> Option<String> {
    let (scheme, host) = item.split_once("://")?;
    let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let host = host.strip_suffix('/').unwrap_or(host);
    let host_fits = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]~".contains(&b));
    (scheme_fits && host_fits).then(|| format!("{scheme}://{host}").to_ascii_lowercase())
}

/// Paths that the operator set and a start reads.
fn required(found: &BTreeMap<&'static str, Found>) -> Vec<RequiredPath> {
    let set = |name: &'static str| {
        let found = found.get(name).filter(|found| found.from != DEFAULT)?;
        if found.text.contains("://") {
            return None;
        }
        Some(RequiredPath { name, path: PathBuf::from(&found.text), from: found.from.clone() })
    };
    let paths =
        ["POLICY_PATH", "POLICY_DIR", "WORKSPACE_DIR", "KEYS_FILE", "JWT_JWKS", "LLM_CA_FILE"];
    paths.into_iter().filter_map(set).collect()
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

fn key(text: &str) -> Option<SecretString> {
    is_key(text).then(|| text.into())
}

fn keys(read: Reader<'_>) -> Result<Vec<NamedKey>, SettingError> {
    let one = read.optional("API_KEY", "visible ASCII characters without commas", key)?;
    let mut keys: Vec<_> = one
        .into_iter()
        .map(|key| NamedKey { name: "default".to_owned(), key, scopes: Scopes::all() })
        .collect();
    keys.extend(read.optional("API_TOKENS", KEYS, tokens)?.into_iter().flatten());
    Ok(keys)
}

/// The place of the journal.
fn journal(read: Reader<'_>) -> Result<Place, SettingError> {
    let readers = read.one("DATABASE_READERS", "a number from 1 to 256", |text| {
        number(text).filter(|readers| (1..=256).contains(readers))
    })?;
    let file = read.one("DB_PATH", "a path", path)?;
    let Some(database) = database(read.0, readers)? else {
        return Ok(Place::File(file));
    };
    if read.one("JOURNAL_MAX_BYTES", "a whole number from 0", or_none)?.is_some() {
        return Err(SettingError::Sentence(
            "JOURNAL_MAX_BYTES bounds a file, and DATABASE_URL is set; unset one of them"
                .to_owned(),
        ));
    }
    Ok(database)
}

/// The counters in Redis; none without an address.
fn redis(read: Reader<'_>) -> Result<Option<RedisSettings>, SettingError> {
    let timeout = read.one("REDIS_TIMEOUT_MS", "a number from 1 to 10000", |text| {
        number(text).filter(|ms| (1..=10_000).contains(ms)).map(Duration::from_millis)
    })?;
    let fallback = read.one("RATE_LIMIT_FALLBACK", "`local` or `deny`", |text| match text {
        "local" => Some(RateFallback::Local),
        "deny" => Some(RateFallback::Deny),
        _ => None,
    })?;
    RedisSettings::of(read.0, timeout, fallback)
}

/// The settings of signed tokens; none without an issuer.
fn jwt(read: Reader<'_>) -> Result<Option<JwtSettings>, SettingError> {
    let claim = "the name of a claim, or a JSON pointer to it";
    let source =
        "a file, an `https://` URL, or an `http://` URL of this machine, without credentials";
    let jwks = read.optional("JWT_JWKS", source, JwksSource::of)?;
    let audience = read.optional("JWT_AUDIENCE", "audiences, comma separated", list)?;
    let scope_claim = read.one("JWT_SCOPE_CLAIM", claim, nonempty)?;
    let person_claim = read.one("JWT_PERSON_CLAIM", claim, nonempty)?;
    let agents_claim = read.optional("JWT_AGENTS_CLAIM", claim, nonempty)?;
    let Some(issuer) = read.optional("JWT_ISSUER", "the `iss` of the tokens", nonempty)? else {
        return Ok(None);
    };
    let missing = |name: &str| {
        SettingError::Sentence(format!("JWT_ISSUER is set and {name} is not; set both, or neither"))
    };
    Ok(Some(JwtSettings {
        issuer,
        audience: audience.ok_or_else(|| missing("JWT_AUDIENCE"))?,
        jwks: jwks.ok_or_else(|| missing("JWT_JWKS"))?,
        scope_claim,
        person_claim,
        agents_claim,
    }))
}

pub(super) fn nonempty(text: &str) -> Option<String> {
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

fn tokens(text: &str) -> Option<Vec<NamedKey>> {
    items(text).map(token).collect()
}

fn token(text: &str) -> Option<NamedKey> {
    // The padding of a base64 key is no name's end. Only of a whole one, though: `anna=` is what
    // `anna=$KEY` becomes if KEY is not set, and not a key to guess.
    let padded = |key: &str| text.len() >= 16 && text.len().is_multiple_of(4) && key.len() < 2;
    let named =
        text.split_once('=').filter(|(_, key)| key.chars().any(|c| c != '=') || !padded(key));
    let (name, scopes, key) = match named {
        Some((name, key)) => {
            let (name, scopes) = roles(name)?;
            (name.to_owned(), scopes, key)
        }
        None => (nameless(text), Scopes::all(), text),
    };
    let guessable = key.chars().all(|c| c == '=');
    let good =
        life_agent_engine::domain::governance::ids::AgentId::new(&name).is_ok() && is_key(key);
    (good && !guessable && !is_reserved(&name)).then(|| NamedKey { name, key: key.into(), scopes })
}

/// The name and the scopes of `name[role+role]`; all scopes without brackets.
fn roles(text: &str) -> Option<(&str, Scopes)> {
    let Some((name, roles)) = text.split_once('[') else { return Some((text, Scopes::all())) };
    let roles = roles.strip_suffix(']')?.split('+');
    Some((name, all_named(roles).ok()?))
}

/// A name for a key that was given none: the same in every run, and no help in guessing the key.
fn nameless(key: &str) -> String {
    let digest = hex::encode(Sha256::digest(key));
    format!("key-{}", digest.get(..8).unwrap_or(&digest))
}
