//! Builds an engine out of its services.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use life_agent_domain::governance::event::{KillSwitchRecord, ServiceStartedRecord};
use life_agent_domain::governance::gate::Gate;
use life_agent_groq::Model;
use life_agent_observer::{Backend, Journal, JournalError, Options, SideWrite, WriteBatch};
use tokio_util::sync::CancellationToken;

use crate::activity::Activity;
use crate::agents::{AgentCache, AgentService};
use crate::approvals::Approvals;
use crate::budgets::Budgets;
use crate::chat::{ChatService, ModelCalls, Provider};
use crate::clock::{Clock, SystemClock, Timestamps};
use crate::config::{Config, OpaMode};
use crate::context::RequestContext;
use crate::error::OpenError;
use crate::evidence;
use crate::facade::{Engine, Services};
use crate::feed::{Feed, Followers};
use crate::gateway::GatewayService;
use crate::govern::{
    AccessDenials, AuthFailures, Governor, KillSwitchService, Limiter, Live, OpaServer, SETTING,
    StopService, Stops, Switch,
};
use crate::idempotency::Idempotency;
use crate::jobs::JobService;
use crate::meters::Meters;
use crate::narration::Narrator;
use crate::planning::{Drafter, PlanRepository, PlanReviews, PlanService};
use crate::policy::{ActivePolicy, Extensions, PolicyCell, PolicyFiles, PolicyService, shared};
use crate::proxy::ProxyService;
use crate::recorder::{Batch, Recorder, raw_json};
use crate::replay::Backtests;
use crate::retention::RetentionService;
use crate::shared_counters::SharedLimits;
use crate::steps::StepService;
use crate::tools::ToolService;
use crate::webhook::Webhook;
use crate::workspace::Workspace;

/// The journal's setting with the seed of the instances.
const SEED: &str = "instances.seed";
/// Reads of the kill switch and the stops at a start next to other instances.
const CONTROL_READS: usize = 5;

/// Builds an [`Engine`]. Everything but the configuration has a default.
pub struct EngineBuilder {
    config: Config,
    gates: Vec<Arc<dyn Gate>>,
    model: Option<Arc<dyn Model>>,
    clock: Arc<dyn Clock>,
    shared_limits: Option<SharedLimits>,
}

impl EngineBuilder {
    pub(crate) fn new(config: Config) -> Self {
        let clock = Arc::new(SystemClock);
        Self { config, gates: Vec::new(), model: None, clock, shared_limits: None }
    }

    /// Adds a gate after the gates of the policy. It can refuse more requests, never allow more.
    #[must_use]
    pub fn gate(mut self, gate: impl Gate + 'static) -> Self {
        self.gates.push(Arc::new(gate));
        self
    }

    /// Uses a model of the embedding program instead of the configured provider.
    #[must_use]
    pub fn model(mut self, model: Arc<dyn Model>) -> Self {
        self.model = Some(model);
        self
    }

    /// Uses another clock for the times that callers and rows show.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Counts rates and budgets with counters that several instances of the journal share, in place of memory.
    #[must_use]
    pub fn shared_limits(mut self, limits: Option<SharedLimits>) -> Self {
        self.shared_limits = limits;
        self
    }

    /// Opens the policy and the journal that `backend` stores, and records the start. Blocks on the file
    /// system, so call it before serving.
    ///
    /// # Errors
    /// [`OpenError`] if a file, the policy, the journal or a setting is not usable. The journal is opened
    /// last, so that no other error leaves a trace in it.
    pub async fn open(self, backend: impl Backend) -> Result<Engine, OpenError> {
        compile_patterns();
        let Self { config, gates, model, clock, shared_limits } = self;
        let timestamps = Timestamps::new(clock);
        let workspace = Workspace::open(&config.workspace_dir, &config.plans_dir)
            .map_err(OpenError::at(&config.workspace_dir))?;
        let extensions = Extensions { gates, timestamps: timestamps.clone() };
        let files = PolicyFiles::new(&config, workspace.clone(), extensions);
        let policy = ActivePolicy::first(&files, ActivePolicy::compile_first)?;
        let cell = Arc::new(PolicyCell::new(policy));
        let known_models = cell.known_models(config.metric_labels);
        let opa = match &config.opa {
            OpaMode::Server(url) => Some(OpaServer::new(url, config.opa_token.as_ref())?),
            OpaMode::Off | OpaMode::Embedded => None,
        };
        let provider = match (model, &config.llm) {
            (Some(model), _) => Some(Provider::custom(model, config.seed)),
            (None, Some(llm)) => {
                Some(Provider::open(llm, &config.call_limits, known_models.clone(), config.seed)?)
            }
            (None, None) => None,
        };
        let repository = PlanRepository::open(&config)?;
        let feed = Feed::default();
        let observer = Box::new(feed.clone());
        let journal = Journal::open_observed(backend, Options::default(), Some(observer))?;
        if let Some(sharing) = journal.sharing() {
            timestamps.follow(sharing.lead.clone());
        }
        let opened_at = journal.head().id;
        require_same_seed(&journal, config.seed).await?;
        let (decided, stops) = stored_controls(&journal).await?;
        repository.recover(&journal).await.map_err(OpenError::at(&config.plans_dir))?;
        let switch = Arc::new(Switch::new(decided.record.clone(), decided.by, config.kill_switch));

        let meters = Arc::new(Meters::new(config.metric_labels));
        let recorder = Recorder::new(journal.clone());
        shared::at_start(&journal, &recorder, &files, &cell).await?;
        let (approvals, desk) = Approvals::open(
            journal.clone(),
            recorder.clone(),
            Arc::clone(&cell),
            timestamps.clone(),
            config.public_url.as_deref(),
        )
        .await?;
        let limiter = Arc::new(Limiter::new(
            config.rate_limit_rps,
            config.new_agents_per_minute,
            shared_limits.clone(),
        ));
        let journal_full = Arc::new(AtomicBool::new(false));
        let live = Live {
            switch: Arc::clone(&switch),
            limiter: Arc::clone(&limiter),
            journal_full: Arc::clone(&journal_full),
            stops: Arc::clone(&stops),
        };
        let governor = Arc::new(Governor::new(
            Arc::clone(&cell),
            live,
            workspace.clone(),
            opa,
            recorder.clone(),
            Arc::clone(&meters),
            Arc::clone(&approvals),
        ));
        let cache = AgentCache::new(
            journal.clone(),
            config.seed,
            config.max_agents_in_memory,
            config.agent_wait,
        );
        let agents = Arc::new(AgentService::new(cache, journal.clone(), limiter));
        let (budgets, ledger) =
            Budgets::restored(&journal, recorder.clone(), shared_limits.clone()).await?;
        let budgets = Arc::new(budgets);
        let calls = Arc::new(ModelCalls::new(
            provider,
            Arc::clone(&governor),
            Arc::clone(&budgets),
            recorder.clone(),
            Arc::clone(&meters),
        ));
        let plans = Arc::new(PlanService::new(
            Arc::clone(&governor),
            recorder.clone(),
            Drafter::new(Arc::clone(&calls), Arc::clone(&governor), Arc::clone(&repository.tree)),
            repository.store.clone(),
            &config.plans_dir,
            Arc::clone(&meters),
            timestamps.clone(),
        ));
        let narrator = Arc::new(Narrator {
            calls: Arc::clone(&calls),
            governor: Arc::clone(&governor),
            agents: Arc::clone(&agents),
            plans: Arc::clone(&plans),
            journal: journal.clone(),
            meters: Arc::clone(&meters),
        });
        let steps = Arc::new(StepService::new(
            Arc::clone(&governor),
            Arc::clone(&agents),
            narrator,
            Arc::clone(&calls),
            Arc::clone(&meters),
        ));
        let idempotency = Arc::new(Idempotency::new(journal.clone(), recorder.clone()));
        let jobs = Arc::new(JobService::new(
            Arc::clone(&steps),
            Arc::clone(&governor),
            journal.clone(),
            recorder.clone(),
            timestamps.clone(),
            (config.turn_workers, config.turn_queue),
        ));
        let tools = Arc::new(ToolService::new(
            Arc::clone(&governor),
            recorder.clone(),
            journal.clone(),
            Arc::clone(&idempotency),
            Arc::clone(&meters),
        ));
        let gateway = GatewayService::new(
            config.clone(),
            Arc::clone(&cell),
            Arc::clone(&governor),
            Arc::clone(&tools),
            Arc::clone(&idempotency),
            journal.clone(),
        );
        // Everything that was read so far is applied or about to be.
        journal.catch_up().await?;
        feed.start(Followers {
            switch: Arc::clone(&switch),
            stops: Arc::clone(&stops),
            approvals: desk,
            budgets: ledger,
            agents: agents.cache.slots(),
            policy: journal.is_shared().then(|| Arc::clone(&cell)),
        });
        let following = CancellationToken::new();
        if journal.is_shared() {
            let (cell, following) = (Arc::clone(&cell), following.clone());
            tokio::spawn(shared::follow(journal.clone(), files.clone(), cell, following));
        }
        if decided.is_new {
            record_switch(&recorder, &cell.active(), decided.record).await?;
        }
        record_start(&journal, &cell.active(), config.seed).await?;
        if let (Some(limits), Some(id)) = (&shared_limits, journal.id().await?) {
            limits.counters().bind(&id);
        }
        Ok(Engine::new(Services {
            kill_switch: KillSwitchService::new(
                switch,
                Arc::clone(&cell),
                recorder.clone(),
                timestamps.clone(),
            ),
            stops: StopService::new(stops, Arc::clone(&cell), recorder.clone(), timestamps.clone()),
            policy: PolicyService::new(Arc::clone(&cell), files.clone(), recorder.clone()),
            reviews: PlanReviews::new(
                repository,
                journal.clone(),
                Arc::clone(&cell),
                recorder.clone(),
                timestamps.clone(),
            ),
            proxy: ProxyService::new(
                Arc::clone(&calls),
                Arc::clone(&governor),
                config.call_limits.clone(),
                known_models.clone(),
            ),
            chats: ChatService::new(Arc::clone(&calls), Arc::clone(&governor)),
            tools,
            gateway,
            idempotency,
            retention: RetentionService::new(
                journal.clone(),
                recorder.clone(),
                Arc::clone(&agents),
                Arc::clone(&cell),
                (!config.prune_all).then_some(opened_at),
            ),
            access: Arc::new(AccessDenials::new(Arc::clone(&cell), recorder.clone())),
            auth_failures: Arc::new(AuthFailures::new(Arc::clone(&cell), recorder.clone())),
            journal_full,
            budgets,
            webhook: Webhook::start(
                config.webhook_secrets.clone(),
                journal.clone(),
                recorder.clone(),
                Arc::clone(&cell),
                timestamps.clone(),
                config.public_url.as_deref(),
                config.tracer.clone(),
            ),
            shared_limits,
            backtests: Backtests::new(files, workspace, journal.clone()),
            started: timestamps.text(),
            following,
            approvals,
            activity: Activity::new(journal.clone()),
            journal,
            recorder,
            cell,
            governor,
            agents,
            steps,
            plans,
            calls,
            jobs,
        }))
    }
}

/// The kill switch and the stops of the journal. Another instance may change one while it is read, so that table and row
/// seem to differ: only what differs repeatedly counts.
async fn stored_controls(
    journal: &Journal,
) -> Result<(evidence::SwitchEvidence, Arc<Stops>), OpenError> {
    for _ in 1..CONTROL_READS {
        journal.catch_up().await?;
        let before = journal.control();
        let (decided, stops) = (evidence::kill_switch(journal).await?, Stops::open(journal).await?);
        journal.catch_up().await?;
        if journal.control() == before {
            return Ok((decided, Arc::new(stops)));
        }
    }
    Ok((evidence::kill_switch(journal).await?, Arc::new(Stops::open(journal).await?)))
}

/// Refuses a seed that differs from the one of the other instances: an agent must not depend on where it starts.
async fn require_same_seed(journal: &Journal, seed: u64) -> Result<(), OpenError> {
    let Some(sharing) = journal.sharing() else { return Ok(()) };
    let stored = journal.setting(SEED).await?;
    let mine = seed.to_string();
    match stored {
        Some(stored) if stored == mine => Ok(()),
        Some(_) if !sharing.was_alone => Err(JournalError::unavailable(
            "the other instances run with another SEED; set the same one on all instances",
        )
        .into()),
        _ => {
            let setting = SideWrite::Setting { key: SEED.to_owned(), value: mine };
            journal.append(WriteBatch::side(vec![setting]))?.await?;
            Ok(())
        }
    }
}

/// Records a switch that the start turned on, so that it stays on until an operator turns it off.
async fn record_switch(
    recorder: &Recorder,
    policy: &ActivePolicy,
    record: KillSwitchRecord,
) -> Result<(), OpenError> {
    let not_written = |_| JournalError::unavailable("the kill switch was not recorded");
    let value = raw_json(&record).map_err(not_written)?.get().to_owned();
    let setting = SideWrite::Setting { key: SETTING.to_owned(), value };
    let side = vec![setting, SideWrite::AdvanceControl];
    let (context, hash) = (RequestContext::system(), &policy.snapshot.hash);
    recorder.record(&context, hash, None, &record, side).await.map_err(not_written)?;
    Ok(())
}

async fn record_start(
    journal: &Journal,
    policy: &ActivePolicy,
    seed: u64,
) -> Result<(), OpenError> {
    let started = ServiceStartedRecord {
        version: env!("CARGO_PKG_VERSION").into(),
        seed,
        policy: policy.shown_path.as_str().into(),
    };
    let context = RequestContext::system();
    let mut batch = Batch::new(&context, &policy.snapshot.hash);
    let not_written = |_| JournalError::unavailable("the start was not recorded");
    batch.push(None, &started).map_err(not_written)?;
    journal.append(batch.finish())?.await?;
    Ok(())
}

/// Compiles the gates' patterns in parallel to the rest of the start. A thread of its own returns the
/// memory of the compilation when it ends.
fn compile_patterns() {
    let compile = std::thread::Builder::new().name("patterns".to_owned());
    if let Err(error) = compile.spawn(life_agent_gates::warm_up) {
        tracing::warn!(%error, "no thread for the patterns; the first request compiles them");
    }
}
