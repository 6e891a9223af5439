//! The limits that a provider reports in the headers of its responses.

use std::time::Duration;

use http::HeaderMap;
use serde::Serialize;

/// The limits in the provider's last response. At Groq, requests count per day, tokens per minute.
/// The format is described at <https://console.groq.com/docs/rate-limits>.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Limits {
    /// `x-ratelimit-limit-requests`
    pub limit_requests: Option<u64>,
    /// `x-ratelimit-remaining-requests`
    pub remaining_requests: Option<u64>,
    /// `x-ratelimit-reset-requests`, in seconds from the response
    pub reset_requests_s: Option<f64>,
    /// `x-ratelimit-limit-tokens`
    pub limit_tokens: Option<u64>,
    /// `x-ratelimit-remaining-tokens`
    pub remaining_tokens: Option<u64>,
    /// `x-ratelimit-reset-tokens`, in seconds from the response
    pub reset_tokens_s: Option<f64>,
}

impl Limits {
    /// The limits in the headers of a response; `None` if it has none.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let count = |name: &str| text(name)?.trim().parse().ok();
        let seconds = |name: &str| Some(parse_duration(text(name)?)?.as_secs_f64());
        let limits = Self {
            limit_requests: count("x-ratelimit-limit-requests"),
            remaining_requests: count("x-ratelimit-remaining-requests"),
            reset_requests_s: seconds("x-ratelimit-reset-requests"),
            limit_tokens: count("x-ratelimit-limit-tokens"),
            remaining_tokens: count("x-ratelimit-remaining-tokens"),
            reset_tokens_s: seconds("x-ratelimit-reset-tokens"),
        };
        (limits != Self::default()).then_some(limits)
    }
}

/// The headers of a response that callers may see: limits, retry hints and the provider's own id.
pub(crate) fn forwarded(headers: &HeaderMap) -> Vec<(String, String)> {
    const PREFIXES: [&str; 5] =
        ["x-ratelimit-", "anthropic-ratelimit-", "retry-after", "openai-", "ratelimit"];
    let known = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let pairs = headers.iter().filter(|(name, _)| known(name.as_str()));
    let text = |value: &http::HeaderValue| {
        value.to_str().ok().filter(|text| text.len() <= 256).map(str::to_owned)
    };
    pairs
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
        .take(32)
        .collect()
}

/// How long the headers of a response ask to wait, in any of the forms that providers use:
/// `retry-after-ms`, `retry-after` as seconds or as a date, and for a limit that is used up its
/// `…-reset` as a duration, a date or a point in Unix time. `now` is the client's clock; the
/// response's own `date` wins, because a date is meant relative to the provider's clock.
pub(crate) fn retry_hint(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    let now = text("date").and_then(http_date).unwrap_or(now);
    let millis = ["retry-after-ms", "x-ms-retry-after-ms"];
    if let Some(millis) = millis.into_iter().find_map(|name| seconds(text(name)?)) {
        return Some(millis / 1000);
    }
    if let Some(after) = text("retry-after").or_else(|| text("x-retry-after")) {
        return seconds(after).or_else(|| until(http_date(after)?, now));
    }
    if let Some(wait) = ["x-ratelimit-reset-after", "ratelimit-reset"]
        .into_iter()
        .find_map(|name| reset(text(name)?, now))
        .or_else(|| ratelimit_field(text("ratelimit")?))
    {
        return Some(wait);
    }
    let mut waits = Vec::new();
    for (name, value) in headers {
        let name = name.as_str();
        let Some(of) = limit_name(name, "reset") else { continue };
        let Some(wait) = value.to_str().ok().and_then(|text| reset(text.trim(), now)) else {
            continue;
        };
        let remaining =
            headers.keys().find(|key| limit_name(key.as_str(), "remaining") == Some(of.clone()));
        let left = remaining.and_then(|key| seconds(text(key.as_str())?));
        if left.is_some_and(|left| left < Duration::from_secs(1)) {
            waits.push(wait);
        }
    }
    waits.into_iter().max()
}

/// The wait in a `ratelimit` field: `limit=10, remaining=0, reset=45`, or `"default";r=0;t=45` as in later drafts.
fn ratelimit_field(text: &str) -> Option<Duration> {
    let parameters = text.split([',', ';']).filter_map(|part| part.trim().split_once('='));
    let named = |wanted: &str| {
        parameters.clone().find(|(name, _)| *name == wanted).map(|(_, value)| value.trim())
    };
    named("reset").or_else(|| named("t")).and_then(seconds)
}

/// What a limit header is about: the name without `part`, as in `x-ratelimit--tokens`.
fn limit_name(name: &str, part: &str) -> Option<String> {
    let known = name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-");
    let mut parts: Vec<_> = name.split('-').collect();
    let at = parts.iter().position(|one| *one == part).filter(|_| known)?;
    parts.remove(at);
    Some(parts.join("-"))
}

/// A `…-reset` value: a duration, an RFC 3339 date, or Unix time in seconds or milliseconds.
fn reset(text: &str, now: jiff::Timestamp) -> Option<Duration> {
    if let Some(wait) = parse_duration(text) {
        let at = match wait.as_secs() {
            0..1_000_000_000 => return Some(wait),
            1_000_000_000..100_000_000_000 => jiff::Timestamp::from_second(wait.as_secs() as i64),
            millis => jiff::Timestamp::from_millisecond(i64::try_from(millis).ok()?),
        };
        return until(at.ok()?, now);
    }
    until(text.parse().ok()?, now)
}

/// The time from `now` to `then`; none if it is more than a day, which no client waits for.
fn until(then: jiff::Timestamp, now: jiff::Timestamp) -> Option<Duration> {
    let wait = Duration::try_from(then.duration_since(now)).unwrap_or_default();
    (wait <= Duration::from_secs(24 * 3600)).then_some(wait)
}

/// A date in one of the forms of RFC 9110.
fn http_date(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(date) = jiff::fmt::rfc2822::parse(text) {
        return Some(date.timestamp());
    }
    // The obsolete forms, whose time is GMT too.
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"].into_iter().find_map(|form| {
        let time = jiff::civil::DateTime::strptime(form, text).ok()?;
        Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })
}

/// Reads a duration as Go prints it: numbers with units in sequence, as in `2m59.56s`, `7.66s` or
/// `120ms`. A number without a unit is in seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if let Some(bare) = seconds(rest) {
        return Some(bare);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(number * scale).ok()?)?;
        rest = after;
    }
    (!text.trim().is_empty()).then_some(total)
}

/// Plain decimal seconds; no sign, exponent or name of a number, all of which `f64` would read.
fn seconds(text: &str) -> Option<Duration> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = plain.then(|| text.parse().ok())??;
    Duration::try_from_secs_f64(number).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_groq_writes_them() {
        for (text, millis) in [
            ("2m59.56s", 179_560),
            ("7.66s", 7_660),
            ("120ms", 120),
            ("1h2m3s", 3_723_000),
            ("0s", 0),
            ("1500us", 1),
            ("24", 24_000),
            ("0.5", 500),
        ] {
            let read = parse_duration(text).unwrap();
            assert_eq!(read.as_millis(), millis, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_not_guessed_at() {
        for text in
            ["", " ", "s", "-1s", "1e3", "inf", "NaN", "1.2.3s", "5 s", "5d", "9s7", "ms", "."]
        {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
        assert_eq!(parse_duration(&"9".repeat(400)), None);
    }

    fn hint(headers: &[(&'static str, &str)]) -> Option<u128> {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        let now = "2026-11-28T22:00:00Z".parse().unwrap();
        retry_hint(&headers.collect(), now).map(|wait| wait.as_millis())
    }

    #[test]
    fn every_form_of_a_retry_hint_is_read() {
        let none = "x-ratelimit-remaining-tokens";
        for (headers, millis) in [
            (vec![("retry-after", "7")], 7000),
            (vec![("retry-after", "0.5")], 500),
            (vec![("retry-after-ms", "1250"), ("retry-after", "2")], 1250),
            (vec![("retry-after", "Sat, 28 Nov 2026 22:00:40 GMT")], 40_000),
            (
                vec![
                    ("date", "Sat, 28 Nov 2026 21:00:00 GMT"),
                    ("retry-after", "Sat, 28 Nov 2026 21:00:04 GMT"),
                ],
                4000,
            ),
            (vec![("retry-after", "Sat, 28 Nov 2026 21:59:00 GMT")], 0),
            (vec![(none, "0"), ("x-ratelimit-reset-tokens", "6m0s")], 360_000),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795903230")], 30_000),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795903230000")], 30_000),
            (
                vec![
                    ("anthropic-ratelimit-requests-remaining", "0"),
                    ("anthropic-ratelimit-requests-reset", "2026-11-28T22:00:09Z"),
                ],
                9000,
            ),
            (vec![("retry-after", "Saturday, 28-Nov-26 22:00:40 GMT")], 40_000),
            (vec![("retry-after", "Sat Nov 28 22:00:40 2026")], 40_000),
            (vec![("x-retry-after", "7")], 7000),
            (vec![("x-ms-retry-after-ms", "1250")], 1250),
            (vec![("x-ratelimit-reset-after", "1.5")], 1500),
            (vec![("ratelimit-reset", "45")], 45_000),
            (vec![("ratelimit", "limit=10, remaining=0, reset=45")], 45_000),
            (vec![("ratelimit", "\"default\";r=0;t=45")], 45_000),
        ] {
            assert_eq!(hint(&headers), Some(millis), "{headers:?}");
        }
        for headers in [
            vec![],
            vec![("ratelimit", "\"default\";q=9")],
            vec![("retry-after", "soon")],
            vec![("retry-after", "Sat, 28 Nov 2099 22:00:40 GMT")],
            vec![(none, "12"), ("x-ratelimit-reset-tokens", "6m0s")],
        ] {
            assert_eq!(hint(&headers), None, "{headers:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_never_breaks(text in "[0-9hmsuµn. e+-]{0,24}|\\PC{0,24}") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn minutes_and_seconds_add_up(minutes in 0..100_000_u64, hundredths in 0..6_000_u64) {
            let text = format!("{minutes}m{}.{:02}s", hundredths / 100, hundredths % 100);
            let expected = Duration::from_millis(minutes * 60_000 + hundredths * 10);
            let read = parse_duration(&text).unwrap();
            prop_assert!(read.abs_diff(expected) < Duration::from_micros(1));
        }
    }
}
