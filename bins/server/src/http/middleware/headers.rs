//! The headers that every response carries.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// For responses that no browser should render as a page.
pub const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";

/// For pages made of the service's own files: no inline script or style, no other origin. Images may be `data:`
/// because Swagger UI's style sheet embeds its icons.
pub const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                        connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// On every response.
pub const ALWAYS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Inserts the headers. A page that sets its own Content-Security-Policy keeps it.
pub(super) fn insert(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(NO_PAGE));
    }
}
