//! What handlers and middleware share.

use std::sync::Arc;
use std::time::Instant;

use life_agent_engine::Engine;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::keys::Keys;
use crate::http::documents::Documents;
use crate::http::in_flight::InFlight;
use crate::http::large::LargeRequests;

/// One value for all workers.
pub struct AppState {
    /// The use cases.
    pub engine: Engine,
    /// The keys that callers may present.
    pub keys: Arc<Keys>,
    /// `RATE_LIMIT_RPS`, for `/whoami`.
    pub rate_limit_rps: u32,
    /// `NEW_AGENTS_PER_MINUTE`, for `/whoami`.
    pub new_agents_per_minute: u32,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// The OpenAPI documents.
    pub openapi: Documents,
    /// `PUBLIC_SERVER_URL`
    pub public_url: Option<String>,
    /// Browser origins that may call.
    pub allowed_origins: Vec<String>,
    /// When the service started.
    pub started: Instant,
    /// Canceled when the service begins to stop; event streams end then.
    pub stopping: CancellationToken,
    /// Largest body of a `/v1` request, in bytes.
    pub max_model_body: usize,
    /// Bounds the number of concurrent requests per path.
    pub in_flight: InFlight,
    /// Handles large requests.
    pub large: LargeRequests,
    /// One permit: a backtest reads and judges a long stretch of the journal.
    pub backtesting: Arc<Semaphore>,
    /// One permit: a verification reads the whole journal.
    pub verifying: Arc<Semaphore>,
}
