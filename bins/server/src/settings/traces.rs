//! The settings of traces, under the names of OpenTelemetry's specification.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderName, HeaderValue};

use super::SettingError;
use super::validate::{Reader, items, nonempty, number, switch, url};
use crate::telemetry::traces::{Sampler, TraceSettings};

/// The path of traces below the collector's base URL.
const PATH: &str = "/v1/traces";
const PAIRS: &str = "`name=value` pairs, comma separated, values percent-encoded";
const SAMPLER: &str =
    "`always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_`";
const MILLISECONDS: &str = "milliseconds from 1 to 600000";

/// The settings of traces; none without a collector.
pub(super) fn traces(read: Reader<'_>) -> Result<Option<TraceSettings>, SettingError> {
    let url = "an address that begins with `https://` or `http://`";
    let endpoint = read.optional("OTEL_EXPORTER_OTLP_ENDPOINT", url, endpoint)?;
    let headers = read.optional("OTEL_EXPORTER_OTLP_HEADERS", PAIRS, headers)?;
    read.one(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "`http/protobuf`; the others are not available",
        |text| (text == "http/protobuf").then_some(()),
    )?;
    let ratio = read.optional("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1", ratio)?;
    let resource = read.optional("OTEL_RESOURCE_ATTRIBUTES", PAIRS, pairs)?.unwrap_or_default();
    let settings = TraceSettings {
        service: read.one("OTEL_SERVICE_NAME", "a name", nonempty)?,
        resource,
        timeout: read.one("OTEL_EXPORTER_OTLP_TIMEOUT", MILLISECONDS, milliseconds)?,
        delay: read.one("OTEL_BSP_SCHEDULE_DELAY", MILLISECONDS, milliseconds)?,
        queue: read.one("OTEL_BSP_MAX_QUEUE_SIZE", "a number from 1 to 1000000", |text| {
            number(text).filter(|spans| (1..=1_000_000).contains(spans))
        })?,
        sampler: read.one("OTEL_TRACES_SAMPLER", SAMPLER, sampler)?.with_ratio(ratio),
        headers: headers.unwrap_or_default(),
        endpoint: String::new(),
    };
    let disabled = read.one("OTEL_SDK_DISABLED", "`on` or `off`", switch)?;
    let endpoint = endpoint.filter(|_| !disabled);
    Ok(endpoint.map(|endpoint| TraceSettings { endpoint, ..settings }))
}

fn endpoint(text: &str) -> Option<String> {
    let base = url(text)?;
    Some(if base.ends_with(PATH) { base } else { base + PATH })
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    items(text)
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            nonempty(name).map(|name| (name, value.into_owned()))
        })
        .collect()
}

fn headers(text: &str) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let header = |(name, value): (String, String)| {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((name.parse().ok()?, value))
    };
    pairs(text)?.into_iter().map(header).collect()
}

fn milliseconds(text: &str) -> Option<Duration> {
    number(text).filter(|ms| (1..=600_000).contains(ms)).map(Duration::from_millis)
}

fn ratio(text: &str) -> Option<f64> {
    number(text).filter(|ratio| (0.0..=1.0).contains(ratio))
}

fn sampler(text: &str) -> Option<Sampler> {
    let (follows_caller, root) = match text.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, text),
    };
    match root {
        "always_on" => Some(Sampler { follows_caller, ratio: 1.0, has_ratio: false }),
        "always_off" => Some(Sampler { follows_caller, ratio: 0.0, has_ratio: false }),
        "traceidratio" => Some(Sampler { follows_caller, ratio: 1.0, has_ratio: true }),
        _ => None,
    }
}
