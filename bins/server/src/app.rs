//! The application: routing and the order of the middleware.

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::from_fn;
use actix_web::{App, Error, web};
use actix_web_lab::middleware::CatchPanic;

use crate::auth::request_limit::{RATELIMIT, RATELIMIT_POLICY};
use crate::endpoints;
use crate::http::accept::PREFERENCE_APPLIED;
use crate::http::middleware::cors::WithOrigin;
use crate::http::middleware::idempotency::IDEMPOTENCY_REPLAYED;
use crate::http::middleware::request_context;
use crate::http::middleware::request_id::X_REQUEST_ID;
use crate::routes::proxy::{CHANGED, WITHHELD};
use crate::state::AppState;

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
    // The last layer is the first to see a request and the last to see its response.
    App::new()
        .app_data(state)
        .configure(endpoints::configure)
        // Innermost: a panic in a handler becomes an error with the envelope.
        .wrap(CatchPanic::default())
        .wrap(WithOrigin(cors))
        .wrap(from_fn(request_context))
}

/// Exact origins only. Keys travel in headers, so credentials (cookies) stay off.
fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(endpoints::methods())
        // SDKs send headers of their own, whose names change with their versions.
        .allow_any_header()
        .expose_headers([
            X_REQUEST_ID,
            header::RETRY_AFTER,
            header::LOCATION,
            RATELIMIT,
            RATELIMIT_POLICY,
            PREFERENCE_APPLIED,
            IDEMPOTENCY_REPLAYED,
            CHANGED,
            WITHHELD,
        ])
        .block_on_origin_mismatch(false)
        .max_age(600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
