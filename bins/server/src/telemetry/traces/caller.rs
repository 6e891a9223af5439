//! `traceparent` and `tracestate` of callers. A header that is not valid is ignored, and a new trace begins.

use actix_web::http::header::{HeaderMap, HeaderName};
use life_agent_engine::{SpanId, TraceId, TraceState};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace of a caller.
#[derive(Debug, PartialEq)]
pub(super) struct CallerTrace {
    pub(super) id: TraceId,
    pub(super) parent: SpanId,
    pub(super) sampled: bool,
    pub(super) state: Option<TraceState>,
}

/// The trace that the headers of a request name.
pub(super) fn read(headers: &HeaderMap) -> Option<CallerTrace> {
    let mut values = headers.get_all(TRACEPARENT);
    let (parent, None) = (values.next()?, values.next()) else { return None };
    let (id, parent, sampled) = parse(parent.to_str().ok()?)?;
    let state: Option<Vec<_>> =
        headers.get_all(TRACESTATE).map(|value| value.to_str().ok()).collect();
    let state = state.and_then(|parts| TraceState::read(&parts.join(",")));
    Some(CallerTrace { id, parent, sampled, state })
}

/// Reads `00-TRACE-SPAN-FLAGS`. Later versions may add fields after these.
fn parse(text: &str) -> Option<(TraceId, SpanId, bool)> {
    let mut fields = text.split('-');
    let version = byte(fields.next()?)?;
    let (id, parent) = (TraceId::read(fields.next()?)?, SpanId::read(fields.next()?)?);
    let flags = byte(fields.next()?)?;
    let fits = match version {
        0 => fields.next().is_none(),
        0xff => false,
        _ => true,
    };
    fits.then_some((id, parent, flags & 1 == 1))
}

/// Two digits of lower-case hex.
fn byte(text: &str) -> Option<u8> {
    let is_hex = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == 2 && text.bytes().all(is_hex)).then(|| u8::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read_from(sent: &[(HeaderName, &str)]) -> Option<CallerTrace> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        read(&headers)
    }

    #[test]
    fn a_valid_header_names_a_trace() {
        let found = read_from(&[(TRACEPARENT, VALID), (TRACESTATE, "a=1"), (TRACESTATE, "b=2")]);
        let found = found.unwrap();
        assert_eq!(found.id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((found.parent.to_string().as_str(), found.sampled), ("00f067aa0ba902b7", true));
        assert_eq!(found.state.unwrap().as_str(), "a=1,b=2");
        for (text, sampled) in [
            (VALID.replace("-01", "-00"), false),
            (VALID.replace("-01", "-fe"), false),
            (VALID.replace("-01", "-03"), true),
            (VALID.replace("00-4", "01-4"), true),
            (VALID.replace("00-4", "cc-4") + "-what-comes", true),
        ] {
            assert_eq!(read_from(&[(TRACEPARENT, &text)]).unwrap().sampled, sampled, "{text}");
        }
        assert_eq!(read_from(&[(TRACEPARENT, VALID), (TRACESTATE, "A")]).unwrap().state, None);
    }

    #[test]
    fn a_malformed_header_names_none() {
        for text in [
            "",
            "x",
            &VALID.to_uppercase(),
            &VALID.replace("00-4", "ff-4"),
            &VALID.replace("00-4", "0-4"),
            &VALID.replace("-01", "-1"),
            &VALID.replace("-01", "-+1"),
            &VALID.replace("-01", ""),
            &(VALID.to_owned() + "-00"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read_from(&[(TRACEPARENT, text)]), None, "{text}");
        }
        assert_eq!(read_from(&[(TRACEPARENT, VALID), (TRACEPARENT, VALID)]), None);
        assert_eq!(read_from(&[(TRACESTATE, "a=1")]), None);
    }
}
