//! Counts and records requests that the caller's key does not permit, and failed authentications.

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::web;
use life_agent_engine::{AccessDenial, AccessReason, RequestContext};
use metrics::counter;

use crate::http::errors::{ApiError, Code};
use crate::http::extract::grant_of;
use crate::state::AppState;

/// The metric of failed authentications.
const FAILURES: &str = "auth_failures_total";

/// Records the response to a denied request. Runs before the envelope replaces the error.
pub async fn record<B>(response: &ServiceResponse<B>, id: &str) {
    if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return;
    }
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let Some(error) = error else { return };
    let reason = match error.code {
        Code::MissingApiKey | Code::InvalidApiKey => {
            return counter!(FAILURES, "reason" => error.code.as_str()).increment(1);
        }
        Code::ScopeMissing => AccessReason::ScopeMissing,
        Code::AgentForbidden => AccessReason::AgentForbidden,
        _ => return,
    };
    let request = response.request();
    let (Some(state), Ok(grant)) = (request.app_data::<web::Data<AppState>>(), grant_of(request))
    else {
        return;
    };
    let rule = error.detail("required_scope").or_else(|| error.detail("required_agent"));
    let (rule, message) =
        (rule.map(|rule| state.engine.redact(rule)), state.engine.redact(error.message()));
    let context = RequestContext::new(grant.principal.clone(), id.to_owned());
    let denial = AccessDenial { reason, rule: rule.as_deref(), message: &message };
    state.engine.deny_access(&context, denial).await;
}
