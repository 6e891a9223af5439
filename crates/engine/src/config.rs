//! The configuration of an engine.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

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
    /// Keeps the kill switch on; no call can turn it off.
    pub kill_switch: bool,
    /// The policy engine behind the OPA gate.
    pub opa: OpaMode,
    /// The model provider; without one, chats fail with [`crate::EngineError::LlmUnconfigured`].
    pub llm: Option<LlmConfig>,
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
}

/// The model provider. `Debug` does not print the key.
#[derive(Debug, Clone)]
pub struct LlmConfig {
    /// The key.
    pub api_key: SecretString,
    /// The base URL, without `/chat/completions`; Groq's by default.
    pub base_url: Option<String>,
    /// Time limit of one call, retries included; 30 s by default.
    pub timeout: Option<Duration>,
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
            kill_switch: false,
            opa: OpaMode::Off,
            llm: None,
            max_agents_in_memory: 100_000,
            agent_wait: Duration::from_secs(10),
            turn_workers: 4,
            turn_queue: 1000,
        }
    }
}
