//! One operation of the document, from its row in the endpoint table and its description.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::HttpMethod;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, OperationBuilder};
use utoipa::openapi::{Response, ResponseBuilder, ResponsesBuilder};

use crate::http::describe::{Description, reference};
use crate::http::endpoint::{Endpoint, Verb};
use crate::http::errors::{ApiError, Code, Envelope};

/// A plain key, or a String of RFC 9651: in quotes, with escapes.
const IDEMPOTENCY_KEY: &str = r#"^([!#-~][!-~]{0,127}|"([!#-\[\]-~]|\\["\\]){1,128}")$"#;

/// The method in the document; `HEAD` goes without saying.
pub(super) fn method(verb: Verb) -> HttpMethod {
    match verb {
        Verb::Get | Verb::Stream => HttpMethod::Get,
        Verb::Post => HttpMethod::Post,
        Verb::Delete => HttpMethod::Delete,
    }
}

/// The path in the document, which names a segment without the expression that routing matches it with.
pub(super) fn path(pattern: &str) -> String {
    let segments: Vec<String> = pattern
        .split('/')
        .map(|segment| match segment.split_once(':') {
            Some((name, _)) if name.starts_with('{') => format!("{name}}}"),
            _ => segment.to_owned(),
        })
        .collect();
    segments.join("/")
}

/// The operation of an endpoint.
pub(super) fn of(endpoint: &Endpoint, mut description: Description) -> Operation {
    if endpoint.idempotent {
        let meaning = "Names this call so that it can be repeated: calls with the same key and body act once and get \
                       the same response for 24 hours. Cannot be combined with a streamed response.";
        description = description.header("Idempotency-Key", meaning, Some(IDEMPOTENCY_KEY));
    }
    let codes = endpoint.codes(description.body.is_some());
    let details = Some(description.details).filter(|details| !details.is_empty());
    let responses = responses(description.responses, &codes);
    let mut scopes = vec![endpoint.access.as_str()];
    if endpoint.or_act {
        scopes.push("act");
    }
    // A single extension: several come in a random order, which would change the document with each run.
    let extensions: Extensions = [("x-required-scope", scopes)].into_iter().collect();
    let operation = OperationBuilder::new()
        .tag(description.tag.as_str())
        .operation_id(Some(endpoint.operation))
        .summary(Some(description.summary))
        .description(details)
        .request_body(description.body)
        .responses(responses)
        .extensions(Some(extensions));
    let operation = match description.parameters {
        parameters if parameters.is_empty() => operation,
        parameters => operation.parameters(Some(parameters)),
    };
    // An empty list overrides the document's requirement.
    if endpoint.is_public() { operation.securities(Some([])) } else { operation }.build()
}

fn responses(successes: Vec<(u16, Response)>, codes: &[Code]) -> ResponsesBuilder {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        let known = by_status.entry(code.status().as_u16()).or_default();
        if !known.contains(code) {
            known.push(*code);
        }
    }
    // A description may state what an error of one status looks like.
    by_status.retain(|status, _| successes.iter().all(|(described, _)| described != status));
    let errors = by_status.into_iter().map(|(status, codes)| (status, error(&codes)));
    let all = successes.into_iter().chain(errors);
    all.fold(ResponsesBuilder::new(), |responses, (status, response)| {
        responses.response(status.to_string(), response)
    })
}

fn error(codes: &[Code]) -> Response {
    let line = |code: &Code| format!("`{}`: {}", code.as_str(), code.meaning());
    let description = codes.iter().map(line).collect::<Vec<_>>().join("; ");
    let example = codes.first().map(|code| json!(ApiError::bare(*code).envelope("0199f0c1")));
    let content =
        ContentBuilder::new().schema(Some(reference::<Envelope<'_>>())).example(example).build();
    ResponseBuilder::new().description(description).content("application/json", content).build()
}
