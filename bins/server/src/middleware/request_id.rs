//! `X-Request-Id`: the caller's if it is one, else ours; on the answer, the log lines and the rows.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use tracing::Instrument;

use crate::app::AppState;

/// The header.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LENGTH: usize = 128;

/// The id of a request, in its extensions.
#[derive(Debug, Clone)]
struct RequestId(String);

/// The id of a request.
pub fn of(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}

/// An id that no other request has; later ones sort behind earlier ones.
pub fn fresh() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// Gives a request its id, and the answer the same.
pub async fn request_id<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut given = request.headers().get_all(X_REQUEST_ID);
    let id = match (given.next().and_then(acceptable), given.next()) {
        (Some(id), None) if !holds_credential(&request, &id) => id,
        _ => fresh(),
    };
    request.extensions_mut().insert(RequestId(id.clone()));
    // At the level of errors, so that it is there whatever LOG_LEVEL is.
    let span = tracing::error_span!("request", request_id = %id);
    let mut response = next.call(request).instrument(span).await?;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    Ok(response)
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
