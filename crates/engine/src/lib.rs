//! The use cases of the service, for the server and for any Rust program that embeds them.
//!
//! An [`Engine`] owns one journal, one policy in force and the agents in memory. Every call goes the
//! same way: gather the facts, run the chain, decide, append the row, wait until it is durable,
//! answer. Nothing here knows HTTP.
//!
//! * An answer means that its row is on the disk. When the journal cannot take it, the caller gets
//!   [`EngineError::Unavailable`] and the agent is rebuilt from the journal before its next step.
//! * Steps of one agent are ordered by a short lock that hands the row to the journal in the same
//!   breath and is released before the commit, so that many steps share one commit.

mod act;
mod agents;
mod answers;
mod chat;
mod check;
mod config;
mod denied;
mod engine;
mod error;
mod facts;
mod idempotency;
mod kill_switch;
mod limiter;
mod llm;
mod memory;
mod meters;
mod opa_server;
mod plan;
mod policy;
mod policy_files;
mod queue;
mod recorded;
mod replay;
mod retention;
mod review;
mod shelf;
mod step;
mod told;
mod turn;
mod workspace;

pub use answers::{
    Acted, AgentSummary, Asked, Checked, GateNotes, KillSwitchStatus, Meta, PolicyInForce,
    PolicyReport, PolicySource, Present, Source,
};
pub use chat::{ChatAsked, ChatEvent, ChatEvents, Chatted, LlmStatus};
pub use config::{Config, LlmConfig, OpaMode};
pub use engine::{Caller, Engine};
pub use error::{DenialReport, EngineError, OpenError};
pub use idempotency::{Claim, Effect, KeyedCall, Mark};
pub use life_agent_domain as domain;
pub use life_agent_groq::Usage;
pub use life_agent_observer as observer;
pub use life_agent_plans as plans;
pub use life_agent_policy as policy_document;
pub use llm::{Completion, CompletionEvent, CompletionEvents};
pub use plan::{PlanAsked, Planned};
pub use policy::check_policy;
pub use queue::{QueuedTurn, Wording};
pub use replay::{Divergence, ReplayReport, replay};
pub use review::Review;
pub use shelf::{PlanList, PlanSummary, PlanView, Shelf, StoredPlan};
pub use told::{Decision, ToolStep, TurnEvent, Turned, Withheld};
pub use turn::TurnEvents;
