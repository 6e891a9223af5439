//! `X-Request-Id`: the caller's if it is one, else ours; on the answer, the log lines and the rows.

use std::rc::Rc;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, web};

use crate::app::AppState;

/// The header.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LENGTH: usize = 128;

/// The id of a request, in its extensions.
struct RequestId(Rc<str>);

/// The id of a request.
pub fn of(request: &HttpRequest) -> Rc<str> {
    request.extensions().get::<RequestId>().map_or_else(|| "".into(), |id| Rc::clone(&id.0))
}

/// An id that no other request has; later ones sort behind earlier ones.
pub fn fresh() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// Gives a request its id.
pub(super) fn give(request: &ServiceRequest) -> Rc<str> {
    let mut given = request.headers().get_all(X_REQUEST_ID);
    let id: Rc<str> = match (given.next().and_then(acceptable), given.next()) {
        (Some(id), None) if !holds_credential(request, &id) => id.into(),
        _ => fresh().into(),
    };
    request.extensions_mut().insert(RequestId(Rc::clone(&id)));
    id
}

/// Puts the id on an answer.
pub(super) fn put_on(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
}

/// The id goes into logs and rows as it is, so a key in the wrong header must not become one.
fn holds_credential(request: &ServiceRequest, id: &str) -> bool {
    request.app_data::<web::Data<AppState>>().is_none_or(|state| {
        state.keys.principal(id.as_bytes()).is_some() || state.engine.redact(id) != id
    })
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
    fn only_short_plain_ids_are_taken_over() {
        let taken = |text: &str| acceptable(&HeaderValue::from_str(text).unwrap()).is_some();
        for good in ["a", "A.b_c-9", &"x".repeat(128)] {
            assert!(taken(good), "{good}");
        }
        for bad in ["", "a b", "a/b", "a:b", &"x".repeat(129)] {
            assert!(!taken(bad), "{bad}");
        }
    }
}
