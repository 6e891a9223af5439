//! Complete responses of one API as responses of the other.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::json::{Object, Result, Untranslatable, as_object, quoted};
use crate::raw_json::repair_surrogates;
use crate::wire::{ChatReply, Usage};

/// How thoughts are marked that came without a signature: with the field that they came in.
const UNSIGNED: &str = "life-agent:";
/// The fields in which servers put what a model thought.
pub(super) const REASONING: [&str; 2] = ["reasoning", "reasoning_content"];
/// How details name the format of signatures, as routers do.
pub(super) const SIGNED_FORMAT: &str = "anthropic-claude-v1";

/// The signature of thoughts that came in a field.
pub(super) fn unsigned(field: &str) -> String {
    format!("{UNSIGNED}{field}")
}

/// The field that thoughts came in, if their signature is [`unsigned`].
pub(super) fn reasoning_field(signature: &str) -> Option<&'static str> {
    let field = signature.strip_prefix(UNSIGNED)?;
    REASONING.into_iter().find(|known| *known == field)
}

/// Why a chat completion ended, from why a message did.
pub(super) fn finish_reason(stop: &str) -> &'static str {
    match stop {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    }
}

/// Why a message ended, from why a chat completion did. Some servers say `stop` after tool calls too.
pub(super) fn stop_reason(finish: Option<&str>, calls: bool, refused: bool) -> &'static str {
    match finish {
        Some("length") => "max_tokens",
        Some("content_filter") => "refusal",
        _ if refused => "refusal",
        _ if calls => "tool_use",
        _ => "end_turn",
    }
}

/// The usage of a chat completion, from that of a message, which counts cached input separately.
pub(super) fn usage_of_message(usage: &Value) -> (Usage, Value) {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (cached, written) =
        (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
    let prompt = count("input_tokens").saturating_add(cached).saturating_add(written);
    let completion = count("output_tokens");
    let total = prompt.saturating_add(completion);
    let sum = Usage { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total };
    let shown = json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached}});
    (sum, shown)
}

/// The usage of a message, from that of a chat completion.
pub(super) fn usage_of_chat(usage: &Value) -> Value {
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let cached = count("/prompt_tokens_details/cached_tokens");
    json!({"input_tokens": count("/prompt_tokens").saturating_sub(cached),
        "output_tokens": count("/completion_tokens"),
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": cached})
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(default)]
    id: String,
    #[serde(default)]
    model: String,
    #[serde(borrow)]
    content: Vec<&'a RawValue>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    thinking: String,
    #[serde(default)]
    signature: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

/// A message as a chat completion.
pub(super) fn to_chat(body: &str, created: i64) -> Result<String> {
    let body = repair_surrogates(body);
    let reply: Reply<'_> = serde_json::from_str(&body)
        .map_err(|_| Untranslatable::new("content", "is missing: the response is no message"))?;
    let (mut text, mut reasoning) = (None::<String>, None::<String>);
    let (mut details, mut calls) = (Vec::new(), Vec::new());
    for (n, raw) in reply.content.iter().enumerate() {
        let place = format!("content.{n}");
        let block: Block<'_> = serde_json::from_str(raw.get())
            .map_err(|_| Untranslatable::new(place.as_str(), "is no content block"))?;
        let index = details.len();
        match block.kind.as_str() {
            "text" => text.get_or_insert_default().push_str(&block.text),
            "thinking" => {
                reasoning.get_or_insert_default().push_str(&block.thinking);
                details.push(json!({"type": "reasoning.text", "text": block.thinking,
                    "signature": block.signature, "format": SIGNED_FORMAT, "index": index}));
            }
            "redacted_thinking" => details
                .push(json!({"type": "reasoning.encrypted", "data": block.data,
                "format": SIGNED_FORMAT, "index": index})),
            "tool_use" => {
                let arguments = block.input.map_or("{}", RawValue::get);
                let function = Object::new().text("name", &block.name).text("arguments", arguments);
                let call = Object::new().text("id", &block.id).text("type", "function");
                calls.push(call.raw("function", &function.done()).done());
            }
            kind => return Err(no_block(&place, kind)),
        }
    }
    let content = text.map_or("null".to_owned(), |text| quoted(&text));
    let mut message = Object::new().text("role", "assistant").raw("content", &content);
    message = message.raw("refusal", "null");
    if let Some(reasoning) = reasoning {
        message = message.text("reasoning", &reasoning);
    }
    if !details.is_empty() {
        message = message.raw("reasoning_details", &Value::from(details).to_string());
    }
    if !calls.is_empty() {
        message = message.list("tool_calls", &calls);
    }
    let finish = finish_reason(reply.stop_reason.as_deref().unwrap_or_default());
    let choice = Object::new().raw("index", "0").raw("message", &message.done());
    let choice = choice.raw("logprobs", "null").text("finish_reason", finish).done();
    let (_, usage) = usage_of_message(&reply.usage);
    let out = Object::new().text("id", &reply.id).text("object", "chat.completion");
    let out = out.raw("created", &created.to_string()).text("model", &reply.model);
    Ok(out.list("choices", &[choice]).raw("usage", &usage.to_string()).done())
}

pub(super) fn no_block(place: &str, kind: &str) -> Untranslatable {
    let what = quoted(kind);
    let reason = format!("content of type {what} has no counterpart in chat completions");
    Untranslatable::new(format!("{place}.type"), reason)
}

/// A chat completion as a message.
pub(super) fn to_messages(body: &str) -> Result<String> {
    let body = repair_surrogates(body);
    let none = || Untranslatable::new("choices", "is missing: the response is no chat completion");
    let value: Value = serde_json::from_str(&body).map_err(|_| none())?;
    let usage = usage_of_chat(value.get("usage").unwrap_or(&Value::Null));
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let mut content = Vec::new();
    let thought = REASONING.into_iter().find_map(|field| {
        let thought = text(&format!("/choices/0/message/{field}"))?;
        (!thought.is_empty()).then_some((field, thought))
    });
    if let Some((field, thought)) = thought {
        let block = Object::of_type("thinking").text("thinking", thought);
        content.push(block.text("signature", &unsigned(field)).done());
    }
    let refusal = text("/choices/0/message/refusal").filter(|refusal| !refusal.is_empty());
    let refusal = refusal.map(str::to_owned);
    let reply = ChatReply::from_raw(value.clone()).map_err(|_| none())?;
    let said = [reply.content.as_str(), refusal.as_deref().unwrap_or_default()];
    let again = said[0] == said[1];
    for text in said.into_iter().take(if again { 1 } else { 2 }).filter(|text| !text.is_empty()) {
        content.push(Object::of_type("text").text("text", text).done());
    }
    for field in ["images", "audio", "function_call"] {
        let given = value.pointer(&format!("/choices/0/message/{field}"));
        if given.is_some_and(|given| !matches!(given, Value::Null) && *given != json!([])) {
            let place = format!("choices.0.message.{field}");
            return Err(Untranslatable::new(place, "has no counterpart in the Messages API"));
        }
    }
    for (n, call) in reply.tool_calls.iter().enumerate() {
        let arguments = call.function.arguments.trim();
        let input = if arguments.is_empty() { Some("{}") } else { as_object(arguments) };
        let place = format!("choices.0.message.tool_calls.{n}.function.arguments");
        let input = input.ok_or_else(|| Untranslatable::new(place, "is no JSON object"))?;
        let id = if call.id.is_empty() { format!("call_{n}") } else { call.id.clone() };
        let block = Object::of_type("tool_use").text("id", &id).text("name", &call.function.name);
        content.push(block.raw("input", input).done());
    }
    let finish = reply.finish_reason.as_deref();
    let stop = stop_reason(finish, !reply.tool_calls.is_empty(), refusal.is_some());
    let out = Object::new().text("id", text("/id").unwrap_or_default()).text("type", "message");
    let out = out.text("role", "assistant").text("model", text("/model").unwrap_or_default());
    let out = out.list("content", &content).text("stop_reason", stop).raw("stop_sequence", "null");
    Ok(out.raw("usage", &usage.to_string()).done())
}
