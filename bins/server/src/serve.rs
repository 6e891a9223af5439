//! Startup and shutdown: from settings to a running service and back.

mod files;
mod issuer_watch;
mod journal_size;
mod keys_watch;
pub mod policy_watch;
mod retention;
mod shutdown;
pub mod start_message;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::web;
use life_agent_engine::{CallLimits, Config, Engine, KeySource, LlmConfig, OpaMode, OpenError};
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::start_message::Facts;
use crate::auth::keys::{Keys, KeysError};
use crate::http::in_flight::InFlight;
use crate::http::large::LargeRequests;
use crate::place::Place;
use crate::routes::turns;
use crate::settings::{RequiredPath, SettingError, Settings, Unknown};
use crate::state::AppState;
use crate::telemetry::logging::{self, Log, LogError};
use crate::telemetry::{metrics, traces};
use crate::{endpoints, listener, openapi};

/// Why the service could not start or did not shut down cleanly, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The keys do not allow a start.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A path that the operator set does not exist.
    #[error(transparent)]
    Settings(#[from] SettingError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system has too few descriptors for the configured connections.
    #[error(transparent)]
    Connections(#[from] listener::TooManyConnections),
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {error}; choose another HOST or PORT")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's error.
        error: std::io::Error,
    },
    /// The thread of the connection to Redis cannot be started.
    #[error("cannot start the connection to Redis: {0}")]
    Redis(std::io::Error),
    /// The threads for large requests cannot be started.
    #[error("cannot start the threads for large requests: {0}")]
    Threads(std::io::Error),
    /// The engine cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server failed at run time.
    #[error("the server failed: {0}")]
    Failed(#[from] std::io::Error),
    /// The queued turns cannot be read.
    #[error(
        "the queue of turns cannot be read from the journal; look at it with `life-agent audit verify`"
    )]
    Queue,
    /// Traces cannot be exported.
    #[error(transparent)]
    Traces(#[from] traces::NoExport),
    /// The last row could not be committed.
    #[error("the journal could not be closed cleanly; every answered step is in it")]
    Close,
}

/// A service that has just started.
pub(crate) struct Started {
    /// Its address, as a client on this machine can use it.
    pub(crate) address: SocketAddr,
    /// What an operator should read.
    pub(crate) message: String,
    /// Stops the service when it is cancelled.
    pub(crate) stopping: CancellationToken,
}

/// Serves until SIGTERM or SIGINT. `unknown` are names that look like settings; they are logged once.
pub fn serve(settings: Settings, unknown: &[Unknown]) -> Result<(), ServeError> {
    serve_with(settings, unknown, |started| start_message::print(&started.message))
}

/// [`serve`], and calls `on_start` once the service listens.
pub(crate) fn serve_with(
    settings: Settings,
    unknown: &[Unknown],
    on_start: impl FnOnce(Started),
) -> Result<(), ServeError> {
    use_small_pages();
    files::keep_private();
    settings.required.iter().try_for_each(RequiredPath::check)?;
    let (keys, made_key) = Keys::of(&settings)?;
    // Flushed when it is dropped, after everything else.
    let log = logging::start(settings.log_file.as_deref(), settings.log_level)?;
    for name in unknown {
        tracing::warn!(name = name.name, from = name.from, "{name}");
    }
    let address = (settings.host, settings.port).into();
    let failed = |error| ServeError::Listen { address, error };
    let max_connections = listener::max_connections(settings.max_connections)?;
    // Bound before the journal opens, so that an accidental second start leaves no trace in it.
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let start = Start { settings, keys, made_key, listener, bound, max_connections };
    actix_web::rt::System::new().block_on(run(start, &log, on_start))
}

/// Everything that was prepared before the first asynchronous step.
struct Start {
    settings: Settings,
    keys: Keys,
    made_key: Option<SecretString>,
    listener: TcpListener,
    bound: SocketAddr,
    max_connections: usize,
}

async fn run(start: Start, log: &Log, on_start: impl FnOnce(Started)) -> Result<(), ServeError> {
    let Start { settings, keys, made_key, listener, bound, max_connections } = start;
    let keys = Arc::new(keys);
    let stopping = CancellationToken::new();
    // Before the engine, which keeps the metric handles that exist when it opens.
    let metrics = metrics::start(&stopping);
    let mut config = engine_config(&settings);
    let (tracer, export) = settings.traces.as_ref().map(traces::start).transpose()?.unzip();
    config.tracer = tracer;
    config.public_url.get_or_insert_with(|| format!("http://{}", start_message::reachable(bound)));
    let redis = match &settings.redis {
        None => None,
        Some(redis) => Some(redis.start().await.map_err(ServeError::Redis)?),
    };
    let engine = Engine::builder(config)
        .shared_limits(redis.as_ref().map(|redis| redis.limits.clone()))
        .open(settings.journal.backend())
        .await?;
    let state = web::Data::new(AppState {
        engine: engine.clone(),
        keys: Arc::clone(&keys),
        rate_limit_rps: settings.rate_limit_rps,
        new_agents_per_minute: settings.new_agents_per_minute,
        metrics,
        openapi: openapi::documents(settings.public_server_url.clone()),
        public_url: settings.public_server_url.clone(),
        allowed_origins: settings.allowed_origins.clone(),
        max_model_body: settings.llm_max_body,
        started: std::time::Instant::now(),
        stopping: stopping.clone(),
        in_flight: InFlight::new(settings.max_in_flight, endpoints::bounded_paths()),
        large: LargeRequests::start().map_err(ServeError::Threads)?,
        backtesting: Arc::new(Semaphore::new(1)),
        verifying: Arc::new(Semaphore::new(1)),
    });
    engine.set_authority(keys);
    engine.start_queue(turns::RENDERER).await.map_err(|_| ServeError::Queue)?;
    let counting = engine.clone();
    actix_web::rt::spawn(async move { counting.count_activity().await });
    if let Some(path) = settings.keys_file.clone() {
        actix_web::rt::spawn(keys_watch::watch(path, state.clone(), stopping.clone()));
    }
    if state.keys.tokens().is_some() {
        actix_web::rt::spawn(issuer_watch::watch(Arc::clone(&state.keys), stopping.clone()));
    }
    if state.keys.is_unrestricted() {
        tracing::warn!(
            "every key may do everything; restrict keys with `name[role]=key` in API_TOKENS, or with KEYS_FILE"
        );
    }
    if let (Some(max), Place::File(path)) = (settings.journal_max_bytes, &settings.journal) {
        let size = journal_size::JournalSize::of(path, max);
        size.check(&engine);
        actix_web::rt::spawn(size.watch(engine.clone(), stopping.clone()));
    }
    let server = listener::listen(listener, settings.workers, max_connections, state)?;
    shutdown::on_signal(stopping.clone())?;
    logging::reopen_on_hangup(log, stopping.clone())?;
    shutdown::stop_exchanges_in_time(engine.clone(), stopping.clone());
    let watch = actix_web::rt::spawn(policy_watch::watch(engine.clone(), stopping.clone()));
    let keep = settings.journal_keep.clone();
    let pruning =
        actix_web::rt::spawn(retention::prune_hourly(engine.clone(), keep, stopping.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving");
    let facts = Facts::of(&engine);
    let message = start_message::text(bound, &settings, made_key.as_ref(), &facts);
    let address = start_message::reachable(bound);
    on_start(Started { address, message, stopping: stopping.clone() });
    let served = server.await;
    stopping.cancel();
    // The watcher may be reloading; its row must precede the last one.
    let _ = watch.await;
    let _ = pruning.await;
    let closed = engine.close().await;
    if let Some(export) = export {
        export.close().await;
    }
    if let Some(redis) = &redis {
        redis.close().await;
    }
    tracing::info!("stopped");
    served?;
    closed.map_err(|_| ServeError::Close)
}

/// Disables 2 MB pages: they brought no speed and cost an idle service 25 MB.
fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the page size cannot be set");
    }
}

/// The engine configuration of these settings.
pub(crate) fn engine_config(settings: &Settings) -> Config {
    let opa = match (settings.opa_enable, &settings.opa_url) {
        (false, _) => OpaMode::Off,
        (true, None) => OpaMode::Embedded,
        (true, Some(url)) => OpaMode::Server(url.clone()),
    };
    Config {
        workspace_dir: settings.workspace_dir.clone(),
        policy_path: settings.policy_path.clone(),
        policy_dir: settings.policy_dir.clone(),
        profile_path: policy_watch::profile_beside(&settings.policy_path),
        plans_dir: settings.plans_dir.clone(),
        whitelist_dirs: settings.whitelist_dirs.clone(),
        seed: settings.seed,
        rate_limit_rps: settings.rate_limit_rps,
        new_agents_per_minute: settings.new_agents_per_minute,
        kill_switch: settings.kill_switch,
        opa,
        opa_token: settings.opa_token.clone(),
        llm: settings.groq_api_key.clone().map(|api_key| LlmConfig {
            api_key,
            base_url: Some(settings.groq_base_url.clone()),
            dialect: settings.groq_dialect,
            timeout: Some(settings.groq_timeout),
        }),
        call_limits: call_limits(settings),
        max_agents_in_memory: settings.max_agents_in_memory,
        agent_wait: settings.agent_wait,
        turn_workers: settings.turn_workers,
        turn_queue: settings.turn_queue,
        public_url: settings.public_server_url.clone(),
        webhook_secrets: settings.webhook_secrets.clone(),
        metric_labels: settings.metric_labels,
        prune_all: settings.journal_prune_all,
        // Only the service itself traces, not a command.
        tracer: None,
    }
}

/// The limits of model calls; keys of the policy's providers come from the environment or from files.
fn call_limits(settings: &Settings) -> CallLimits {
    let read_key = |source: &KeySource| {
        let text = match source {
            KeySource::Env(name) => std::env::var(name).ok(),
            KeySource::File(path) => std::fs::read_to_string(path).ok(),
        };
        text.map(|text| text.trim().to_owned()).filter(|key| !key.is_empty()).map(Into::into)
    };
    CallLimits {
        first_byte: settings.llm_first_byte,
        between_bytes: settings.llm_idle,
        max_concurrent: settings.llm_max_concurrent,
        queue_wait: settings.llm_queue,
        max_messages: settings.llm_max_messages,
        max_answer_bytes: settings.llm_max_response,
        // An unreadable file is an empty one, which the client refuses when it starts.
        extra_ca: settings.llm_ca_file.as_ref().map(|path| std::fs::read(path).unwrap_or_default()),
        read_key: Arc::new(read_key),
    }
}
