//! The facade: holds the services and forwards calls to them.

mod limits;
mod oversight;
mod upkeep;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use life_agent_domain::agent::memory::Note;
use life_agent_domain::governance::command::{Act, Tool, Turn};
use life_agent_domain::governance::event::{Row, ServiceStoppedRecord};
use life_agent_domain::governance::ids::AgentId;
use life_agent_domain::governance::request::Request;
use life_agent_observer::{Backend, Filter, Journal, Page, Span, StoredResponse};
use life_agent_plans::life::{Decision, Status};
use life_agent_policy::document::Policy;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::activity::Activity;
use crate::agents::AgentService;
use crate::approvals::Approvals;
use crate::budgets::Budgets;
use crate::builder::EngineBuilder;
use crate::chat::{ChatEvents, ChatOutcome, ChatRequest, ChatService, LlmStatus, ModelCalls};
use crate::config::Config;
use crate::context::RequestContext;
use crate::error::{EngineError, OpenError};
use crate::gateway::{GatewayReply, GatewayRequest, GatewayService};
use crate::govern::{AccessDenials, AuthFailures, Governor, KillSwitchService, StopService};
use crate::idempotency::{Claim, Idempotency, KeyedCall, Mark};
use crate::jobs::{Authority, JobService, QueuedTurn, ResultRenderer};
use crate::narration::TurnOptions;
use crate::planning::{NewPlan, PlanOutcome, PlanReviews, PlanService, PlanSummary, PlanView};
use crate::policy::{PolicyCell, PolicyService};
use crate::proxy::{ProxyError, ProxyReply, ProxyRequest, ProxyService, restore_judged};
use crate::recorder::Recorder;
use crate::replay::{Backtests, ReplayReport};
use crate::retention::RetentionService;
use crate::shared_counters::SharedLimits;
use crate::steps::{StepService, TurnEvents};
use crate::tools::{ResultOutcome, ToolOutcome, ToolResult, ToolService};
use crate::views::{
    ActOutcome, AgentSummary, CheckOutcome, Meta, PolicyInForce, PolicyReport, PolicySource,
    PolicyText, Present, TurnOutcome,
};
use crate::webhook::Webhook;

/// A governed agent service without HTTP. Clones share everything.
///
/// ```
/// use life_agent_engine::domain::governance::command::Turn;
/// use life_agent_engine::domain::governance::ids::{AgentId, Principal};
/// use life_agent_engine::{Config, Engine, RequestContext};
/// use life_agent_observer_sqlite::Sqlite;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let journal = Sqlite::at(dir.path().join("agent.db"));
/// let engine = Engine::open(Config::below(dir.path()), journal).await?;
/// let context = RequestContext::new(Principal::new("ann"), "request-1".to_owned());
/// let turn = Turn { agent: AgentId::new("hero")?, input: "look around".to_owned() };
/// let outcome = engine.turn(&context, turn).await?;
/// assert_eq!(outcome.state_version, 1);
/// engine.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine(Arc<Services>);

/// The services of an engine.
pub(crate) struct Services {
    pub(crate) journal: Journal,
    pub(crate) activity: Activity,
    pub(crate) recorder: Recorder,
    pub(crate) cell: Arc<PolicyCell>,
    pub(crate) governor: Arc<Governor>,
    pub(crate) approvals: Arc<Approvals>,
    pub(crate) webhook: Webhook,
    pub(crate) kill_switch: KillSwitchService,
    pub(crate) stops: StopService,
    pub(crate) policy: PolicyService,
    pub(crate) agents: Arc<AgentService>,
    pub(crate) steps: Arc<StepService>,
    pub(crate) plans: Arc<PlanService>,
    pub(crate) reviews: PlanReviews,
    pub(crate) calls: Arc<ModelCalls>,
    pub(crate) chats: ChatService,
    pub(crate) proxy: ProxyService,
    pub(crate) jobs: Arc<JobService>,
    pub(crate) idempotency: Arc<Idempotency>,
    pub(crate) tools: Arc<ToolService>,
    pub(crate) gateway: GatewayService,
    pub(crate) retention: RetentionService,
    pub(crate) access: Arc<AccessDenials>,
    pub(crate) auth_failures: Arc<AuthFailures>,
    pub(crate) journal_full: Arc<AtomicBool>,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) shared_limits: Option<SharedLimits>,
    pub(crate) backtests: Backtests,
    pub(crate) started: String,
    /// Ends the tasks that follow other instances.
    pub(crate) following: CancellationToken,
}

impl Drop for Services {
    fn drop(&mut self) {
        self.following.cancel();
    }
}

impl Engine {
    pub(crate) fn new(services: Services) -> Self {
        Self(Arc::new(services))
    }

    /// Opens an engine with the defaults of [`Engine::builder`]; `backend` stores the journal.
    ///
    /// # Errors
    /// [`OpenError`] if a file, the policy, the journal or a setting is not usable.
    pub async fn open(config: Config, backend: impl Backend) -> Result<Self, OpenError> {
        Self::builder(config).open(backend).await
    }

    /// A builder for an engine with gates, a model or a clock of the embedding program.
    pub fn builder(config: Config) -> EngineBuilder {
        EngineBuilder::new(config)
    }

    /// Records the stop, commits queued writes and closes the journal. Later calls fail.
    pub async fn close(&self) -> Result<(), EngineError> {
        self.hold_queue();
        self.stop_exchanges();
        self.0.jobs.ended().await;
        self.0.following.cancel();
        self.0.calls.in_flight.ended().await;
        self.0.webhook.close().await;
        self.0.access.flush_all().await;
        self.0.approvals.close().await;
        self.0.auth_failures.flush_all().await;
        let (context, policy) = (RequestContext::system(), self.0.cell.active());
        let (hash, stopped) = (&policy.snapshot.hash, ServiceStoppedRecord {});
        self.0.recorder.record(&context, hash, None, &stopped, Vec::new()).await?;
        Ok(self.0.journal.close().await?)
    }

    /// Ends the waits of calls and queued turns for the model. Each is recorded as failed.
    /// [`Engine::close`] does the same.
    pub fn stop_exchanges(&self) {
        self.0.calls.in_flight.stop();
        self.0.jobs.cancel_running();
    }

    /// The running service.
    pub fn meta(&self) -> Meta {
        Meta { version: env!("CARGO_PKG_VERSION"), start: self.0.started.clone() }
    }

    /// The journal, for reading and following.
    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// The rows of a span with their texts in place of references. The hash of a row covers its data with the
    /// references.
    pub async fn expanded_rows(
        &self,
        span: Span,
        limit: usize,
        filter: Filter,
    ) -> Result<Page, EngineError> {
        let mut page = self.0.journal.expanded_rows(span, limit, filter).await?;
        page.rows = page.rows.into_iter().map(restore_judged).collect();
        Ok(page)
    }

    /// A row with its texts in place of references.
    pub async fn expanded_row(&self, row: Row) -> Result<Row, EngineError> {
        Ok(restore_judged(self.0.journal.expand(row).await?))
    }

    /// Redacts a text of a caller before it is logged or returned.
    pub fn redact(&self, text: &str) -> String {
        self.0.cell.redact(text)
    }

    /// Applies an action to an agent. The step is durable.
    pub async fn act(&self, context: &RequestContext, act: Act) -> Result<ActOutcome, EngineError> {
        self.0.steps.act(context, act).await
    }

    /// Takes a turn. If a model is configured, it narrates the turn, even if the caller disconnects. The turn
    /// is durable.
    pub async fn turn(
        &self,
        context: &RequestContext,
        turn: Turn,
    ) -> Result<TurnOutcome, EngineError> {
        self.0.steps.turn(context, turn, TurnOptions::default()).await
    }

    /// Takes a turn and streams it. Returns the errors that occur before the first event.
    pub async fn turn_events(
        &self,
        context: &RequestContext,
        turn: Turn,
    ) -> Result<TurnEvents, EngineError> {
        self.0.steps.turn_events(context, turn).await
    }

    /// Decides about a tool call that an agent is about to make. The decision is durable.
    pub async fn tool(
        &self,
        context: &RequestContext,
        tool: Tool,
    ) -> Result<ToolOutcome, EngineError> {
        self.0.tools.request(context, tool).await
    }

    /// Records the result of an allowed tool call.
    pub async fn tool_result(
        &self,
        context: &RequestContext,
        call: u64,
        result: ToolResult,
    ) -> Result<ResultOutcome, EngineError> {
        self.0.tools.finish(context, call, result).await
    }

    /// Responds to a message of an MCP client to a server of the policy. Fails only if there is no such server or
    /// the journal cannot be used; other errors are part of the reply.
    pub async fn mcp(
        &self,
        context: &RequestContext,
        request: GatewayRequest,
    ) -> Result<GatewayReply, EngineError> {
        self.0.gateway.handle(context, request).await
    }

    /// The row of the caller's tool call with this id, if there is one.
    pub async fn tool_call(
        &self,
        context: &RequestContext,
        call_id: &str,
    ) -> Result<Option<u64>, EngineError> {
        self.0.tools.call(context, call_id).await
    }

    /// The decision that a request would get, without any effect.
    pub async fn check(
        &self,
        context: &RequestContext,
        request: Request,
    ) -> Result<CheckOutcome, EngineError> {
        self.0.governor.check(context, request).await
    }

    /// The current state of an agent. An agent without steps has its initial state.
    pub async fn state(&self, agent: &AgentId) -> Result<Present, EngineError> {
        self.0.agents.state(agent).await
    }

    /// Agents in the order of their ids, after the given one.
    pub async fn agents(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<AgentSummary>, EngineError> {
        self.0.agents.list(after, limit).await
    }

    /// The facts of an agent, oldest first, or those that match a query, best match first. Reading does not
    /// count as a use.
    pub async fn memory(
        &self,
        agent: &AgentId,
        query: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Note>, EngineError> {
        self.0.agents.memory(agent, query, limit).await
    }

    /// Makes a plan. Its artifact and rows are durable; nothing in the workspace has changed.
    pub async fn plan(
        &self,
        context: &RequestContext,
        plan: NewPlan,
    ) -> Result<PlanOutcome, EngineError> {
        self.0.plans.plan(context, plan).await
    }

    /// Plans of one status or of all, newest first, older than the row `before`.
    pub async fn plans(
        &self,
        status: Option<Status>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<PlanSummary>, EngineError> {
        self.0.reviews.list(status, before, limit).await
    }

    /// A plan and whether it still applies.
    pub async fn plan_view(&self, id: &str) -> Result<PlanView, EngineError> {
        self.0.reviews.view(id).await
    }

    /// A plan's diff, redacted; `None` for a statement of intent.
    pub async fn plan_patch(&self, id: &str) -> Result<Option<String>, EngineError> {
        self.0.reviews.patch(id).await
    }

    /// Approves or rejects a plan. A review is final.
    pub async fn review_plan(
        &self,
        context: &RequestContext,
        id: &str,
        decision: Decision,
        note: &str,
    ) -> Result<PlanView, EngineError> {
        self.0.reviews.review(context, id, decision, note).await
    }

    /// Calls the model. The reply is durable.
    pub async fn chat(
        &self,
        context: &RequestContext,
        request: ChatRequest,
    ) -> Result<ChatOutcome, EngineError> {
        self.0.chats.chat(context, request).await
    }

    /// Calls the model and streams the reply. Returns the errors that occur before the reply begins.
    pub async fn chat_events(
        &self,
        context: &RequestContext,
        request: ChatRequest,
    ) -> Result<ChatEvents, EngineError> {
        self.0.chats.chat_events(context, request).await
    }

    /// Forwards a request of a model API. The reply is complete and durable, or a stream whose end means
    /// that.
    pub async fn proxy(
        &self,
        context: &RequestContext,
        request: ProxyRequest,
    ) -> Result<ProxyReply, ProxyError> {
        self.0.proxy.forward(context, request).await
    }

    /// The models of all providers that the policy allows, as OpenAI's API lists them. If no provider
    /// responds, the list holds the policy's model.
    pub async fn models(&self) -> Value {
        self.0.proxy.models().await
    }

    /// One model, as the first provider that has it describes it.
    pub async fn model(&self, id: &str) -> Option<Value> {
        self.0.proxy.model(id).await
    }

    /// The provider of the model and its state.
    pub fn llm_status(&self) -> LlmStatus {
        self.0.chats.status()
    }

    /// Decides which callers queued turns may still act for. Without an authority, all of them. The first
    /// call counts.
    pub fn set_authority(&self, authority: Arc<dyn Authority>) {
        self.0.jobs.set_authority(authority);
    }

    /// Starts the queue with the jobs of earlier processes.
    pub async fn start_queue(&self, renderer: ResultRenderer) -> Result<(), EngineError> {
        self.0.jobs.start(renderer).await
    }

    /// Starts no further queued turns. [`Engine::close`] does the same.
    pub fn hold_queue(&self) {
        self.0.jobs.pause();
    }

    /// Queues a turn that passes the gates. They judge it again when it runs. The job is durable. Fails before
    /// [`Engine::start_queue`].
    pub async fn queue_turn(
        &self,
        context: &RequestContext,
        turn: Turn,
    ) -> Result<QueuedTurn, EngineError> {
        self.0.jobs.enqueue(context, turn).await
    }

    /// A turn that this caller queued.
    pub async fn queued_turn(
        &self,
        context: &RequestContext,
        id: &str,
    ) -> Result<QueuedTurn, EngineError> {
        self.0.jobs.get(context, id).await
    }

    /// Cancels a queued turn. A waiting turn is cancelled immediately; a running one ends unless it becomes
    /// durable first.
    pub async fn cancel_turn(
        &self,
        context: &RequestContext,
        id: &str,
    ) -> Result<QueuedTurn, EngineError> {
        self.0.jobs.cancel(context, id).await
    }

    /// The active policy and its document.
    pub fn policy(&self) -> (PolicyInForce, Policy) {
        self.0.policy.describe()
    }

    /// The active policy's text.
    pub fn policy_text(&self) -> PolicyText {
        self.0.policy.text()
    }

    /// SHA-256 of the active policy's text, in hex.
    pub fn policy_hash(&self) -> String {
        self.0.cell.active().snapshot.hash.clone()
    }

    /// The files that [`Engine::policy_file_changed`] reads, existing or not.
    pub fn policy_sources(&self) -> Vec<PathBuf> {
        self.0.policy.sources()
    }

    /// The faults of the files on disk, if a change was rejected and the active policy is older.
    pub fn policy_rejection(&self) -> Vec<life_agent_domain::governance::fault::Fault> {
        self.0.policy.rejected()
    }

    /// Compiles a policy as a reload would, without activating it.
    pub async fn validate_policy(&self, source: PolicySource) -> Result<PolicyReport, EngineError> {
        self.0.policy.validate(source).await
    }

    /// Activates the policy at `path` (default: `POLICY_PATH`) with the current agent profile.
    pub async fn reload_policy(
        &self,
        context: &RequestContext,
        path: Option<String>,
    ) -> Result<PolicyReport, EngineError> {
        self.0.policy.reload(context, path).await
    }

    /// Reloads the active files if they changed, and returns whether they did.
    pub async fn policy_file_changed(&self) -> Result<bool, EngineError> {
        self.0.policy.reload_if_changed().await
    }

    /// Compares the recorded decisions of at most `limit` rows after `after` with those of another policy.
    pub async fn backtest(
        &self,
        source: PolicySource,
        after: u64,
        limit: usize,
    ) -> Result<ReplayReport, EngineError> {
        self.0.backtests.run(source, after, limit).await
    }

    /// What became of the call that claimed the key of this one at another instance, see [`Mark::is_lost`].
    pub async fn answer_elsewhere(
        &self,
        context: &RequestContext,
        mark: &Mark,
    ) -> Result<Claim, EngineError> {
        self.0.idempotency.elsewhere(context, mark).await
    }

    /// Looks up an idempotency key and claims it if it is new. Waits for a running call with the key.
    pub async fn claim(
        &self,
        context: &RequestContext,
        call: KeyedCall<'_>,
    ) -> Result<Claim, EngineError> {
        self.0.idempotency.claim(context, call).await
    }

    /// Stores the response to a call for its repetitions. The response must be redacted; one over 256 KiB is
    /// not stored.
    pub async fn keep_answer(&self, mark: Mark, answer: StoredResponse) -> Result<(), EngineError> {
        self.0.idempotency.keep_answer(mark, answer).await
    }
}
