//! The settings: the table that names all of them, and the typed form that the service runs on.

mod database;
mod dotenv;
mod redis;
mod sources;
#[cfg(test)]
mod tests;
mod traces;
mod unknown;
mod validate;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use life_agent_engine::domain::governance::principal::Scopes;
use life_agent_engine::observer::Retention;
use life_agent_engine::policy_document::llm::Dialect;
use life_agent_engine::{MetricLabels, WebhookSecrets};
use secrecy::SecretString;
use tracing::level_filters::LevelFilter;

use crate::auth::jwt::JwtSettings;
use crate::place::Place;
use crate::telemetry::traces::TraceSettings;

pub use redis::RedisSettings;
pub use sources::{Found, Inputs, SettingError, read, unknown};
pub use unknown::Unknown;
pub use validate::settings;

/// One setting: its name in the environment, from which its key in the file (`db_path`, or `path` in a
/// table `[db]`) and its flag (`--db-path`) follow.
#[derive(Debug)]
pub struct Setting {
    /// Upper case, as in the environment.
    pub name: &'static str,
    /// The built-in value; none if it is unset by default.
    pub default: Option<&'static str>,
    /// What its value is, in a word, for `--help`.
    pub value: &'static str,
    /// What it is for, in a line.
    pub meaning: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

impl Setting {
    /// Its key in the settings file.
    pub fn key(&self) -> String {
        self.name.to_lowercase()
    }

    /// Its flag, without the two dashes.
    pub fn flag(&self) -> String {
        self.key().replace('_', "-")
    }
}

const fn plain(
    name: &'static str,
    default: Option<&'static str>,
    value: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting { name, default, value, meaning, secret: false }
}

const fn secret(name: &'static str, value: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default: None, value, meaning, secret: true }
}

/// Every setting there is. Flags, file keys, environment names, `config` and `--help` come from here.
#[rustfmt::skip]
pub const ALL: [Setting; 72] = [
    plain("HOST", Some("127.0.0.1"), "ADDRESS", "the address to listen on"),
    plain("PORT", Some("8000"), "NUMBER", "the port to listen on; 0 takes any free one"),
    secret("API_KEY", "KEY", "one key, whose principal is `default`; API_TOKEN is another name for it"),
    secret("API_TOKENS", "KEYS", "more keys, comma separated, each `key`, `name=key` or `name[role+role]=key`"),
    plain("KEYS_FILE", None, "FILE", "keys by digest, with scopes, agents and expiry; reloaded when it changes"),
    plain("JWT_ISSUER", None, "TEXT", "accepts signed tokens with this `iss`, sent as `Authorization: Bearer`"),
    plain("JWT_AUDIENCE", None, "TEXTS", "the accepted `aud` of tokens, comma separated"),
    plain("JWT_JWKS", None, "URL|FILE", "the issuer's public keys: an https URL or a file"),
    plain("JWT_SCOPE_CLAIM", Some("scope"), "CLAIM", "the claim with the scopes and roles of a token"),
    plain("JWT_PERSON_CLAIM", Some("sub"), "CLAIM", "the claim with the person accountable for a token"),
    plain("JWT_AGENTS_CLAIM", None, "CLAIM", "the claim with the agent globs of a token; unset, a token reaches every agent"),
    plain("DB_PATH", Some("agent.db"), "FILE", "the journal"),
    secret("DATABASE_URL", "URL", "a PostgreSQL database for the journal in place of DB_PATH: `postgres://user:password@host/database`"),
    secret("DATABASE_LISTEN_URL", "URL", "the direct address of that database, if DATABASE_URL leads through a pooler"),
    secret("DATABASE_READ_URL", "URL", "a replica of that database for pages of the journal and reports; DATABASE_URL serves them while it lags or fails"),
    plain("DATABASE_READERS", Some("8"), "NUMBER", "connections that read the database concurrently, 1 to 256; three more write and listen"),
    plain("WORKSPACE_DIR", Some("."), "DIR", "the tree of files that plans concern"),
    plain("POLICY_PATH", Some("policy/policy.yaml"), "FILE", "the active policy; `agent.yaml` in the same folder is the agent profile"),
    plain("POLICY_DIR", Some("policies"), "DIR", "further policies and the Rego modules"),
    plain("PLANS_DIR", Some("plans"), "DIR", "where plan artifacts go"),
    plain("AGENT_WHITELIST_DIRS", Some("plans"), "DIRS", "allowed directories, comma separated, while no policy file exists"),
    plain("KILL_SWITCH", Some("off"), "on|off", "`on` refuses everything that acts"),
    plain("DETERMINISTIC_SEED", Some("42"), "NUMBER", "the seed of every random draw"),
    plain("RATE_LIMIT_RPS", Some("5"), "NUMBER", "requests a second for each agent and caller; 0 is no limit"),
    plain("RATE_LIMIT_PRINCIPAL_RPS", None, "NUMBER", "requests a second of each principal, reads and checks included; 0 is no limit; unset, it is 50 or ten times RATE_LIMIT_RPS, whichever is more, and no limit if RATE_LIMIT_RPS is 0"),
    plain("NEW_AGENTS_PER_MINUTE", None, "NUMBER", "first steps of agents a minute for each principal; 0 is no limit; unset, it is 60, and no limit if RATE_LIMIT_RPS is 0"),
    secret("REDIS_URL", "URL", "a Redis server that counts rates and budgets for several instances: `redis://user:password@host`, `rediss://` with TLS"),
    plain("REDIS_TIMEOUT_MS", Some("100"), "NUMBER", "longest wait for a response of Redis, in milliseconds, 1 to 10000"),
    plain("RATE_LIMIT_FALLBACK", Some("local"), "local|deny", "while Redis does not respond: `local` divides the rates by the number of instances, `deny` refuses; budgets always refuse"),
    plain("OPA_ENABLE", Some("false"), "on|off", "the OPA gate"),
    plain("OPA_URL", None, "URL", "an OPA server; without it the embedded engine"),
    secret("OPA_TOKEN", "TOKEN", "sent to the OPA server as `Authorization: Bearer`, over https or to this machine only"),
    secret("WEBHOOK_SECRET", "SECRETS", "signs the messages to `approvals.webhook` of the policy: `whsec_` and 24 to 64 bytes in base64; several, space separated, during a rotation"),
    secret("GROQ_API_KEY", "KEY", "the model provider's key"),
    plain("GROQ_BASE_URL", Some("https://api.groq.com/openai/v1"), "URL", "any OpenAI-compatible base URL"),
    plain("GROQ_DIALECT", None, "API", "the API of that URL: `openai`, `anthropic` or `any`; unset, it follows from the address, and is `any` for an unknown one"),
    plain("GROQ_TIMEOUT_SECONDS", Some("30"), "NUMBER", "how long one call of the model may take, further attempts included; 1 to 600"),
    plain("LLM_FIRST_BYTE_SECONDS", None, "NUMBER", "the longest silence before a `/v1` response begins, 1 to 3600; without it GROQ_TIMEOUT_SECONDS if that is set, else 300"),
    plain("LLM_IDLE_SECONDS", Some("60"), "NUMBER", "the longest silence within a response of the model, 1 to 3600"),
    plain("LLM_MAX_CONCURRENT", Some("256"), "NUMBER", "model calls in flight at one provider; further calls wait"),
    plain("LLM_QUEUE_SECONDS", Some("5"), "NUMBER", "how long a call waits for a place among the calls in flight, 0 to 60"),
    plain("LLM_MAX_BODY_BYTES", Some("33554432"), "NUMBER", "largest body of a `/v1` request, in bytes"),
    plain("LLM_MAX_RESPONSE_BYTES", Some("33554432"), "NUMBER", "largest response of the model, in bytes"),
    plain("LLM_MAX_MESSAGES", Some("4096"), "NUMBER", "most messages of a `/v1` request"),
    plain("LLM_CA_FILE", None, "FILE", "certificates in PEM that model calls trust in addition to those of the system"),
    plain("ALLOWED_ORIGINS", Some("https://chat.openai.com,https://chatgpt.com"), "ORIGINS", "further browser origins that may call, comma separated; `only:` in front replaces the defaults"),
    plain("PUBLIC_SERVER_URL", None, "URL", "where the service is reached from outside, for the OpenAPI document"),
    plain("LOG_FILE", Some("logs/app.log"), "FILE", "JSON lines, rotated at 1 MB, 3 backups; `-` logs to standard error"),
    plain("LOG_LEVEL", Some("INFO"), "LEVEL", "ERROR, WARN, INFO, DEBUG or TRACE; Python's names are accepted"),
    plain("METRICS_LABELS", None, "LABELS", "labels that metrics have in addition, comma separated: `principal`, `agent`, `model`; the first 100 values of each, then `other`"),
    plain("OTEL_EXPORTER_OTLP_ENDPOINT", None, "URL", "the base URL of an OpenTelemetry collector; traces are off without one"),
    secret("OTEL_EXPORTER_OTLP_HEADERS", "HEADERS", "headers of every export, such as the collector's key: `name=value`, comma separated, values percent-encoded"),
    plain("OTEL_EXPORTER_OTLP_PROTOCOL", Some("http/protobuf"), "PROTOCOL", "the protocol of the export; `http/protobuf` is the only one"),
    plain("OTEL_EXPORTER_OTLP_TIMEOUT", Some("10000"), "NUMBER", "time limit of an export, in milliseconds"),
    plain("OTEL_SERVICE_NAME", Some("life-agent"), "NAME", "the name of the service in traces"),
    plain("OTEL_RESOURCE_ATTRIBUTES", None, "PAIRS", "further attributes of the service in traces: `name=value`, comma separated"),
    plain("OTEL_TRACES_SAMPLER", Some("parentbased_always_on"), "SAMPLER", "which traces are exported: `always_on`, `always_off` or `traceidratio`; after `parentbased_`, callers decide about their traces"),
    plain("OTEL_TRACES_SAMPLER_ARG", None, "NUMBER", "the part of the traces that `traceidratio` exports, 0 to 1; unset, it exports all"),
    plain("OTEL_BSP_SCHEDULE_DELAY", Some("5000"), "NUMBER", "how long spans are gathered before an export, in milliseconds"),
    plain("OTEL_BSP_MAX_QUEUE_SIZE", Some("2048"), "NUMBER", "spans that wait for an export; further spans are dropped and counted"),
    plain("OTEL_SDK_DISABLED", Some("false"), "on|off", "`on` turns traces off, whatever the other settings say"),
    plain("WORKERS", Some("0"), "NUMBER", "threads that serve requests; 0 is one for each core"),
    plain("MAX_CONNECTIONS", Some("0"), "NUMBER", "open connections; 0 derives the limit from that on open files, at most 10000"),
    plain("MAX_IN_FLIGHT", Some("512"), "NUMBER", "concurrent requests to one path; one more gets 503 with Retry-After"),
    plain("MAX_AGENTS_IN_MEMORY", Some("100000"), "NUMBER", "agents kept in memory, counting one for each 2 KiB of its state; others are read from the journal"),
    plain("AGENT_WAIT_SECONDS", Some("10"), "NUMBER", "how long a step waits for a running turn of its agent; 0 to 60"),
    plain("TURN_WORKERS", Some("4"), "NUMBER", "queued turns that run concurrently; 1 to 64"),
    plain("TURN_QUEUE", Some("1000"), "NUMBER", "turns that may be queued; 1 to 1000000"),
    plain("JOURNAL_KEEP_ROWS", None, "NUMBER", "how many of the latest rows the journal keeps; unset keeps all"),
    plain("JOURNAL_MAX_BYTES", Some("0"), "NUMBER", "largest journal, in bytes; beyond it everything that acts gets 503; 0 is no limit"),
    plain("JOURNAL_KEEP_DAYS", None, "NUMBER", "for how many days the journal keeps a row; unset keeps all"),
    plain("JOURNAL_PRUNE_ALL", Some("off"), "on|off", "whether retention by days may remove every row from before this start"),
];

/// Other names under which a setting is accepted: `(alias, setting)`.
pub const ALIASES: [(&str, &str); 1] = [("API_TOKEN", "API_KEY")];

/// The settings with their types, validated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `HOST`
    pub host: IpAddr,
    /// `PORT`
    pub port: u16,
    /// `API_KEY` and `API_TOKENS` together.
    pub keys: Vec<NamedKey>,
    /// `KEYS_FILE`
    pub keys_file: Option<PathBuf>,
    /// `JWT_ISSUER` and what belongs to it.
    pub jwt: Option<JwtSettings>,
    /// `DATABASE_URL`, or else `DB_PATH`.
    pub journal: Place,
    /// `WORKSPACE_DIR`
    pub workspace_dir: PathBuf,
    /// `POLICY_PATH`
    pub policy_path: PathBuf,
    /// `POLICY_DIR`
    pub policy_dir: PathBuf,
    /// `PLANS_DIR`
    pub plans_dir: PathBuf,
    /// `AGENT_WHITELIST_DIRS`
    pub whitelist_dirs: Vec<String>,
    /// `KILL_SWITCH`
    pub kill_switch: bool,
    /// `DETERMINISTIC_SEED`
    pub seed: u64,
    /// `RATE_LIMIT_RPS`
    pub rate_limit_rps: u32,
    /// `RATE_LIMIT_PRINCIPAL_RPS`, or its substitute; 0 for no limit.
    pub rate_limit_principal_rps: u32,
    /// `NEW_AGENTS_PER_MINUTE`, or its substitute; 0 for no limit.
    pub new_agents_per_minute: u32,
    /// `REDIS_URL` and what belongs to it.
    pub redis: Option<RedisSettings>,
    /// `OPA_ENABLE`
    pub opa_enable: bool,
    /// `OPA_URL`
    pub opa_url: Option<String>,
    /// `OPA_TOKEN`
    pub opa_token: Option<SecretString>,
    /// `WEBHOOK_SECRET`
    pub webhook_secrets: Option<WebhookSecrets>,
    /// `GROQ_API_KEY`
    pub groq_api_key: Option<SecretString>,
    /// `GROQ_BASE_URL`
    pub groq_base_url: String,
    /// `GROQ_DIALECT`
    pub groq_dialect: Option<Dialect>,
    /// `GROQ_TIMEOUT_SECONDS`
    pub groq_timeout: Duration,
    /// `LLM_FIRST_BYTE_SECONDS`, or its substitute.
    pub llm_first_byte: Duration,
    /// `LLM_IDLE_SECONDS`
    pub llm_idle: Duration,
    /// `LLM_MAX_CONCURRENT`
    pub llm_max_concurrent: usize,
    /// `LLM_QUEUE_SECONDS`
    pub llm_queue: Duration,
    /// `LLM_MAX_BODY_BYTES`
    pub llm_max_body: usize,
    /// `LLM_MAX_RESPONSE_BYTES`
    pub llm_max_response: usize,
    /// `LLM_MAX_MESSAGES`
    pub llm_max_messages: usize,
    /// `LLM_CA_FILE`
    pub llm_ca_file: Option<PathBuf>,
    /// `ALLOWED_ORIGINS`
    pub allowed_origins: Vec<String>,
    /// `PUBLIC_SERVER_URL`
    pub public_server_url: Option<String>,
    /// `LOG_FILE`; none for standard error.
    pub log_file: Option<PathBuf>,
    /// `LOG_LEVEL`
    pub log_level: LevelFilter,
    /// `METRICS_LABELS`
    pub metric_labels: MetricLabels,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` and what belongs to it.
    pub traces: Option<TraceSettings>,
    /// `WORKERS`; none for one a core.
    pub workers: Option<usize>,
    /// `MAX_CONNECTIONS`; none for as many as there is room for.
    pub max_connections: Option<usize>,
    /// `MAX_IN_FLIGHT`
    pub max_in_flight: usize,
    /// `MAX_AGENTS_IN_MEMORY`
    pub max_agents_in_memory: usize,
    /// `AGENT_WAIT_SECONDS`
    pub agent_wait: Duration,
    /// `TURN_WORKERS`
    pub turn_workers: usize,
    /// `TURN_QUEUE`
    pub turn_queue: usize,
    /// `JOURNAL_MAX_BYTES`; none for no limit.
    pub journal_max_bytes: Option<u64>,
    /// `JOURNAL_KEEP_ROWS` and `JOURNAL_KEEP_DAYS`: a row must be within each of them to stay.
    pub journal_keep: Vec<Retention>,
    /// `JOURNAL_PRUNE_ALL`
    pub journal_prune_all: bool,
    /// Paths that the operator named and a start needs: a default may be missing, a named path not.
    pub required: Vec<RequiredPath>,
}

/// A path that the operator set and that must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredPath {
    /// The setting.
    pub name: &'static str,
    /// Its value.
    pub path: PathBuf,
    /// The source of the value.
    pub from: String,
}

impl RequiredPath {
    /// An error if the path does not exist, or is a file instead of a directory or the reverse.
    pub fn check(&self) -> Result<(), SettingError> {
        let folder = self.name.ends_with("_DIR");
        let metadata = std::fs::metadata(&self.path);
        let fits = metadata
            .as_ref()
            .is_ok_and(|found| if folder { found.is_dir() } else { found.is_file() });
        if fits {
            return Ok(());
        }
        let what = match (metadata, folder) {
            (Err(error), _) => format!("cannot be read: {error}"),
            (Ok(_), true) => "is not a directory".to_owned(),
            (Ok(_), false) => "is not a file".to_owned(),
        };
        Err(SettingError::Sentence(format!(
            "{} is `{}` ({}), which {what}; correct it, or unset it to use the default",
            self.name,
            self.path.display(),
            self.from
        )))
    }
}

/// A key and the name under which its caller appears.
#[derive(Debug, Clone)]
pub struct NamedKey {
    /// The principal.
    pub name: String,
    /// The key.
    pub key: SecretString,
    /// The scopes; all by default.
    pub scopes: Scopes,
}
