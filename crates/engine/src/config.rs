//! What an engine is opened with.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Where things are and how the engine behaves. Paths may be relative to the working directory.
#[derive(Debug, Clone)]
pub struct Config {
    /// The tree that plans are about; never written to.
    pub workspace_dir: PathBuf,
    /// The policy in force from the start. While no such file exists, a built-in one stands in.
    pub policy_path: PathBuf,
    /// Where further policies lie that a reload may name.
    pub policy_dir: PathBuf,
    /// The agent profile. While no such file exists, a built-in one stands in.
    pub profile_path: PathBuf,
    /// Where plan artifacts go; made if it does not exist.
    pub plans_dir: PathBuf,
    /// The allowed directories of the built-in policy.
    pub whitelist_dirs: Vec<String>,
    /// The seed of agents that have not been used yet.
    pub seed: u64,
    /// Requests a second for each pair of caller and agent; 0 is no limit.
    pub rate_limit_rps: u32,
    /// Holds the kill switch on, whatever a call says.
    pub kill_switch: bool,
    /// Who answers for the OPA gate.
    pub opa: OpaMode,
    /// The model provider; without one, chats are answered with [`crate::EngineError::LlmUnconfigured`].
    pub llm: Option<LlmConfig>,
    /// How many agents are kept in memory, counting one with a large state for each 2 KiB of it; others are
    /// read from the journal when they are needed.
    pub max_agents_in_memory: usize,
    /// How long a step waits for a turn of its agent that is under way, before it is refused with
    /// [`crate::EngineError::AgentBusy`].
    pub agent_wait: Duration,
    /// How many queued turns are taken at once.
    pub turn_workers: usize,
    /// How many turns may be queued; more are refused with [`crate::EngineError::QueueFull`].
    pub turn_queue: usize,
}

/// The model provider. `Debug` does not print the key.
#[derive(Debug, Clone)]
pub struct LlmConfig {
    /// Its key.
    pub api_key: SecretString,
    /// Its address, up to and without `/chat/completions`; Groq's if there is none.
    pub base_url: Option<String>,
    /// How long one call may take, further attempts included; 30 s if there is none.
    pub timeout: Option<Duration>,
}

/// Who answers for the OPA gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpaMode {
    /// Nobody; the gate is not in the chain.
    Off,
    /// The modules in the policy directory, in this process.
    Embedded,
    /// An OPA server at this URL.
    Server(String),
}

impl Config {
    /// The contract's defaults, below one directory: what a test or an embedding program starts from.
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
