//! The `Origin` of a request: pages of foreign origins are refused, against DNS rebinding.

use actix_web::HttpRequest;
use actix_web::http::Uri;
use actix_web::http::header;

use crate::http::errors::{ApiError, Code};

/// Fails for a page whose origin is neither allowed by the settings nor on this machine.
pub(super) fn check(request: &HttpRequest, allowed: &[String]) -> Result<(), ApiError> {
    let mut origins = request.headers().get_all(header::ORIGIN);
    let is_fine = |origin: &header::HeaderValue| {
        origin
            .to_str()
            .is_ok_and(|origin| allowed.iter().any(|known| known == origin) || is_loopback(origin))
    };
    if origins.all(is_fine) {
        return Ok(());
    }
    let message = "pages of this origin may not call; add the origin to ALLOWED_ORIGINS";
    Err(ApiError::new(Code::OriginForbidden, message))
}

fn is_loopback(origin: &str) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    matches!(origin.scheme_str(), Some("http" | "https"))
        && matches!(origin.host(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn pages_of_foreign_origins_are_refused() {
        let allowed = ["https://app.example.org".to_owned()];
        let fine = |origins: &[&str]| {
            let request = origins.iter().fold(TestRequest::default(), |request, origin| {
                request.append_header((header::ORIGIN, *origin))
            });
            check(&request.to_http_request(), &allowed).is_ok()
        };
        for good in ["https://app.example.org", "http://localhost:3000", "http://[::1]"] {
            assert!(fine(&[good]), "{good}");
        }
        assert!(fine(&[]));
        for bad in [
            "null",
            "",
            "http://evil.example.com",
            "https://app.example.org.evil.com",
            "http://localhost.evil.com",
            "file://localhost",
        ] {
            assert!(!fine(&[bad]), "{bad}");
        }
        assert!(!fine(&["http://localhost", "http://evil.example.com"]));
    }
}
