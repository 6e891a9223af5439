//! `X-Request-Id`: the caller's if it is acceptable, else a generated one; on the response, the log lines and the rows.

use std::sync::Arc;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, web};

use crate::http::extract::grant_of;
use crate::state::AppState;

/// The header.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LENGTH: usize = 128;
/// Keys on addresses that other machines reach have at least this many characters.
const SHORTEST_KEY: usize = 16;

/// The request ID as a request extension.
struct RequestId(Arc<str>);

/// The ID of a request.
pub fn of(request: &HttpRequest) -> Arc<str> {
    request.extensions().get::<RequestId>().map_or_else(|| "".into(), |id| Arc::clone(&id.0))
}

/// Gives a request that is part of another one the ID of that one.
pub fn carry(from: &HttpRequest, to: &ServiceRequest) {
    to.extensions_mut().insert(RequestId(of(from)));
}

/// A unique ID; later IDs sort after earlier ones.
pub fn fresh() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// Assigns an ID to a request.
pub(super) fn assign(request: &ServiceRequest) -> Arc<str> {
    let mut given = request.headers().get_all(X_REQUEST_ID);
    let id: Arc<str> = match (given.next().and_then(acceptable), given.next()) {
        (Some(id), None) if is_kept(request, &id) => id.into(),
        _ => fresh().into(),
    };
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    id
}

/// Inserts the header into a response.
pub(super) fn insert(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
}

/// Whether the ID may be logged and recorded verbatim: a key in the wrong header must not become one. IDs are compared
/// with keys only for a caller that has presented a key; anybody else could use the comparison to try keys, without a
/// single 401. Theirs must be shorter than keys are.
fn is_kept(request: &ServiceRequest, id: &str) -> bool {
    let Some(state) = request.app_data::<web::Data<AppState>>() else { return false };
    let is_key = match grant_of(request.request()) {
        Ok(_) => state.keys.grant(id.as_bytes()).is_some(),
        Err(_) => id.len() >= SHORTEST_KEY,
    };
    !is_key && state.engine.redact(id) == id
}

fn acceptable(value: &HeaderValue) -> Option<String> {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let text = value.to_str().ok()?;
    let good = (1..=MAX_LENGTH).contains(&text.len()) && text.as_bytes().iter().all(allowed);
    good.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_ids_are_accepted() {
        let accepted = |text: &str| acceptable(&HeaderValue::from_str(text).unwrap()).is_some();
        for good in ["a", "A.b_c-9", &"x".repeat(128)] {
            assert!(accepted(good), "{good}");
        }
        for bad in ["", "a b", "a/b", "a:b", &"x".repeat(129)] {
            assert!(!accepted(bad), "{bad}");
        }
    }
}
