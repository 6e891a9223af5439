//! What goes over the wire: OpenAI's chat completions as Groq and its like speak them.
//!
//! The types are ours because async-openai's refuse what Groq sends (`service_tier: "on_demand"`).
//! They name the fields that the service works with; all others pass through untouched. The fields
//! are described at <https://console.groq.com/docs/api-reference#chat-create>.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ChatError;

/// A request for one answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// Fields that this type does not name; one that it does name wins over its namesake here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// The model's name, as in `openai/gpt-oss-120b`.
    pub model: String,
    /// The conversation, oldest first.
    pub messages: Vec<ChatMessage>,
    /// 0 to 2; 0 is as repeatable as the provider can make it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Longest answer, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u32>,
    /// See [`crate::seed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Tools that the model may call, each `{type: "function", function: {name, parameters, ...}}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// `"auto"`, `"none"`, `"required"` or one tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<Value>,
    /// `{type: "json_object"}` or `{type: "json_schema", json_schema: {...}}`; the latter goes
    /// neither with tools nor with streaming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Value>,
}

impl ChatRequest {
    /// The JSON that is sent, for a whole answer or for a stream that ends with its usage.
    pub fn to_body(&self, stream: bool) -> Result<Value, ChatError> {
        let unusable = |_| ChatError::refused("the request cannot be written as JSON");
        let mut body = serde_json::to_value(self).map_err(unusable)?;
        if stream && let Value::Object(fields) = &mut body {
            fields.insert("stream".to_owned(), Value::Bool(true));
            fields
                .entry("stream_options")
                .or_insert_with(|| serde_json::json!({"include_usage": true}));
        }
        Ok(body)
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Fields that this type does not name, such as `name`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// A text or a list of parts; none in an answer that only calls tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Value>,
    /// The tools that the assistant calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<ToolCall>>,
    /// Of a `tool` message: the call that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl ChatMessage {
    /// A message with a text.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        let content = Some(Value::String(content.into()));
        Self { role: role.into(), content, ..Self::default() }
    }

    /// The result of a tool call.
    pub fn tool(call_id: impl Into<String>, content: impl Into<String>) -> Self {
        Self { tool_call_id: Some(call_id.into()), ..Self::new("tool", content) }
    }

    /// The assistant's message that calls tools, to go before their results.
    pub fn calls(tool_calls: Vec<ToolCall>) -> Self {
        Self { role: "assistant".to_owned(), tool_calls: Some(tool_calls), ..Self::default() }
    }
}

/// A call of a tool, as the model wrote it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Fields that this type does not name.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// The provider's name for the call; results refer to it.
    #[serde(default)]
    pub id: String,
    /// `function`
    #[serde(rename = "type", default = "function")]
    pub kind: String,
    /// What is called.
    pub function: FunctionCall,
}

impl ToolCall {
    fn read(call: &Value) -> Option<Self> {
        let function = call.get("function")?;
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = text(function.get("name"));
        let arguments = function.get("arguments").map(arguments_of).unwrap_or_default();
        Some(Self {
            id: text(call.get("id")),
            function: FunctionCall { name, arguments },
            kind: "function".to_owned(),
            ..Self::default()
        })
    }
}

/// The function of a [`ToolCall`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its arguments: meant to be JSON, and not checked.
    #[serde(default)]
    pub arguments: String,
}

fn function() -> String {
    "function".to_owned()
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Their sum, as the provider counts it.
    pub total_tokens: u64,
}

impl From<Usage> for life_agent_domain::governance::event::TokenUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total_tokens,
        }
    }
}

impl Usage {
    /// The usage in a response or in an event of a stream, in the names of OpenAI's chat completions
    /// (at Groq inside `x_groq`), of its Responses API or of Anthropic's Messages API.
    pub fn of(value: &Value) -> Option<Self> {
        let places = ["/usage", "/x_groq/usage", "/response/usage", "/message/usage"];
        let usage =
            places.iter().filter_map(|place| value.pointer(place)).find(|u| u.is_object())?;
        let count = |names: [&str; 2]| {
            names.iter().find_map(|name| usage.get(*name)?.as_u64()).unwrap_or(0)
        };
        let prompt_tokens = count(["prompt_tokens", "input_tokens"]);
        let completion_tokens = count(["completion_tokens", "output_tokens"]);
        let sum = prompt_tokens.saturating_add(completion_tokens);
        let total_tokens = usage.get("total_tokens").and_then(Value::as_u64).unwrap_or(sum);
        Some(Self { prompt_tokens, completion_tokens, total_tokens })
    }

    /// The usage of one stream of which two events report parts; later events count from the start.
    pub(crate) fn merged(self, other: Self) -> Self {
        let prompt_tokens = self.prompt_tokens.max(other.prompt_tokens);
        let completion_tokens = self.completion_tokens.max(other.completion_tokens);
        let sum = prompt_tokens.saturating_add(completion_tokens);
        let total_tokens = self.total_tokens.max(other.total_tokens).max(sum);
        Self { prompt_tokens, completion_tokens, total_tokens }
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatReply {
    /// The model that answered.
    pub model: String,
    /// What it says; empty if it only calls tools.
    pub content: String,
    /// The tools it calls.
    pub tool_calls: Vec<ToolCall>,
    /// Why it stopped: `stop`, `length`, `tool_calls` ...
    pub finish_reason: Option<String>,
    /// Its cost, if the provider states it.
    pub usage: Option<Usage>,
    /// The answer as it came, unknown fields included.
    pub raw: Value,
}

impl ChatReply {
    /// Reads an answer; one without a choice that has a message is none. Small deviations are read
    /// as they are meant: a missing role, `null` or an object as arguments, a `null` id.
    pub fn from_raw(raw: Value) -> Result<Self, ChatError> {
        let message = raw.pointer("/choices/0/message").filter(|message| message.is_object());
        let message = message.ok_or_else(|| {
            ChatError::failed(200, "the model provider sent JSON that is no chat answer")
        })?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
        Ok(Self {
            model: text(raw.get("model")).unwrap_or_default(),
            content: message.get("content").map(text_of).unwrap_or_default(),
            tool_calls: calls.filter_map(ToolCall::read).collect(),
            finish_reason: text(raw.pointer("/choices/0/finish_reason")),
            usage: Usage::of(&raw),
            raw,
        })
    }
}

/// A content as text: a string, or the texts of its parts.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

/// Arguments of a tool call as text; some providers send the object itself.
pub(crate) fn arguments_of(arguments: &Value) -> String {
    match arguments {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Refuses what providers are known to refuse, in clearer words than theirs.
pub(crate) fn check_body(body: &Value, stream: bool) -> Result<(), ChatError> {
    if !body.is_object() {
        return Err(ChatError::refused("a chat request must be a JSON object"));
    }
    let schema = body.pointer("/response_format/type").is_some_and(|kind| kind == "json_schema");
    let tools = body.get("tools").and_then(Value::as_array).is_some_and(|tools| !tools.is_empty());
    if schema && (stream || tools) {
        return Err(ChatError::refused(
            "`response_format` of type `json_schema` goes neither with `stream` nor with `tools`; \
             leave one out",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_of_a_request_survive_and_known_ones_win() {
        let sent = json!({
            "model": "m", "messages": [{"role": "user", "content": "hi", "name": "bo"}],
            "reasoning_effort": "low", "seed": 7, "top_p": 0.5,
        });
        let mut request: ChatRequest = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!(request.to_body(false).unwrap(), sent);
        request.extra.insert("model".to_owned(), json!("other"));
        assert_eq!(request.to_body(false).unwrap()["model"], "m");
    }

    #[test]
    fn a_streamed_request_asks_for_its_usage() {
        let body = ChatRequest::default().to_body(true).unwrap();
        assert_eq!(body["stream"], true);
        assert_eq!(body["stream_options"]["include_usage"], true);
    }

    #[test]
    fn a_reply_keeps_broken_tool_arguments_as_they_came() {
        let raw = json!({
            "model": "m", "service_tier": "on_demand",
            "choices": [{"finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": null,
                "tool_calls": [{"id": "c1", "type": "function",
                    "function": {"name": "act", "arguments": "{\"action\": "}}],
            }}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "queue_time": 0.1},
        });
        let reply = ChatReply::from_raw(raw.clone()).unwrap();
        assert_eq!(reply.tool_calls[0].function.arguments, "{\"action\": ");
        assert_eq!(reply.content, "");
        let usage = Usage { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
        assert_eq!(reply.usage, Some(usage));
        assert_eq!(reply.raw, raw);
    }

    #[test]
    fn json_without_a_message_is_no_answer() {
        for raw in [json!({}), json!({"choices": []}), json!({"choices": [{"message": 3}]})] {
            assert!(ChatReply::from_raw(raw).is_err());
        }
    }

    #[test]
    fn a_schema_goes_neither_with_streaming_nor_with_tools() {
        let schema = json!({"response_format": {"type": "json_schema"}});
        assert!(check_body(&schema, false).is_ok());
        assert!(check_body(&schema, true).is_err());
        let tools = json!({"response_format": {"type": "json_schema"}, "tools": [{}]});
        assert!(check_body(&tools, false).is_err());
        assert!(check_body(&json!([]), false).is_err());
    }
}
