//! The headers that change how a call is carried out, on the operations that heed them.

use serde_json::json;
use utoipa::Modify;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{HeaderBuilder, OpenApi, Ref, Required, Response, ResponseBuilder};

/// The operations that act, each with a call that may be repeated.
pub(super) const ACTING: [&str; 8] = [
    "act",
    "turn",
    "plan",
    "review_plan",
    "llm_chat",
    "chat_completions",
    "set_kill_switch",
    "reload_policy",
];

/// A key as it is, or as a String of RFC 9651: in quotes, with escapes.
const KEY: &str = r#"^([!#-~][!-~]{0,127}|"([!#-\[\]-~]|\\["\\]){1,128}")$"#;

/// Describes `Idempotency-Key`, and `Prefer` on `POST /turn` with the answer that it leads to.
pub(super) struct Headers;

impl Modify for Headers {
    fn modify(&self, document: &mut OpenApi) {
        let operations = document.paths.paths.values_mut().filter_map(|item| item.post.as_mut());
        for operation in operations {
            let id = operation.operation_id.clone().unwrap_or_default();
            if ACTING.contains(&id.as_str()) {
                let meaning = "Names this call, so that it can be sent again: with the same key and \
                               body it acts once and is answered the same for 24 hours. Not with a \
                               streamed answer.";
                add(operation, "Idempotency-Key", meaning, Some(KEY));
            }
            if id == "turn" {
                let meaning = "`respond-async` queues the turn and answers 202 at once; other \
                               preferences are ignored.";
                add(operation, "Prefer", meaning, None);
                operation.responses.responses.insert("202".to_owned(), queued().into());
            }
        }
    }
}

fn add(operation: &mut Operation, name: &str, meaning: &str, pattern: Option<&str>) {
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(pattern).build();
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(meaning))
        .schema(Some(schema))
        .build();
    operation.parameters.get_or_insert_with(Vec::new).push(parameter.into());
}

fn queued() -> Response {
    let text = || ObjectBuilder::new().schema_type(Type::String).build();
    let location =
        HeaderBuilder::new().description(Some("Where the turn is.")).schema(Some(text()));
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("TurnLater")))
        .example(Some(json!({
            "status": "queued", "id": "019ab3c1-7a52-7cc0-a0a5-0c9d9c3c7c11", "agent_id": "hero",
            "created": "2026-11-23T00:05:10.000000Z"
        })))
        .build();
    ResponseBuilder::new()
        .description("The turn is queued, as `Prefer: respond-async` asked.")
        .header("Location", location.build())
        .content("application/json", content)
        .build()
}
