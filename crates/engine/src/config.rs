//! The configuration of an engine.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use life_agent_groq::Settings;
use life_agent_policy::llm::Dialect;
use secrecy::SecretString;

use crate::meters::MetricLabels;
use crate::trace::Tracer;
use crate::webhook::WebhookSecrets;

/// The files and limits of an engine. Paths may be relative to the working directory.
#[derive(Debug, Clone)]
pub struct Config {
    /// The tree that plans refer to; never written.
    pub workspace_dir: PathBuf,
    /// The policy at the start. If the file does not exist, a built-in policy is used.
    pub policy_path: PathBuf,
    /// Further policies that a reload may name.
    pub policy_dir: PathBuf,
    /// The agent profile. If the file does not exist, a built-in profile is used.
    pub profile_path: PathBuf,
    /// The folder of plan artifacts; created if it does not exist.
    pub plans_dir: PathBuf,
    /// The allowed directories of the built-in policy.
    pub whitelist_dirs: Vec<String>,
    /// The seed of new agents.
    pub seed: u64,
    /// Requests per second for each pair of caller and agent; 0 disables the limit.
    pub rate_limit_rps: u32,
    /// First steps of agents per minute and caller; 0 disables the limit.
    pub new_agents_per_minute: u32,
    /// Keeps the kill switch on; no call can turn it off.
    pub kill_switch: bool,
    /// The policy engine behind the OPA gate.
    pub opa: OpaMode,
    /// Authenticates the service to the OPA server.
    pub opa_token: Option<SecretString>,
    /// The model provider; without one, chats fail with [`crate::EngineError::LlmUnconfigured`].
    pub llm: Option<LlmConfig>,
    /// The limits of model calls, and how keys of the policy's providers are read.
    pub call_limits: CallLimits,
    /// The number of agents in memory; a large state counts once per 2 KiB. Other agents are loaded from the
    /// journal on demand.
    pub max_agents_in_memory: usize,
    /// The longest wait of a step for a running turn of its agent, before it fails with
    /// [`crate::EngineError::AgentBusy`].
    pub agent_wait: Duration,
    /// The number of queued turns that run concurrently.
    pub turn_workers: usize,
    /// The length of the queue of turns; further turns fail with [`crate::EngineError::QueueFull`].
    pub turn_queue: usize,
    /// The service's address for people; approvals are decided at `/ui` below it.
    pub public_url: Option<String>,
    /// Sign the messages to the policy's webhook. Without them, a policy with a webhook is not accepted.
    pub webhook_secrets: Option<WebhookSecrets>,
    /// Labels that metrics have in addition.
    pub metric_labels: MetricLabels,
    /// Whether retention by days may remove every row from before the start. Otherwise it waits until the
    /// process has run for as many days: a clock that jumped must not empty the journal.
    pub prune_all: bool,
    /// Receives the spans of what the engine does without a request: messages to the webhook. A request brings
    /// its own trace, see [`crate::RequestContext::with_trace`].
    pub tracer: Option<Arc<dyn Tracer>>,
}

/// The model provider. `Debug` does not print the key.
#[derive(Debug, Clone)]
pub struct LlmConfig {
    /// The key.
    pub api_key: SecretString,
    /// The base URL, without `/chat/completions`; Groq's by default.
    pub base_url: Option<String>,
    /// The API of the provider; without it the one that is known of its address, else any.
    pub dialect: Option<Dialect>,
    /// Time limit of one call, retries included; 30 s by default.
    pub timeout: Option<Duration>,
}

/// Where a provider's key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// An environment variable.
    Env(String),
    /// A file.
    File(PathBuf),
}

/// Reads a key; the engine itself reads neither the environment nor key files.
pub type ReadKey = Arc<dyn Fn(&KeySource) -> Option<SecretString> + Send + Sync>;

/// How model calls are made, besides the address and the key.
#[derive(Clone)]
pub struct CallLimits {
    /// Longest silence before the first byte of a response.
    pub first_byte: Duration,
    /// Longest silence within a response.
    pub between_bytes: Duration,
    /// Calls in flight at one provider.
    pub max_concurrent: usize,
    /// How long a further call waits for a place.
    pub queue_wait: Duration,
    /// Most messages of a forwarded request.
    pub max_messages: usize,
    /// Longest response, in bytes.
    pub max_answer_bytes: usize,
    /// Certificates in PEM that are trusted in addition to those of the system.
    pub extra_ca: Option<Vec<u8>>,
    /// Reads the keys of the policy's providers.
    pub read_key: ReadKey,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(300),
            between_bytes: Duration::from_secs(60),
            max_concurrent: 256,
            queue_wait: Duration::from_secs(5),
            max_messages: 4096,
            max_answer_bytes: 32 * 1024 * 1024,
            extra_ca: None,
            read_key: Arc::new(|_| None),
        }
    }
}

impl fmt::Debug for CallLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallLimits")
            .field("first_byte", &self.first_byte)
            .field("between_bytes", &self.between_bytes)
            .field("max_concurrent", &self.max_concurrent)
            .field("queue_wait", &self.queue_wait)
            .field("max_messages", &self.max_messages)
            .field("max_answer_bytes", &self.max_answer_bytes)
            .finish_non_exhaustive()
    }
}

impl CallLimits {
    /// Applies the limits to the settings of a client.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        settings.forward_timeouts.first_byte = self.first_byte;
        settings.forward_timeouts.between_bytes = self.between_bytes;
        settings.timeouts.between_bytes = self.between_bytes;
        settings.max_concurrent = self.max_concurrent;
        settings.queue_wait = self.queue_wait;
        settings.max_answer_bytes = self.max_answer_bytes;
        settings.extra_ca.clone_from(&self.extra_ca);
    }
}

/// The policy engine behind the OPA gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpaMode {
    /// None; the gate is not in the chain.
    Off,
    /// The modules in the policy directory, in this process.
    Embedded,
    /// An OPA server at this URL.
    Server(String),
}

impl Config {
    /// The default configuration below one directory, for tests and embedding programs.
    pub fn below(dir: &std::path::Path) -> Self {
        Self {
            workspace_dir: dir.to_path_buf(),
            policy_path: dir.join("policy/policy.yaml"),
            policy_dir: dir.join("policies"),
            profile_path: dir.join("policy/agent.yaml"),
            plans_dir: dir.join("plans"),
            whitelist_dirs: vec!["plans".to_owned()],
            seed: 42,
            rate_limit_rps: 5,
            new_agents_per_minute: 0,
            kill_switch: false,
            opa: OpaMode::Off,
            opa_token: None,
            llm: None,
            call_limits: CallLimits::default(),
            max_agents_in_memory: 100_000,
            agent_wait: Duration::from_secs(10),
            turn_workers: 4,
            turn_queue: 1000,
            public_url: None,
            webhook_secrets: None,
            metric_labels: MetricLabels::default(),
            prune_all: false,
            tracer: None,
        }
    }
}
