//! The facts that gates cannot observe themselves.

/// Facts about a request that arrive as input. A gate that lacks a fact refuses the request.
#[derive(Debug, Clone, Default)]
pub struct GateInputs {
    /// The kill switch.
    pub kill_switch: Option<KillSwitch>,
    /// The caller's rate.
    pub rate: Option<Rate>,
    /// Each target of a plan as the file system shows it, in the order of the targets.
    pub targets: Option<Vec<TargetFact>>,
    /// The answer of a remote policy engine.
    pub opa: Option<OpaAnswer>,
    /// The intent that the profile assigns to a turn's input. Absent for other kinds.
    pub intent: Option<String>,
}

/// The state of the kill switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillSwitch {
    /// Requests may proceed.
    Off,
    /// Every request that acts is refused.
    On {
        /// The operator's reason; may be empty.
        reason: String,
    },
    /// The request's agent or principal is stopped.
    Stopped {
        /// The agent or the principal, as in `the agent "a"`.
        what: String,
        /// The operator's reason; may be empty.
        reason: String,
    },
}

impl KillSwitch {
    /// What a refused caller reads; empty while the switch is off.
    pub fn message(&self) -> String {
        let (what, state, reason) = match self {
            KillSwitch::Off => return String::new(),
            KillSwitch::On { reason } => ("the kill switch", "on", reason),
            KillSwitch::Stopped { what, reason } => (what.as_str(), "stopped", reason),
        };
        let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        let until = if state == "on" { "once it is off" } else { "once it is released" };
        format!("{what} is {state}{why}; reading still works, acting does again {until}")
    }
}

/// The limiter's answer for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Within the limit, or not counted (a check, a limit of 0).
    Within,
    /// Over the limit.
    Exceeded {
        /// The limit.
        limit: RateLimit,
        /// Seconds after which a retry may pass, at least 1.
        retry_after: u64,
    },
}

/// A limit on the rate of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimit {
    /// Requests of one caller for one agent.
    Agent,
    /// Model calls of one caller.
    Model,
    /// Agents that take their first step for one caller.
    NewAgents,
}

impl RateLimit {
    /// The name in response headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Model => "model",
            Self::NewAgents => "new-agents",
        }
    }

    /// The setting that configures it.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Agent | Self::Model => "RATE_LIMIT_RPS",
            Self::NewAgents => "NEW_AGENTS_PER_MINUTE",
        }
    }

    /// Whose requests it counts together.
    pub fn scope(self) -> &'static str {
        match self {
            Self::Agent => "principal and agent",
            Self::Model | Self::NewAgents => "principal",
        }
    }

    /// What it counts, for messages.
    pub fn counts(self) -> &'static str {
        match self {
            Self::Agent => "requests of this caller for this agent",
            Self::Model => "model calls of this caller",
            Self::NewAgents => "new agents of this caller",
        }
    }
}

/// One target path on the real file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetFact {
    /// The path stays in the workspace after symlinks are followed.
    Inside {
        /// The resolved path relative to the workspace, with `/` between components.
        resolved: String,
    },
    /// The path leaves the workspace after symlinks are followed.
    Outside,
    /// The path cannot be read.
    Unreadable,
}

/// The answer of a policy engine outside this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpaAnswer {
    /// A clear `true`.
    Allow,
    /// Any other answer.
    Deny {
        /// The cause, in words for the caller.
        why: String,
    },
}
