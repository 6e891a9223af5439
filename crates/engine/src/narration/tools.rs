//! The tools of a narration: their definitions, and the parsing of calls.

use life_agent_domain::agent::memory::{RECALL, REMEMBER};
use life_agent_domain::governance::command::Act;
use life_agent_domain::governance::ids::{ActionName, AgentId};
use life_agent_domain::governance::payload::Payload;
use life_agent_groq::FunctionCall;
use life_agent_plans::edit::Edit;
use life_agent_plans::request::{MAX_CONTEXT, MAX_INTENT, MAX_PATH, MAX_TARGETS, PlanRequest};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::planning::NewPlan;

/// The tool that proposes a change to files.
pub(crate) const PLAN: &str = "plan";
/// The longest query of a recall, in characters.
const MAX_QUERY: usize = 1024;

/// A parsed tool call.
#[derive(Debug)]
pub(crate) enum ToolRequest {
    /// An act like a caller's, including `remember`.
    Act(Act),
    /// An act that searches the facts.
    Recall(Act, String),
    /// A plan like a caller's.
    Plan(Box<NewPlan>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActArguments {
    action: ActionName,
    #[serde(default)]
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RememberArguments {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecallArguments {
    query: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanArguments {
    intent: String,
    #[serde(default)]
    context: String,
    #[serde(default)]
    target_paths: Vec<String>,
    #[serde(default)]
    edits: Vec<Edit>,
}

/// The tools in the provider's format.
pub(crate) fn offered() -> Vec<Value> {
    let text = |about: &str| json!({"type": "string", "description": about});
    let edit = json!({
        "type": "object",
        "properties": {
            "op": {"type": "string", "enum": ["replace", "create", "search_replace", "delete"]},
            "path": text("a path relative to the workspace"),
            "content": text("the whole new text, for replace and create"),
            "search": text("a text that occurs exactly once, for search_replace"),
            "replace": text("what takes its place, for search_replace"),
        },
        "required": ["op", "path"],
    });
    let payload = json!({"type": "object", "description": "details, kept on the record"});
    vec![
        tool(
            "act",
            "Do one named action, with its effects on the vitals.",
            json!({"action": text("the action's name, as `rest`"), "payload": payload}),
            &["action"],
        ),
        tool(
            REMEMBER,
            "Keep one short fact in mind for later turns.",
            json!({"text": text("the fact, in one line")}),
            &["text"],
        ),
        tool(
            RECALL,
            "Look for facts kept in mind earlier.",
            json!({"query": text("words to look for")}),
            &["query"],
        ),
        tool(
            PLAN,
            "Propose a change to files. People review it; nothing is changed by it.",
            json!({
                "intent": text("what the change is for, in one line"),
                "context": text("what a reviewer should know"),
                "target_paths": {"type": "array", "items": text("a path relative to the workspace")},
                "edits": {"type": "array", "items": edit},
            }),
            &["intent", "target_paths"],
        ),
    ]
}

fn tool(name: &str, about: &str, properties: Value, required: &[&str]) -> Value {
    let parameters = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    let function = json!({"name": name, "description": about, "parameters": parameters});
    json!({"type": "function", "function": function})
}

/// The name of the called tool, or `unknown`.
pub(crate) fn shown_name(call: &FunctionCall) -> &'static str {
    let names = ["act", REMEMBER, RECALL, PLAN];
    names.into_iter().find(|name| *name == call.name).unwrap_or("unknown")
}

/// Parses a call as a command of this agent. The model receives the error.
pub(crate) fn read(agent: &AgentId, call: &FunctionCall) -> Result<ToolRequest, String> {
    match call.name.as_str() {
        "act" => {
            let ActArguments { action, payload } = arguments(call)?;
            if action.as_str() == RECALL {
                let query = payload.as_object().get("query").and_then(Value::as_str);
                return recall(agent, query.unwrap_or_default());
            }
            Ok(ToolRequest::Act(Act { agent: agent.clone(), action, payload }))
        }
        REMEMBER => {
            let RememberArguments { text } = arguments(call)?;
            says_something("text", &text)?;
            Ok(ToolRequest::Act(act(agent, REMEMBER, "text", &text)?))
        }
        RECALL => {
            let RecallArguments { query } = arguments(call)?;
            recall(agent, &query)
        }
        PLAN => plan(arguments(call)?),
        _ => {
            Err("there is no such tool; there are `act`, `remember`, `recall` and `plan`"
                .to_owned())
        }
    }
}

fn arguments<T: DeserializeOwned>(call: &FunctionCall) -> Result<T, String> {
    serde_json::from_str(&call.arguments)
        .map_err(|error| format!("the arguments are wrong: {error}"))
}

fn recall(agent: &AgentId, query: &str) -> Result<ToolRequest, String> {
    says_something("query", query)?;
    longest("query", query, MAX_QUERY)?;
    Ok(ToolRequest::Recall(act(agent, RECALL, "query", query)?, query.to_owned()))
}

fn act(agent: &AgentId, action: &str, field: &str, text: &str) -> Result<Act, String> {
    let fields = Map::from_iter([(field.to_owned(), Value::from(text))]);
    let payload = Payload::try_from(fields).map_err(|error| format!("`{field}` {error}"))?;
    let action = ActionName::new(action).map_err(|error| error.to_string())?;
    Ok(Act { agent: agent.clone(), action, payload })
}

fn plan(asked: PlanArguments) -> Result<ToolRequest, String> {
    let PlanArguments { intent, context, target_paths: targets, edits } = asked;
    says_something("intent", &intent)?;
    longest("intent", &intent, MAX_INTENT)?;
    if intent.contains('\0') {
        return Err("`intent` must not contain a NUL character".to_owned());
    }
    longest("context", &context, MAX_CONTEXT)?;
    if targets.is_empty() && edits.is_empty() {
        return Err("`target_paths` must name the files that the plan is about".to_owned());
    }
    if targets.len() > MAX_TARGETS {
        return Err(format!("`target_paths` must have at most {MAX_TARGETS} paths"));
    }
    for path in &targets {
        says_something("target_paths", path)?;
        longest("target_paths", path, MAX_PATH)?;
    }
    let request = PlanRequest { targets, edits, patch: None };
    Ok(ToolRequest::Plan(Box::new(NewPlan { intent, context, request, draft: false })))
}

fn says_something(field: &str, text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err(format!("`{field}` must say something")) } else { Ok(()) }
}

fn longest(field: &str, text: &str, max: usize) -> Result<(), String> {
    match text.chars().nth(max) {
        Some(_) => Err(format!("`{field}` must have at most {max} characters")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(name: &str, arguments: &str) -> Result<ToolRequest, String> {
        let call = FunctionCall { name: name.to_owned(), arguments: arguments.to_owned() };
        read(&AgentId::new("hero").unwrap(), &call)
    }

    #[test]
    fn what_is_offered_can_be_called() {
        let calls = [
            ("act", r#"{"action": "rest", "payload": {"where": "inn"}}"#),
            ("remember", r#"{"text": "the gate is shut"}"#),
            ("recall", r#"{"query": "gate"}"#),
            ("plan", r#"{"intent": "tidy up", "target_paths": ["plans/a.md"]}"#),
        ];
        for (tool, (name, arguments)) in offered().iter().zip(calls) {
            assert_eq!(tool["function"]["name"], name);
            assert!(reading(name, arguments).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_recall_by_its_action_is_one_too() {
        let read = reading("act", r#"{"action": "recall", "payload": {"query": "gate"}}"#).unwrap();
        assert!(matches!(read, ToolRequest::Recall(_, query) if query == "gate"));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (name, arguments, why) in [
            ("act", "{\"action\": ", "arguments are wrong"),
            ("act", r#"{"action": "two\nlines"}"#, "must be 1 to 64"),
            ("act", r#"{"action": "rest", "times": 3}"#, "unknown field `times`"),
            ("act", r#"{"action": "rest", "payload": [1]}"#, "arguments are wrong"),
            ("remember", r#"{"text": " "}"#, "must say something"),
            ("recall", r#"{}"#, "missing field `query`"),
            ("plan", r#"{"intent": "x"}"#, "`target_paths` must name"),
            (
                "plan",
                r#"{"intent": "x", "edits": [{"op": "run", "path": "a"}]}"#,
                "unknown variant",
            ),
            ("approve", "{}", "no such tool"),
        ] {
            let error = reading(name, arguments).unwrap_err();
            assert!(error.contains(why), "{name}: {error}");
        }
    }
}
