//! The application: what every handler shares, and the order of the middleware.

use std::sync::Arc;

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::from_fn;
use actix_web::{App, Error, web};
use actix_web_lab::middleware::CatchPanic;
use life_agent_engine::Engine;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::keys::Keys;
use crate::middleware::cors::WithOrigin;
use crate::middleware::idempotency::{IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, PREFERENCE_APPLIED};
use crate::middleware::in_flight::InFlight;
use crate::middleware::manners;
use crate::middleware::request_id::X_REQUEST_ID;
use crate::openapi::Rendered;
use crate::routes;

/// What handlers share; one for all workers.
pub struct AppState {
    /// The use cases.
    pub engine: Engine,
    /// Who may call.
    pub keys: Keys,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// The OpenAPI documents.
    pub openapi: Rendered,
    /// Browser origins that may call.
    pub allowed_origins: Vec<String>,
    /// When the service started.
    pub started: std::time::Instant,
    /// Cancelled when the service begins to stop; event streams end then.
    pub stopping: CancellationToken,
    /// Bounds what is under way.
    pub in_flight: InFlight,
    /// One permit: a backtest reads and judges a long stretch of the journal.
    pub backtesting: Arc<Semaphore>,
}

/// The application as `main` and tests run it.
pub fn create_app(
    state: web::Data<AppState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    let cors = cors(&state.allowed_origins);
    // The last one wrapped is the first to see a request and the last to see its answer.
    App::new()
        .app_data(state)
        .configure(routes::configure)
        // Innermost: a handler that panics is an error like any other, with its envelope.
        .wrap(CatchPanic::default())
        .wrap(WithOrigin(cors))
        .wrap(from_fn(manners))
}

/// Exact origins only. Keys travel in headers, so credentials (cookies) stay off.
fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::DELETE])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::HeaderName::from_static("x-api-key"),
            header::HeaderName::from_static("last-event-id"),
            header::HeaderName::from_static("prefer"),
            IDEMPOTENCY_KEY,
            X_REQUEST_ID,
        ])
        .expose_headers([
            X_REQUEST_ID,
            header::RETRY_AFTER,
            header::LOCATION,
            PREFERENCE_APPLIED,
            IDEMPOTENCY_REPLAYED,
        ])
        .block_on_origin_mismatch(false)
        .max_age(600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
