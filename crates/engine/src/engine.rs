//! The engine itself: what it holds, how it opens, how it closes.

use std::sync::Arc;

use life_agent_domain::governance::event::EventKind;
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_observer::{Backend, Journal, Options, WriteBatch};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::agents::Agents;
use crate::answers::{AgentSummary, Meta, Present};
use crate::config::{Config, OpaMode};
use crate::error::{EngineError, OpenError};
use crate::idempotency::{Calls, Mark};
use crate::kill_switch::{SETTING, Switch};
use crate::limiter::Limiter;
use crate::llm::{Exchanges, Llm};
use crate::meters::Meters;
use crate::opa_server::OpaServer;
use crate::policy::{InForce, PolicyStore};
use crate::policy_files::PolicyFiles;
use crate::queue::Queue;
use crate::shelf::Shelf;
use crate::workspace::Workspace;

/// Who calls, and in which request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name of the key.
    pub principal: Principal,
    /// The id that every row of the request carries.
    pub request_id: String,
    /// Marks what the request does, if it may be repeated.
    pub idempotency: Option<Mark>,
}

impl Caller {
    /// A caller whose request may not be repeated.
    pub fn new(principal: Principal, request_id: String) -> Self {
        Self { principal, request_id, idempotency: None }
    }

    /// The service itself.
    pub fn system() -> Self {
        Self::new(Principal::new("system"), String::new())
    }
}

/// A governed agent service without its HTTP. Clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Parts>);

/// What an engine holds.
pub struct Parts {
    pub(crate) journal: Journal,
    pub(crate) policy: PolicyStore,
    pub(crate) agents: Agents,
    pub(crate) limiter: Limiter,
    pub(crate) kill_switch: Switch,
    pub(crate) workspace: Workspace,
    pub(crate) opa_server: Option<OpaServer>,
    pub(crate) llm: Option<Llm>,
    pub(crate) exchanges: Exchanges,
    pub(crate) shelf: Shelf,
    pub(crate) plans_dir: std::path::PathBuf,
    pub(crate) meters: Meters,
    pub(crate) calls: Calls,
    pub(crate) queue: Queue,
    /// Held while a policy is being replaced.
    pub(crate) reloading: tokio::sync::Mutex<()>,
    /// Held while a plan is being reviewed.
    pub(crate) reviewing: tokio::sync::Mutex<()>,
    /// Held while the kill switch is being turned.
    pub(crate) turning: tokio::sync::Mutex<()>,
    start: String,
}

impl std::ops::Deref for Engine {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

#[derive(Serialize)]
struct Started<'a> {
    version: &'static str,
    seed: u64,
    policy: &'a str,
    policy_hash: &'a str,
}

impl Engine {
    /// Opens the policy and the journal that `backend` stores, and records the start. Blocks on the file
    /// system; call it before serving.
    ///
    /// # Errors
    /// The policy, the journal or a folder cannot be used. The journal is opened last, so that any other
    /// fault leaves no trace in it.
    pub async fn open(config: Config, backend: impl Backend) -> Result<Self, OpenError> {
        compile_patterns();
        let workspace = Workspace::open(&config.workspace_dir, &config.plans_dir)
            .map_err(OpenError::at(&config.workspace_dir))?;
        let files = PolicyFiles::new(&config, workspace.clone());
        let policy = InForce::first(&files, InForce::compile_first)?;
        let opa_server = match &config.opa {
            OpaMode::Server(url) => Some(OpaServer::new(url)?),
            OpaMode::Off | OpaMode::Embedded => None,
        };
        let llm = match &config.llm {
            Some(llm) => Some(Llm::open(llm, &policy.snapshot.policy, config.seed)?),
            None => None,
        };
        let shelf = Shelf::open(&config)?;
        let journal = Journal::open(backend, Options::default())?;
        let kept = journal.setting(SETTING).await?;
        shelf.recover(&journal).await.map_err(OpenError::at(&config.plans_dir))?;
        let engine = Self(Arc::new(Parts {
            agents: Agents::new(
                journal.clone(),
                config.seed,
                config.max_agents_in_memory,
                config.agent_wait,
            ),
            kill_switch: Switch::new(kept.as_deref(), config.kill_switch),
            limiter: Limiter::new(config.rate_limit_rps),
            policy: PolicyStore::new(policy, files),
            shelf,
            plans_dir: config.plans_dir,
            meters: Meters::new(),
            reloading: tokio::sync::Mutex::default(),
            reviewing: tokio::sync::Mutex::default(),
            turning: tokio::sync::Mutex::default(),
            start: now(),
            journal,
            workspace,
            opa_server,
            llm,
            exchanges: Exchanges::new(),
            calls: Calls::default(),
            queue: Queue::new(config.turn_workers, config.turn_queue),
        }));
        engine.record_start(config.seed).await?;
        Ok(engine)
    }

    async fn record_start(&self, seed: u64) -> Result<(), OpenError> {
        let policy = self.policy.in_force();
        let started = Started {
            version: env!("CARGO_PKG_VERSION"),
            seed,
            policy: &policy.shown_path,
            policy_hash: &policy.snapshot.hash,
        };
        let unwritable = || life_agent_observer::JournalError::unavailable("no row");
        let data = row_data(&started).map_err(|_| unwritable())?;
        let entry = self.entry(&Caller::system(), EventKind::ServiceStarted, None, data);
        self.journal.append(WriteBatch::of(entry))?.await?;
        Ok(())
    }

    /// Records the stop, commits what is queued and closes the journal. Calls made afterwards fail.
    pub async fn close(&self) -> Result<(), EngineError> {
        self.queue.hold();
        self.stop_exchanges();
        self.queue.ended().await;
        self.exchanges.ended().await;
        let data = row_data(&serde_json::json!({}))?;
        let entry = self.entry(&Caller::system(), EventKind::ServiceStopped, None, data);
        self.journal.append(WriteBatch::of(entry))?.await?;
        self.journal.close().await?;
        Ok(())
    }

    /// An agent's state; an agent that nobody has used yet has its initial one.
    pub async fn state(&self, agent: &AgentId) -> Result<Present, EngineError> {
        self.agents.present(agent).await
    }

    /// Agents in the order of their ids, after one of them (none: from the first).
    pub async fn agents(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<AgentSummary>, EngineError> {
        let records = self.journal.agents(after, limit).await?;
        let summary = |record: life_agent_observer::AgentRecord| AgentSummary {
            agent_id: record.agent_id,
            state_version: record.state_version,
            turns: record.turns,
            last_seen: record.last_seen,
        };
        Ok(records.into_iter().map(summary).collect())
    }

    /// What runs here, and since when.
    pub fn meta(&self) -> Meta {
        Meta { version: env!("CARGO_PKG_VERSION"), start: self.start.clone() }
    }

    /// The journal, for reading and following.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Takes the secrets out of a text that comes from outside and is about to be logged or answered.
    pub fn redact(&self, text: &str) -> String {
        self.policy.in_force().chain.redactor().redact(text).into_owned()
    }
}

/// Compiles the gates' patterns beside the rest of the start; a request that comes first waits for it. On a
/// thread that ends: what compiling leaves behind in the allocator goes back with it.
fn compile_patterns() {
    let compile = std::thread::Builder::new().name("patterns".to_owned());
    if let Err(error) = compile.spawn(life_agent_gates::warm_up) {
        tracing::warn!(%error, "no thread for the patterns; the first request compiles them");
    }
}

/// The present time: RFC 3339, UTC, microseconds.
pub(crate) fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// The data of a row, serialised once and for all.
pub(crate) fn row_data(data: &impl Serialize) -> Result<Box<RawValue>, EngineError> {
    serde_json::value::to_raw_value(data).map_err(|error| {
        tracing::error!(%error, "a row could not be serialised");
        EngineError::Unavailable
    })
}
