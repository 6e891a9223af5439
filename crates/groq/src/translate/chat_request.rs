//! Requests of chat completions as requests of the Messages API.

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::Translation;
use super::json::{Fields, Object, Result, Untranslatable, as_object, list, quoted};

/// The API that lacks a field, for messages.
const API: &str = "the Messages API";
/// The limit of a response whose request names none: the Messages API requires one, and all models
/// that it serves accept this.
const MAX_TOKENS: u32 = 32_000;

pub(super) fn to_messages(body: &str, drop: &[String]) -> Result<Translation> {
    let mut fields = Fields::read("", body, API)?;
    let mut notes = Vec::new();
    if fields.discard(drop) {
        notes.push("dropped-fields");
    }
    let mut out = Object::new().raw_if("model", fields.take("model"));
    out = match limit(&mut fields)? {
        Some(limit) => out.raw("max_tokens", limit.get()),
        None => {
            notes.push("max_tokens");
            out.raw("max_tokens", &MAX_TOKENS.to_string())
        }
    };
    let mut conversation = Conversation { drop, ..Conversation::default() };
    let messages = fields.list("messages")?.unwrap_or_default();
    let last = messages.len().saturating_sub(1);
    for (n, message) in messages.into_iter().enumerate() {
        conversation.add(&format!("messages.{n}"), message, n == last)?;
    }
    conversation.flush();
    if !conversation.system.is_empty() {
        out = out.list("system", &conversation.system);
    }
    out = out.list("messages", &conversation.messages);
    out = sampling(out, &mut fields)?;
    out = tools(out, &mut fields)?;
    out = output(out, &mut fields)?;
    for name in ["stream", "thinking", "top_k"] {
        out = out.raw_if(name, fields.take(name));
    }
    if let Some(mut options) = fields.object("stream_options")? {
        // The translated stream ends with its usage if this is set.
        options.ignore("include_usage");
        options.ignore("include_obfuscation");
        options.finish()?;
    }
    if let Some(user) = fields.take("user").or_else(|| fields.take("safety_identifier")) {
        out = out.raw("metadata", &Object::new().raw("user_id", user.get()).done());
    }
    fields.ignore("safety_identifier");
    neutral(&mut fields)?;
    fields.finish()?;
    Ok(Translation { body: out.done(), notes })
}

fn limit<'a>(fields: &mut Fields<'a>) -> Result<Option<&'a RawValue>> {
    match (fields.take("max_completion_tokens"), fields.take("max_tokens")) {
        (Some(one), Some(other)) if one.get() != other.get() => {
            Err(Untranslatable::new("max_tokens", "differs from `max_completion_tokens`"))
        }
        (one, other) => Ok(one.or(other)),
    }
}

fn sampling(mut out: Object, fields: &mut Fields<'_>) -> Result<Object> {
    if let Some(temperature) = fields.take("temperature") {
        if serde_json::from_str::<f64>(temperature.get()).is_ok_and(|value| value > 1.0) {
            return Err(Untranslatable::new("temperature", format!("must be at most 1 in {API}")));
        }
        out = out.raw("temperature", temperature.get());
    }
    out = out.raw_if("top_p", fields.take("top_p"));
    if let Some(stop) = fields.take("stop") {
        let stop = if stop.get().starts_with('"') {
            list(&[stop.get().to_owned()])
        } else {
            stop.get().to_owned()
        };
        out = out.raw("stop_sequences", &stop);
    }
    Ok(out)
}

fn tools(mut out: Object, fields: &mut Fields<'_>) -> Result<Object> {
    let given = fields.list("tools")?.unwrap_or_default();
    let mut tools = Vec::new();
    for (n, tool) in given.into_iter().enumerate() {
        tools.push(translated_tool(Fields::read(format!("tools.{n}"), tool.get(), API)?)?);
    }
    if !tools.is_empty() {
        out = out.list("tools", &tools);
    }
    let parallel = fields.flag("parallel_tool_calls")?;
    let mut choice = match fields.value("tool_choice")? {
        None => None,
        Some(Value::String(choice)) => Some(match choice.as_str() {
            "auto" => Object::of_type("auto"),
            "none" => Object::of_type("none"),
            "required" => Object::of_type("any"),
            _ => return Err(fields.refuse("tool_choice", "this value")),
        }),
        Some(choice) => {
            let name = choice.pointer("/function/name").and_then(Value::as_str);
            let named = name.filter(|_| choice["type"] == "function");
            let name = named.ok_or_else(|| fields.refuse("tool_choice.type", "this value"))?;
            Some(Object::of_type("tool").text("name", name))
        }
    };
    if parallel == Some(false) && !tools.is_empty() {
        let one = choice.take().unwrap_or_else(|| Object::of_type("auto"));
        choice = Some(one.raw("disable_parallel_tool_use", "true"));
    }
    Ok(match choice {
        Some(choice) => out.raw("tool_choice", &choice.done()),
        None => out,
    })
}

fn translated_tool(mut tool: Fields<'_>) -> Result<String> {
    if tool.text("type")?.as_deref().is_some_and(|kind| kind != "function") {
        return Err(tool.refuse("type", "a tool of this type"));
    }
    let cache = tool.take("cache_control");
    let place = tool.at("function");
    let mut function =
        tool.object("function")?.ok_or_else(|| Untranslatable::new(place, "is missing"))?;
    let mut out = Object::new().text("name", &function.required_text("name")?);
    out = out.raw_if("description", function.take("description"));
    let none = "{\"type\":\"object\",\"properties\":{}}";
    out = out.raw("input_schema", function.take("parameters").map_or(none, RawValue::get));
    if function.flag("strict")? == Some(true) {
        out = out.raw("strict", "true");
    }
    function.finish()?;
    tool.finish()?;
    Ok(out.raw_if("cache_control", cache).done())
}

/// The format and the effort of the response.
fn output(out: Object, fields: &mut Fields<'_>) -> Result<Object> {
    let mut config = Object::new();
    if let Some(mut format) = fields.object("response_format")? {
        match format.required_text("type")?.as_str() {
            "text" => {}
            "json_schema" => {
                let place = format.at("json_schema.schema");
                let mut named = format.object("json_schema")?;
                let schema = named.as_mut().and_then(|named| named.take("schema"));
                let schema = schema.ok_or_else(|| Untranslatable::new(place, "is missing"))?;
                if let Some(mut named) = named {
                    // A name changes nothing, and the Messages API always keeps to the schema.
                    named.ignore("name");
                    named.ignore("strict");
                    named.finish()?;
                }
                let format = Object::of_type("json_schema").raw("schema", schema.get()).done();
                config = config.raw("format", &format);
            }
            _ => return Err(format.refuse("type", "a format of this type")),
        }
        format.finish()?;
    }
    if let Some(effort) = fields.text("reasoning_effort")? {
        if !matches!(effort.as_str(), "low" | "medium" | "high" | "xhigh") {
            return Err(fields.refuse("reasoning_effort", "this value"));
        }
        config = config.text("effort", &effort);
    }
    Ok(if config.is_empty() { out } else { out.raw("output_config", &config.done()) })
}

/// Fields whose usual value says nothing, and hints for caches.
fn neutral(fields: &mut Fields<'_>) -> Result<()> {
    for (name, values) in [
        ("n", &["1"][..]),
        ("logprobs", &["false"]),
        ("top_logprobs", &["0"]),
        ("store", &["false"]),
        ("frequency_penalty", &["0", "0.0"]),
        ("presence_penalty", &["0", "0.0"]),
        ("modalities", &["[\"text\"]"]),
        ("service_tier", &["\"auto\""]),
        ("verbosity", &["\"medium\""]),
    ] {
        if let Some(value) = fields.take(name)
            && !values.contains(&value.get())
        {
            return Err(fields.refuse(name, "this value"));
        }
    }
    fields.ignore("prompt_cache_key");
    fields.ignore("prompt_cache_retention");
    Ok(())
}

/// The conversation as far as it is translated.
#[derive(Default)]
struct Conversation<'d> {
    /// Fields that are left out.
    drop: &'d [String],
    system: Vec<String>,
    messages: Vec<String>,
    /// Results of tools, which belong into one message of the user.
    results: Vec<String>,
    /// The names of the tool calls so far, by id.
    calls: HashMap<String, String>,
}

impl Conversation<'_> {
    fn add(&mut self, place: &str, message: &RawValue, is_last: bool) -> Result<()> {
        let mut message = Fields::read(place, message.get(), API)?;
        message.discard(self.drop);
        match message.required_text("role")?.as_str() {
            "system" | "developer" => {
                if !self.messages.is_empty() || !self.results.is_empty() {
                    let reason = format!(
                        "comes after the start of the conversation; {API} has one system prompt before it"
                    );
                    return Err(Untranslatable::new(message.at("role"), reason));
                }
                self.system.extend(blocks(&mut message, false)?);
            }
            "user" => {
                let whole = message.take("content");
                match whole.filter(|raw| raw.get().starts_with('"')) {
                    Some(text) if self.results.is_empty() => self.push("user", text.get()),
                    _ => {
                        self.results.extend(blocks_of(&message.at("content"), whole, true)?);
                        self.flush();
                    }
                }
            }
            "assistant" => {
                self.flush();
                if is_last {
                    return Err(message.refuse("role", "a last message of the assistant"));
                }
                self.assistant(&mut message)?;
            }
            "tool" => self.result(&mut message)?,
            _ => return Err(message.refuse("role", "a message of this role")),
        }
        message.finish()
    }

    fn push(&mut self, role: &str, content: &str) {
        self.messages.push(Object::new().text("role", role).raw("content", content).done());
    }

    /// Writes the results of tools, and what the user said with them, as one message.
    fn flush(&mut self) {
        if !self.results.is_empty() {
            let content = list(&std::mem::take(&mut self.results));
            self.push("user", &content);
        }
    }

    fn result(&mut self, message: &mut Fields<'_>) -> Result<()> {
        let id = message.required_text("tool_call_id")?;
        // The name repeats the call's.
        if let Some(name) = message.text("name")?
            && self.calls.get(&id) != Some(&name)
        {
            return Err(message.refuse("name", "a name other than the call's"));
        }
        let content = message.take("content");
        let result = Object::of_type("tool_result").text("tool_use_id", &id);
        let result = match content {
            None => result,
            Some(text) if text.get().starts_with('"') => result.raw("content", text.get()),
            parts => result.list("content", &blocks_of(&message.at("content"), parts, true)?),
        };
        self.results.push(result.done());
        Ok(())
    }

    fn assistant(&mut self, message: &mut Fields<'_>) -> Result<()> {
        let mut content = Vec::new();
        for (n, detail) in
            message.list("reasoning_details")?.unwrap_or_default().into_iter().enumerate()
        {
            let place = message.at(&format!("reasoning_details.{n}"));
            content.push(thinking(Fields::read(place, detail.get(), API)?)?);
        }
        if !content.is_empty() {
            // They repeat the text of the details.
            message.ignore("reasoning");
            message.ignore("reasoning_content");
        }
        let only_text = content.is_empty();
        let said = message.take("content");
        let calls = message.list("tool_calls")?.unwrap_or_default();
        let refusal = message.take("refusal");
        if let Some(refusal) = refusal
            && said.is_some_and(|said| said.get() != refusal.get())
        {
            return Err(message.refuse("refusal", "a refusal next to other content"));
        }
        let said = said.or(refusal);
        if only_text
            && calls.is_empty()
            && let Some(text) = said.filter(|raw| raw.get().starts_with('"'))
        {
            self.push("assistant", text.get());
            return Ok(());
        }
        content.extend(blocks_of(&message.at("content"), said, false)?);
        for (n, call) in calls.into_iter().enumerate() {
            let place = message.at(&format!("tool_calls.{n}"));
            content.push(self.call(Fields::read(place, call.get(), API)?)?);
        }
        self.push("assistant", &list(&content));
        Ok(())
    }

    fn call(&mut self, mut call: Fields<'_>) -> Result<String> {
        if call.text("type")?.as_deref().is_some_and(|kind| kind != "function") {
            return Err(call.refuse("type", "a call of this type"));
        }
        call.ignore("index");
        let id = call.required_text("id")?;
        let place = call.at("function");
        let mut function =
            call.object("function")?.ok_or_else(|| Untranslatable::new(place, "is missing"))?;
        let name = function.required_text("name")?;
        let place = function.at("arguments");
        let arguments = function.text("arguments")?.unwrap_or_default();
        let input = if arguments.trim().is_empty() { Some("{}") } else { as_object(&arguments) };
        let input =
            input.ok_or_else(|| Untranslatable::new(place, "must be the text of a JSON object"))?;
        function.finish()?;
        call.finish()?;
        let block =
            Object::of_type("tool_use").text("id", &id).text("name", &name).raw("input", input);
        self.calls.insert(id, name);
        Ok(block.done())
    }
}

/// What a model thought, as [`super::replies`] writes it.
fn thinking(mut detail: Fields<'_>) -> Result<String> {
    detail.ignore("index");
    detail.ignore("id");
    detail.ignore("format");
    let block = match detail.required_text("type")?.as_str() {
        "reasoning.text" => Object::of_type("thinking")
            .text("thinking", &detail.text("text")?.unwrap_or_default())
            .text("signature", &detail.required_text("signature")?),
        "reasoning.encrypted" => {
            Object::of_type("redacted_thinking").text("data", &detail.required_text("data")?)
        }
        _ => return Err(detail.refuse("type", "a detail of this type")),
    };
    detail.finish()?;
    Ok(block.done())
}

fn blocks(message: &mut Fields<'_>, media: bool) -> Result<Vec<String>> {
    let content = message.take("content");
    blocks_of(&message.at("content"), content, media)
}

/// The content of a message as blocks; a text is one block, an empty one none.
fn blocks_of(place: &str, content: Option<&RawValue>, media: bool) -> Result<Vec<String>> {
    let Some(content) = content else { return Ok(Vec::new()) };
    if content.get().starts_with('"') {
        let block = || Object::of_type("text").raw("text", content.get()).done();
        return Ok((content.get() != "\"\"").then(block).into_iter().collect());
    }
    let parts: Vec<&RawValue> = serde_json::from_str(content.get())
        .map_err(|_| Untranslatable::new(place, "must be a text or a list of content parts"))?;
    let numbered = parts.into_iter().enumerate();
    numbered
        .map(|(n, part)| block_of(Fields::read(format!("{place}.{n}"), part.get(), API)?, media))
        .collect()
}

fn block_of(mut part: Fields<'_>, media: bool) -> Result<String> {
    let kind = part.required_text("type")?;
    let cache = part.take("cache_control");
    let block = match kind.as_str() {
        "text" => Object::of_type("text").text("text", &part.required_text("text")?),
        "refusal" if !media => {
            Object::of_type("text").text("text", &part.required_text("refusal")?)
        }
        "image_url" if media => {
            let place = part.at("image_url");
            let mut image = part
                .object("image_url")?
                .ok_or_else(|| Untranslatable::new(place, "is missing"))?;
            let url = image.required_text("url")?;
            if image.text("detail")?.is_some_and(|detail| detail != "auto") {
                return Err(image.refuse("detail", "this value"));
            }
            let source = match data_url(&url) {
                Some((kind, data)) => {
                    Object::of_type("base64").text("media_type", kind).text("data", data)
                }
                None if url.starts_with("http") => Object::of_type("url").text("url", &url),
                None => return Err(image.refuse("url", "an address of this kind")),
            };
            image.finish()?;
            Object::of_type("image").raw("source", &source.done())
        }
        "file" if media => {
            let place = part.at("file.file_data");
            let mut file = part.object("file")?;
            let data = match &mut file {
                Some(file) => file.text("file_data")?,
                None => None,
            };
            let Some((kind, data)) = data.as_deref().and_then(data_url) else {
                return Err(Untranslatable::new(place, "must be a `data:` URL in Base64"));
            };
            let source = Object::of_type("base64").text("media_type", kind).text("data", data);
            let mut block = Object::of_type("document").raw("source", &source.done());
            if let Some(mut file) = file {
                if let Some(name) = file.take("filename") {
                    block = block.raw("title", name.get());
                }
                file.finish()?;
            }
            block
        }
        _ => return Err(part.refuse("type", &format!("content of type {}", quoted(&kind)))),
    };
    part.finish()?;
    Ok(block.raw_if("cache_control", cache).done())
}

/// The type and the data of a `data:` URL in Base64.
fn data_url(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}
