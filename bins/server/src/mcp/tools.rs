//! The tools: the endpoints of the table that name one.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::schema::Schemas;
use crate::auth::grant::Grant;
use crate::endpoints::ENDPOINTS;
use crate::http::endpoint::{Effect, Endpoint};

/// A tool and its definition.
struct Tool {
    endpoint: &'static Endpoint,
    definition: Value,
}

/// The endpoint that a tool calls.
pub(super) fn endpoint(name: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().copied().find(|endpoint| endpoint.tool == Some(name))
}

/// The definitions of the tools that a key may call, in the order of the table.
pub(super) fn definitions(grant: &Grant) -> Vec<Value> {
    let offered = tools().iter().filter(|tool| grant.allows(tool.endpoint).is_ok());
    offered.map(|tool| tool.definition.clone()).collect()
}

/// Every tool. The definitions are made on first use: most runs never list them.
fn tools() -> &'static [Tool] {
    static TOOLS: OnceLock<Vec<Tool>> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let tool = |endpoint: &&'static Endpoint| {
            Some(Tool { endpoint, definition: definition(endpoint)? })
        };
        ENDPOINTS.iter().filter_map(tool).collect()
    })
}

fn definition(endpoint: &Endpoint) -> Option<Value> {
    let name = endpoint.tool?;
    let description = (endpoint.describe?)();
    let title = description.summary;
    let text = endpoint.gpt.map_or(description.details, |gpt| gpt.when);
    let Schemas { input, output } = Schemas::of(description).ok()?;
    let reads = endpoint.effect == Effect::Reads;
    let mut definition = json!({
        "name": name,
        "title": title,
        "description": format!("{title}. {text}"),
        "inputSchema": input,
        // An act adds a step to a record; no tool of the service destroys anything or leaves it.
        "annotations": {
            "readOnlyHint": reads, "destructiveHint": false, "idempotentHint": reads, "openWorldHint": false,
        },
    });
    if let Some(output) = output {
        definition["outputSchema"] = output;
    }
    Some(definition)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use life_agent_engine::domain::governance::principal::{Scope, Scopes};

    use super::*;

    fn names(scopes: &[Scope]) -> Vec<String> {
        let scopes: Scopes = scopes.iter().copied().collect();
        let definitions = definitions(&Grant::configured("ci", scopes, [0; 32]));
        definitions.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_tool_has_a_definition_and_a_name_of_its_own() {
        let named = ENDPOINTS.iter().filter(|endpoint| endpoint.tool.is_some()).count();
        let names = names(&Scope::ALL);
        assert_eq!(names.len(), named);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), named);
    }

    #[test]
    fn no_tool_decides_or_operates() {
        for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.tool.is_some()) {
            assert!(
                matches!(endpoint.effect, Effect::Reads | Effect::Acts),
                "{}",
                endpoint.operation
            );
        }
    }

    #[test]
    fn a_key_sees_the_tools_that_it_may_call() {
        assert_eq!(names(&[Scope::Read]), ["state", "recall", "approval_status"]);
        assert!(names(&[Scope::Act]).contains(&"act".to_owned()));
        assert!(names(&[Scope::Approve]).is_empty());
    }

    #[test]
    fn schemas_are_complete() {
        for tool in tools() {
            let text = tool.definition.to_string();
            assert!(!text.contains("#/components"), "{text}");
            let input = &tool.definition["inputSchema"];
            assert_eq!(
                (&input["type"], &input["additionalProperties"]),
                (&json!("object"), &json!(false)),
                "{text}"
            );
            assert_eq!(tool.definition["outputSchema"]["type"], "object", "{text}");
        }
    }
}
