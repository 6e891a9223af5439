//! The provider's limits, as its answers tell them in `x-ratelimit-*` and `retry-after`.

use std::time::Duration;

use http::HeaderMap;
use serde::Serialize;

/// The last limits that the provider told. Requests count per day and tokens per minute at Groq.
/// The format is described at <https://console.groq.com/docs/rate-limits>.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Limits {
    /// `x-ratelimit-limit-requests`
    pub limit_requests: Option<u64>,
    /// `x-ratelimit-remaining-requests`
    pub remaining_requests: Option<u64>,
    /// `x-ratelimit-reset-requests`, in seconds from the answer
    pub reset_requests_s: Option<f64>,
    /// `x-ratelimit-limit-tokens`
    pub limit_tokens: Option<u64>,
    /// `x-ratelimit-remaining-tokens`
    pub remaining_tokens: Option<u64>,
    /// `x-ratelimit-reset-tokens`, in seconds from the answer
    pub reset_tokens_s: Option<f64>,
}

impl Limits {
    /// The limits in an answer's head; `None` when it tells none.
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

/// `retry-after` in seconds. A date is not understood, for it would need the provider's clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    seconds(text.trim())
}

/// A duration as Go prints them: numbers with a unit one after the other, as in `2m59.56s`, `7.66s`
/// or `120ms`. A number without a unit is in seconds.
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
