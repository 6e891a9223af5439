//! The use cases of the service, for the server and for Rust programs that embed them.
//!
//! An [`Engine`] owns a journal, an active policy and the agents in memory. Every request takes the same
//! path: gather the inputs of the gates, run the chain, decide, append the row, wait until it is durable,
//! respond. Nothing here depends on HTTP.
//!
//! * A response means that its row is durable. If the journal fails, the caller gets
//!   [`EngineError::Unavailable`] and the agent is rebuilt from the journal before its next step.
//! * A short lock orders the steps of one agent. It is released before the commit, so that many steps share
//!   one commit.

mod activity;
mod agents;
mod approvals;
mod blocking;
mod budgets;
mod builder;
mod chat;
mod clock;
mod config;
mod context;
mod error;
mod evidence;
mod facade;
mod feed;
mod gateway;
mod govern;
mod idempotency;
mod jobs;
mod meters;
mod narration;
mod planning;
mod policy;
mod proxy;
mod recorder;
mod replay;
mod retention;
pub mod shared_counters;
mod steps;
mod tools;
mod trace;
mod views;
mod webhook;
mod workspace;

/// Runs the program of the page as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embed.md")]
mod embed_page {}

pub use activity::{
    ActivityReport, DenialCount, MinuteCounts, OutcomeAverages, OutcomeCounts, RuleCount,
    SlowRequest,
};
pub use approvals::{ApprovalDecided, ApprovalSummary, ApprovalView, PendingApproval};
pub use budgets::{BudgetStatus, UsageEntry, UsageReport};
pub use builder::EngineBuilder;
pub use chat::{ChatEvent, ChatEvents, ChatOutcome, ChatRequest, LlmStatus};
pub use clock::{Clock, SystemClock};
pub use config::{CallLimits, Config, KeySource, LlmConfig, OpaMode, ReadKey};
pub use context::RequestContext;
pub use error::{BadOpaUrl, DenialReport, EngineError, LimitReport, OpenError};
pub use evidence::{PlanEvidence, TableFault, check_tables};
pub use facade::Engine;
pub use gateway::{GatewayBody, GatewayReply, GatewayRequest, mcp_definitions, suspicious_texts};
pub use govern::{AccessDenial, AccessReason, StopTarget};
pub use idempotency::{Claim, Effect, KeyedCall, Mark};
pub use jobs::{Authority, QueuedTurn, ResultRenderer};
pub use life_agent_domain as domain;
pub use life_agent_domain::governance::event::{
    Fallback, Review, Source, TokenUsage as Usage, ToolDecision, ToolStep, Withheld,
};
pub use life_agent_domain::governance::gate::GateNotes;
pub use life_agent_domain::governance::request::Request as CheckRequest;
pub use life_agent_gates::SecretRedactor;
pub use life_agent_groq::{Model, Rejection};
pub use life_agent_observer as observer;
pub use life_agent_plans as plans;
pub use life_agent_policy as policy_document;
pub use meters::MetricLabels;
pub use planning::{
    NewPlan, PlanList, PlanOutcome, PlanRepository, PlanSummary, PlanView, StoredPlan,
};
pub use policy::check_policy;
pub use proxy::{
    Endpoint as ModelEndpoint, ProxyBody, ProxyError, ProxyEvent, ProxyReply, ProxyRequest,
    ProxyStream,
};
pub use replay::{Divergence, ReplayReport, replay};
pub use steps::TurnEvents;
pub use tools::{ResultOutcome, ToolOutcome, ToolResult};
pub use trace::{EndedSpan, Span, SpanId, SpanKind, SpanValue, Trace, TraceId, TraceState, Tracer};
pub use views::{
    ActOutcome, AgentSummary, CheckOutcome, KillSwitchStatus, Meta, PolicyInForce, PolicyReport,
    PolicySource, PolicyText, Present, StepOutcome, StopStatus, TurnEvent, TurnOutcome,
};
pub use webhook::WebhookSecrets;
