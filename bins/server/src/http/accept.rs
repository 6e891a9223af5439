//! Content negotiation: `Accept: text/event-stream` and `Prefer: respond-async`.

use std::cmp::Reverse;

use actix_web::HttpRequest;
use actix_web::http::header::{ACCEPT, Accept, Header, HeaderMap, HeaderName, Quality};

/// The header of RFC 7240.
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The response header that repeats the preference that was applied.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The one preference that the service knows.
pub const RESPOND_ASYNC: &str = "respond-async";

/// Whether the caller prefers events to JSON: `Accept` names events, and JSON either not at all, with a lower
/// weight, or with the same weight after them.
pub fn wants_events(request: &HttpRequest) -> bool {
    if !request.headers().contains_key(ACCEPT) {
        return false;
    }
    let Ok(Accept(accepted)) = Accept::parse(request) else { return false };
    let weight = |name: &str| {
        let mut accepted = accepted.iter().enumerate();
        let found = accepted.find(|(_, range)| range.item.essence_str() == name);
        found.map(|(place, range)| (range.quality, Reverse(place)))
    };
    let events = weight("text/event-stream");
    let wanted = events.is_some_and(|(quality, _)| quality > Quality::ZERO);
    wanted && events > weight("application/json")
}

/// Whether `Prefer` asks for `respond-async` (RFC 7240, sections 2 and 4.1). Of several preferences with one
/// name the first counts, and this one has no value to differ in.
pub fn prefers_async(headers: &HeaderMap) -> bool {
    let sent = headers.get_all(PREFER).filter_map(|value| value.to_str().ok());
    sent.flat_map(|value| value.split(',')).any(|preference| {
        let name = preference.split([';', '=']).next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(RESPOND_ASYNC)
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn events_are_chosen_by_weight_and_then_by_order() {
        for (accept, expected) in [
            ("text/event-stream", true),
            ("text/event-stream, */*", true),
            ("Text/Event-Stream;q=0.5", true),
            ("text/event-stream, application/json", true),
            ("application/json;q=0.9, text/event-stream", true),
            ("application/json, text/event-stream", false),
            ("application/json, text/event-stream;q=0.9", false),
            ("text/event-stream;q=0", false),
            ("text/*", false),
            ("*/*", false),
            ("not a type", false),
            ("", false),
        ] {
            let request = TestRequest::default().insert_header((ACCEPT, accept)).to_http_request();
            assert_eq!(wants_events(&request), expected, "{accept}");
        }
        assert!(!wants_events(&TestRequest::default().to_http_request()));
    }

    #[test]
    fn a_preference_is_found_among_others() {
        let prefers = |sent: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(PREFER, HeaderValue::from_static(value));
            }
            prefers_async(&headers)
        };
        for yes in [
            &["respond-async"][..],
            &["Respond-Async"],
            &["wait=10, respond-async"],
            &["respond-async; x=1"],
            &["return=minimal", "respond-async"],
            &["respond-async=\"\""],
        ] {
            assert!(prefers(yes), "{yes:?}");
        }
        for no in [&[][..], &["return=minimal"], &["respond-asynchronously"], &["x=respond-async"]]
        {
            assert!(!prefers(no), "{no:?}");
        }
    }
}
