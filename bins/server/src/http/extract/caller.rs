//! The caller: the key from the headers, checked before anything else in the request is read.

use std::sync::Arc;

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use life_agent_engine::domain::governance::event::AccessDeniedRecord;
use life_agent_engine::domain::governance::principal::Scope;
use life_agent_engine::{EngineError, Mark, RequestContext};
use serde_json::json;

use crate::auth::grant::Grant;
use crate::auth::request_limit::{NotTaken, Standing};
use crate::auth::scope::Access;
use crate::http::endpoint::{self, Endpoint};
use crate::http::errors::{ApiError, Code};
use crate::http::middleware::request_id;
use crate::http::protected_resource::challenge;
use crate::listener::slot::Slot;
use crate::state::AppState;
use crate::telemetry::traces;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The header of Azure's clients.
const AZURE_KEY: HeaderName = HeaderName::from_static("api-key");

/// A caller whose key grants the endpoint. A handler with this in its signature rejects all other callers.
#[derive(Debug)]
pub struct Authenticated {
    /// The caller, as the engine records it.
    pub caller: RequestContext,
    /// What the caller may do.
    pub grant: Arc<Grant>,
}

impl FromRequest for Authenticated {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { authenticate(&request).await })
    }
}

/// Checks the key of a request, and that it grants the endpoint.
pub(crate) async fn authenticate(request: &HttpRequest) -> Result<Authenticated, ApiError> {
    let grant = grant_of(request)?;
    if let Some(Some(slot)) = request.conn_data::<Option<Arc<Slot>>>() {
        slot.prove();
    }
    count(request, &grant).await?;
    let request_id = request_id::of(request).as_ref().to_owned();
    let caller = RequestContext::new(grant.principal.clone(), request_id);
    grant.used.note(caller.started);
    let endpoint = endpoint::of(request).ok_or_else(|| ApiError::bare(Code::Internal))?;
    grant.allows(endpoint).map_err(|error| {
        // A client can request a token with the scope; nothing leads to another key.
        if error.code != Code::ScopeMissing || !grant.principal.as_str().starts_with("jwt:") {
            return error;
        }
        let scope = Some(endpoint.access.as_str());
        let state = request.app_data::<web::Data<AppState>>().map(|state| state.get_ref());
        let challenge = challenge(state, request, Some("insufficient_scope"), scope);
        error.with_header(header::WWW_AUTHENTICATE, challenge)
    })?;
    let idempotency = request.extensions().get::<Mark>().cloned();
    let caller = caller.with_idempotency(idempotency).with_trace(traces::of(request));
    Ok(Authenticated { caller, grant })
}

/// Counts a request against its principal's limit, once.
async fn count(request: &HttpRequest, grant: &Grant) -> Result<(), ApiError> {
    let Some(limit) = &grant.limit else { return Ok(()) };
    if request.extensions().contains::<Standing>() {
        return Ok(());
    }
    let state =
        request.app_data::<web::Data<AppState>>().ok_or_else(|| ApiError::bare(Code::Internal))?;
    let name = grant.principal.as_str();
    let taken = match state.engine.shared_limits() {
        None => limit.take(),
        Some(shared) => limit.take_shared(name, shared).await,
    };
    match taken {
        Ok(standing) => {
            request.extensions_mut().insert(standing);
            Ok(())
        }
        // A caller that must stop the agents can do so, whatever has failed.
        Err(NotTaken::Unavailable) if endpoint::of(request).is_some_and(is_for_operators) => Ok(()),
        Err(NotTaken::Unavailable) => Err(EngineError::LimitsUnavailable.into()),
        Err(NotTaken::Exceeded { retry_after }) => {
            let report = limit.report();
            let message = format!(
                "`{name}` may send {} requests per second, reads included ({}); try again in {retry_after} s",
                report.quota, report.setting
            );
            let gate = AccessDeniedRecord::GATE;
            let details = json!({"gate": gate, "rule": report.setting, "limit": report});
            let error = ApiError::new(Code::RateLimited, message).with_details(&details);
            Err(error.over_limit(&report, retry_after))
        }
    }
}

/// Whether an endpoint is for operators, such as the kill switch.
fn is_for_operators(endpoint: &Endpoint) -> bool {
    matches!(endpoint.access, Access::Scope(Scope::Operate))
}

/// Counts a request within a request together with the outer one.
pub(crate) fn carry_count(outer: &HttpRequest, inner: &ServiceRequest) {
    let standing = outer.extensions().get::<Standing>().cloned();
    if let Some(standing) = standing {
        inner.extensions_mut().insert(standing);
    }
}

/// What the key of a request grants.
pub(crate) fn grant_of(request: &HttpRequest) -> Result<Arc<Grant>, ApiError> {
    let state =
        request.app_data::<web::Data<AppState>>().ok_or_else(|| ApiError::bare(Code::Internal))?;
    let granted = || {
        let key = presented(request.headers())?.ok_or_else(missing)?;
        state.keys.grant(key).ok_or_else(|| match state.keys.token_fault(key) {
            Some(fault) => refused(fault.to_string()),
            None => invalid(),
        })
    };
    granted().map_err(|error: ApiError| {
        let fault = (error.code == Code::InvalidApiKey).then_some("invalid_token");
        let challenge = challenge(Some(state.get_ref()), request, fault, None);
        error.with_header(header::WWW_AUTHENTICATE, challenge)
    })
}

/// Waits until the keys that the caller's token may need are there.
pub(crate) async fn prepare(request: &ServiceRequest) {
    let state = request.app_data::<web::Data<AppState>>();
    let Some(state) = state.filter(|state| state.keys.tokens().is_some()) else { return };
    if let Ok(Some(key)) = presented(request.headers()) {
        state.keys.prepare(key).await;
    }
}

/// The presented key. Several different keys are invalid: which one counts must not depend on the reader.
fn presented(headers: &HeaderMap) -> Result<Option<&[u8]>, ApiError> {
    let keys = headers.get_all(X_API_KEY).chain(headers.get_all(AZURE_KEY));
    let mut keys = keys.map(HeaderValue::as_bytes);
    let mut bearers = headers.get_all(header::AUTHORIZATION);
    match (keys.next(), keys.next(), bearers.next(), bearers.next()) {
        (None, _, None, _) => Ok(None),
        (Some(key), None, None, _) => Ok(Some(key).filter(|key| !key.is_empty())),
        (None, _, Some(bearer), None) => Ok(bearer_token(bearer.as_bytes())),
        // A client may send one key in both headers, but not two keys.
        (Some(key), None, Some(bearer), None) => match bearer_token(bearer.as_bytes()) {
            Some(other) if other != key => Err(invalid()),
            _ => Ok(Some(key)),
        },
        _ => Err(invalid()),
    }
}

/// The token of `Bearer TOKEN`, the scheme in any case; none for other schemes.
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    let token = rest.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

fn missing() -> ApiError {
    ApiError::new(
        Code::MissingApiKey,
        "send a key as `X-API-Key: KEY` or `Authorization: Bearer KEY`",
    )
}

fn invalid() -> ApiError {
    refused("unknown key; send exactly one configured key".to_owned())
}

fn refused(message: String) -> ApiError {
    ApiError::new(Code::InvalidApiKey, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(sent: &[(&str, &str)]) -> Result<Option<String>, Code> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name.parse().unwrap(), value.parse().unwrap());
        }
        let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
        presented(&headers).map(|key| key.map(text)).map_err(|error| error.code)
    }

    #[test]
    fn either_header_carries_the_key() {
        let k = Ok(Some("k".to_owned()));
        assert_eq!(outcome(&[("X-API-Key", "k")]), k);
        assert_eq!(outcome(&[("api-key", "k")]), k);
        for scheme in ["Bearer k", "bearer k", "BEARER   k "] {
            assert_eq!(outcome(&[("Authorization", scheme)]), k, "{scheme}");
        }
        assert_eq!(outcome(&[("X-API-Key", "k"), ("Authorization", "Bearer k")]), k);
    }

    #[test]
    fn absent_keys_are_missing_and_several_are_invalid() {
        for none in ["Basic azo=", "Bearer", "Bearer ", "k"] {
            assert_eq!(outcome(&[("Authorization", none)]), Ok(None), "{none}");
        }
        assert_eq!(outcome(&[]), Ok(None));
        assert_eq!(outcome(&[("X-API-Key", "")]), Ok(None));
        let several = [
            [("X-API-Key", "k"), ("X-API-Key", "k")],
            [("X-API-Key", "k"), ("api-key", "k")],
            [("Authorization", "Bearer k"), ("Authorization", "Bearer k")],
            [("X-API-Key", "k"), ("Authorization", "Bearer other")],
        ];
        for sent in several {
            assert_eq!(outcome(&sent), Err(Code::InvalidApiKey), "{sent:?}");
        }
    }
}
