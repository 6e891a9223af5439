//! The OpenAPI 3.1 document, from the handlers' own descriptions and the one table of errors.

pub mod actions;
mod headers;
mod rendered;

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Ref, RefOr, Response, ResponseBuilder, Schema, ServerBuilder};
use utoipa::{Modify, OpenApi};

use self::headers::Headers;
pub use self::rendered::Rendered;
use crate::errors::{ApiError, Code};
use crate::routes::{
    act, backtest, check, completions, docs, events, health, journal, kill_switch, llm, memory,
    meta, metrics, plan, plans, policy, schemas, state, turn, turns,
};

/// What every operation with a body may answer.
const BODY: [Code; 5] = [
    Code::MalformedJson,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::ValidationError,
];
/// What the gates and the journal may say to whatever acts.
const GATED: [Code; 8] = [
    Code::PromptRisky,
    Code::PathForbidden,
    Code::OpaDeny,
    Code::RuleDeny,
    Code::RateLimited,
    Code::KillSwitch,
    Code::JournalUnavailable,
    Code::Overloaded,
];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "life-agent",
        description = "Serves agents over HTTP: each step passes policy gates, is on the record before it is answered, and is streamed.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        plan::plan, plans::plans, plans::plan_view, plans::plan_patch, plans::review_plan,
        act::act, turn::turn, turns::queued_turn, turns::cancel_turn, check::check, state::state, memory::memory,
        events::events, journal::journal, journal::head,
        policy::policy, policy::validate, policy::reload, backtest::backtest,
        llm::chat, llm::status, completions::completions,
        meta::meta, kill_switch::kill_switch, kill_switch::set_kill_switch,
        health::healthz, health::readyz, metrics::metrics, docs::openapi_json,
        docs::openapi_actions_json,
    ),
    components(schemas(schemas::Error)),
    security(("api_key" = []), ("bearer" = [])),
    tags(
        (name = "agents", description = "Acts, turns and what agents have become."),
        (name = "plans", description = "Changes to the workspace, as patches for people to judge."),
        (name = "record", description = "The journal, as a stream and in pages."),
        (name = "policy", description = "What agents may do."),
        (name = "model", description = "The language model, gated."),
        (name = "service", description = "Health, metrics, the kill switch."),
    ),
    modifiers(&Security, &OptionalBodies, &Headers, &Errors, &Strictness),
)]
struct Documented;

/// The document, with the address under which clients reach the service, if that is known.
pub fn document(server_url: Option<&str>) -> utoipa::openapi::OpenApi {
    let mut document = Documented::openapi();
    let url = server_url.unwrap_or("/");
    document.servers = Some(vec![ServerBuilder::new().url(url).build()]);
    document
}

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key")));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("api_key", key);
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// Says of a body that may be left out just that; `null`, which utoipa would allow, is not taken.
struct OptionalBodies;

impl Modify for OptionalBodies {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let items = document.paths.paths.values_mut();
        let bodies = items.flat_map(|item| &mut item.post).flat_map(|post| &mut post.request_body);
        for body in bodies {
            let RefOr::T(body) = body else { continue };
            body.content.values_mut().for_each(without_null);
        }
    }
}

fn without_null(media: &mut RefOr<Content>) {
    let RefOr::T(media) = media else { return };
    if let Some(RefOr::T(Schema::OneOf(choice))) = &media.schema
        && let Some(reference) = choice.items.iter().find(|item| matches!(item, RefOr::Ref(_)))
    {
        media.schema = Some(reference.clone());
    }
}

/// Puts the error answers on every operation, by what the operation is.
struct Errors;

impl Modify for Errors {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for item in document.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten()
            {
                let codes = codes_of(operation);
                add_errors(operation, &codes);
            }
        }
    }
}

/// Says of every request body that it takes no other keys than those listed.
struct Strictness;

impl Modify for Strictness {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let schemas = document.components.iter_mut().flat_map(|components| &mut components.schemas);
        for (name, schema) in schemas {
            if let RefOr::T(Schema::Object(object)) = schema
                && (name.ends_with("Body") || name == "ChatMessage")
            {
                object.additional_properties =
                    Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
}

fn codes_of(operation: &Operation) -> Vec<Code> {
    let open = operation.security.as_ref().is_some_and(|needed| needed.is_empty());
    let mut codes = Vec::new();
    if !open {
        codes.extend([Code::MissingApiKey, Code::InvalidApiKey]);
    }
    if operation.request_body.is_some() {
        codes.extend(BODY);
    }
    let id = operation.operation_id.as_deref().unwrap_or_default();
    if headers::ACTING.contains(&id) {
        codes.extend([Code::IdempotencyMismatch, Code::Conflict]);
    }
    match id {
        "turn" => {
            codes.extend(GATED);
            codes.extend([Code::LlmFailed, Code::Timeout]);
        }
        "act" => codes.extend(GATED),
        "llm_chat" | "chat_completions" => {
            codes.extend(GATED);
            codes.extend([Code::LlmUnconfigured, Code::LlmFailed, Code::Timeout]);
        }
        "plan" => {
            codes.extend(GATED);
            codes.push(Code::PlanInvalid);
        }
        "queued_turn" => codes.extend([Code::NotFound, Code::JournalUnavailable]),
        "cancel_turn" => {
            codes.extend([Code::NotFound, Code::Conflict, Code::JournalUnavailable]);
        }
        "plan_view" | "review_plan" => {
            codes.extend([Code::NotFound, Code::Conflict, Code::JournalUnavailable]);
        }
        "plan_patch" => {
            codes.extend([Code::ValidationError, Code::NotFound, Code::Conflict]);
            codes.push(Code::JournalUnavailable);
        }
        "state" | "memory" | "journal" | "events" | "plans" => {
            codes.extend([Code::ValidationError, Code::JournalUnavailable]);
        }
        "check" => codes.push(Code::JournalUnavailable),
        "validate_policy" => {
            codes.extend([Code::PathForbidden, Code::NotFound, Code::PolicyInvalid])
        }
        "reload_policy" => codes.extend([
            Code::PathForbidden,
            Code::NotFound,
            Code::PolicyInvalid,
            Code::JournalUnavailable,
        ]),
        "backtest_policy" => codes.extend([
            Code::PathForbidden,
            Code::NotFound,
            Code::PolicyInvalid,
            Code::JournalUnavailable,
            Code::Overloaded,
        ]),
        "set_kill_switch" => codes.extend([Code::Conflict, Code::JournalUnavailable]),
        "readyz" => codes.push(Code::JournalUnavailable),
        _ => {}
    }
    codes
}

fn add_errors(operation: &mut Operation, codes: &[Code]) {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        let known = by_status.entry(code.status().as_u16()).or_default();
        if !known.contains(code) {
            known.push(*code);
        }
    }
    for (status, codes) in by_status {
        let answer = answer(&codes);
        operation.responses.responses.entry(status.to_string()).or_insert_with(|| answer.into());
    }
}

fn answer(codes: &[Code]) -> Response {
    let line = |code: &Code| format!("`{}`: {}", code.as_str(), code.meaning());
    let description = codes.iter().map(line).collect::<Vec<_>>().join("; ");
    let example = codes.first().map(|code| json!(ApiError::bare(*code).envelope("0199f0c1")));
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).example(example).build();
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn operations() -> Vec<(String, Value)> {
        let document = serde_json::to_value(document(None)).unwrap();
        let paths = document["paths"].as_object().unwrap().clone();
        let of_path = |(path, item): (String, Value)| {
            let methods = item.as_object().unwrap().clone();
            methods
                .into_iter()
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        };
        paths.into_iter().flat_map(of_path).collect()
    }

    #[test]
    fn it_is_a_complete_3_1_document() {
        let document = serde_json::to_value(document(Some("https://example.org"))).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["servers"][0]["url"], "https://example.org");
        assert_eq!(document["info"]["license"]["identifier"], "Apache-2.0");
        let schemes = &document["components"]["securitySchemes"];
        assert_eq!(schemes["api_key"]["name"], "X-API-Key");
        assert_eq!(schemes["bearer"]["scheme"], "bearer");
    }

    #[test]
    fn each_operation_has_an_id_a_summary_an_example_and_its_errors() {
        let operations = operations();
        let ids: BTreeSet<_> =
            operations.iter().map(|(_, o)| o["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), operations.len());
        for (name, operation) in &operations {
            assert!(operation["summary"].is_string(), "{name} has no summary");
            assert!(operation.to_string().contains("\"example\""), "{name} has no example");
            let open = operation["security"] == json!([]);
            assert_eq!(operation["responses"]["401"].is_object(), !open, "{name}");
            if operation["requestBody"].is_object() {
                for status in ["400", "408", "413", "415", "422"] {
                    assert!(operation["responses"][status].is_object(), "{name} lacks {status}");
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(document(None)).unwrap();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "`{name}` is not described");
        }
    }
}
