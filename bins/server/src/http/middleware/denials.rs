//! Counts and records requests that the caller's key does not permit, and failed authentications.

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use life_agent_engine::domain::governance::event::AccessDeniedRecord;
use life_agent_engine::{AccessDenial, AccessReason, RequestContext};
use metrics::counter;

use crate::http::errors::{ApiError, Code};
use crate::http::extract::grant_of;
use crate::state::AppState;
use crate::telemetry::traces;

/// The metric of failed authentications.
const FAILURES: &str = "auth_failures_total";

/// Records the response to a denied request. Runs before the envelope replaces the error.
pub async fn record<B>(response: &ServiceResponse<B>, id: &str) {
    if !matches!(
        response.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    ) {
        return;
    }
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let Some(error) = error else { return };
    let reason = match error.code {
        Code::MissingApiKey | Code::InvalidApiKey => {
            counter!(FAILURES, "reason" => error.code.as_str()).increment(1);
            return record_failure(response.request(), error.code).await;
        }
        Code::ScopeMissing => AccessReason::ScopeMissing,
        Code::AgentForbidden => AccessReason::AgentForbidden,
        // Those of gates have a row already.
        Code::RateLimited if error.detail("gate") == Some(AccessDeniedRecord::GATE) => {
            AccessReason::RateLimited
        }
        _ => return,
    };
    let request = response.request();
    let (Some(state), Ok(grant)) = (request.app_data::<web::Data<AppState>>(), grant_of(request))
    else {
        return;
    };
    let rule = error.detail("required_scope").or_else(|| error.detail("required_agent"));
    let rule = rule.or_else(|| error.detail("rule"));
    let (rule, message) =
        (rule.map(|rule| state.engine.redact(rule)), state.engine.redact(error.message()));
    let context = RequestContext::new(grant.principal.clone(), id.to_owned());
    let context = context.with_trace(traces::of(request));
    let denial = AccessDenial { reason, rule: rule.as_deref(), message: &message };
    state.engine.deny_access(&context, denial).await;
}

/// Records a request without a known key, and delays the response to the guesses of one peer.
async fn record_failure(request: &HttpRequest, code: Code) {
    let Some(state) = request.app_data::<web::Data<AppState>>() else { return };
    let peer = request.peer_addr().map(|address| address.ip());
    let delay = state.engine.auth_failed(peer, code == Code::InvalidApiKey);
    if !delay.is_zero() {
        tokio::select! {
            () = state.stopping.cancelled() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }
}
