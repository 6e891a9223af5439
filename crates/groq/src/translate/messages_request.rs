//! Requests of the Messages API as requests of chat completions.

use serde_json::Value;
use serde_json::value::RawValue;

use super::Translation;
use super::json::{Fields, Object, Result, Untranslatable, list, quoted};
use super::replies::reasoning_field;

/// The API that lacks a field, for messages.
const API: &str = "chat completions";
/// Longest `user` that OpenAI accepts, in characters.
const MAX_USER: usize = 64;

pub(super) fn to_chat(body: &str, drop: &[String]) -> Result<Translation> {
    let mut fields = Fields::read("", body, API)?;
    let mut notes = Vec::new();
    if fields.discard(drop) {
        notes.push("dropped-fields");
    }
    let model = fields.text("model")?.unwrap_or_default();
    let mut out = Object::new().text("model", &model);
    out = out.raw_if(limit_name(&model), fields.take("max_tokens"));
    let mut conversation = Conversation {
        keeps_thinking: !drop.iter().any(|name| name == "thinking"),
        messages: Vec::new(),
    };
    if let Some(system) = fields.take("system") {
        let content = texts("system", system)?;
        conversation.push("system", Some(&content));
    }
    let messages = fields.list("messages")?.unwrap_or_default();
    let last = messages.len().saturating_sub(1);
    for (n, message) in messages.into_iter().enumerate() {
        conversation.add(&format!("messages.{n}"), message, n == last)?;
    }
    out = out.list("messages", &conversation.messages);
    for name in ["temperature", "top_p", "top_k", "stream"] {
        let value = fields.take(name);
        out = out.raw_if(name, value);
        if name == "stream" && value.is_some_and(|value| value.get() == "true") {
            // Streams of the Messages API always end with their usage.
            out = out.raw("stream_options", "{\"include_usage\":true}");
        }
    }
    out = out.raw_if("stop", fields.take("stop_sequences"));
    out = tools(out, &mut fields)?;
    out = output(out, &mut fields)?;
    if let Some(mut metadata) = fields.object("metadata")? {
        if let Some(user) = metadata.text("user_id")? {
            out = out.text("user", &user_of(user));
        }
        metadata.finish()?;
    }
    match fields.text("service_tier")?.as_deref() {
        None | Some("auto") => {}
        Some("standard_only") => out = out.text("service_tier", "default"),
        Some(_) => return Err(fields.refuse("service_tier", "this value")),
    }
    if let Some(mut thinking) = fields.object("thinking")? {
        // The model decides itself, or does not think: what chat completions do without a field.
        match thinking.required_text("type")?.as_str() {
            "disabled" | "adaptive" => thinking.ignore("display"),
            _ => return Err(thinking.refuse("type", "this value")),
        }
        thinking.finish()?;
    }
    fields.ignore("cache_control");
    fields.finish()?;
    Ok(Translation { body: out.done(), notes })
}

/// OpenAI's models that think refuse the older name of the limit; other servers know only that one.
fn limit_name(model: &str) -> &'static str {
    let name = model.rsplit('/').next().unwrap_or_default();
    let digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let thinks = name.strip_prefix('o').is_some_and(digit)
        || name
            .strip_prefix("gpt-")
            .is_some_and(|rest| digit(rest) && !rest.starts_with(['3', '4']));
    if thinks { "max_completion_tokens" } else { "max_tokens" }
}

/// The user as an identifier that OpenAI accepts.
fn user_of(user: String) -> String {
    if user.chars().count() <= MAX_USER {
        user
    } else {
        blake3::hash(user.as_bytes()).to_hex().to_string()
    }
}

fn tools(mut out: Object, fields: &mut Fields<'_>) -> Result<Object> {
    let given = fields.list("tools")?.unwrap_or_default();
    let mut tools = Vec::new();
    for (n, tool) in given.into_iter().enumerate() {
        let mut tool = Fields::read(format!("tools.{n}"), tool.get(), API)?;
        if tool.text("type")?.as_deref().is_some_and(|kind| kind != "custom") {
            return Err(tool.refuse("type", "a tool of this type"));
        }
        tool.ignore("cache_control");
        tool.ignore("eager_input_streaming");
        let function = Object::new()
            .text("name", &tool.required_text("name")?)
            .raw_if("description", tool.take("description"))
            .raw_if("parameters", tool.take("input_schema"))
            .raw_if("strict", tool.take("strict"));
        tool.finish()?;
        tools.push(Object::of_type("function").raw("function", &function.done()).done());
    }
    if !tools.is_empty() {
        out = out.list("tools", &tools);
    }
    let Some(mut choice) = fields.object("tool_choice")? else { return Ok(out) };
    let kind = choice.required_text("type")?;
    let chosen = match kind.as_str() {
        "auto" => quoted("auto"),
        "none" => quoted("none"),
        "any" => quoted("required"),
        "tool" => {
            let function = Object::new().text("name", &choice.required_text("name")?).done();
            Object::of_type("function").raw("function", &function).done()
        }
        _ => return Err(choice.refuse("type", "this value")),
    };
    out = out.raw("tool_choice", &chosen);
    if let Some(single) = choice.flag("disable_parallel_tool_use")? {
        out = out.raw("parallel_tool_calls", if single { "false" } else { "true" });
    }
    choice.finish()?;
    Ok(out)
}

/// The format and the effort of the response.
fn output(mut out: Object, fields: &mut Fields<'_>) -> Result<Object> {
    let Some(mut config) = fields.object("output_config")? else { return Ok(out) };
    if let Some(effort) = config.text("effort")? {
        if !matches!(effort.as_str(), "low" | "medium" | "high" | "xhigh") {
            return Err(config.refuse("effort", "this value"));
        }
        out = out.text("reasoning_effort", &effort);
    }
    if let Some(mut format) = config.object("format")? {
        if format.required_text("type")? != "json_schema" {
            return Err(format.refuse("type", "a format of this type"));
        }
        let named = Object::new().text("name", "response").raw_if("schema", format.take("schema"));
        let named = named.raw("strict", "true").done();
        out = out.raw(
            "response_format",
            &Object::of_type("json_schema").raw("json_schema", &named).done(),
        );
        format.finish()?;
    }
    config.finish()?;
    Ok(out)
}

struct Conversation {
    /// Whether thoughts are translated; else they are left out.
    keeps_thinking: bool,
    messages: Vec<String>,
}

impl Conversation {
    fn push(&mut self, role: &str, content: Option<&str>) {
        let message = Object::new().text("role", role).raw("content", content.unwrap_or("null"));
        self.messages.push(message.done());
    }

    fn add(&mut self, place: &str, message: &RawValue, is_last: bool) -> Result<()> {
        let mut message = Fields::read(place, message.get(), API)?;
        let role = message.required_text("role")?;
        let content = message.take("content");
        let place = message.at("content");
        match (role.as_str(), content) {
            ("assistant", _) if is_last => {
                return Err(message.refuse("role", "a last message of the assistant"));
            }
            ("user" | "assistant" | "system", Some(text)) if text.get().starts_with('"') => {
                self.push(&role, Some(text.get()));
            }
            ("user", Some(blocks)) => self.user(&place, blocks)?,
            ("assistant", Some(blocks)) => self.assistant(&place, blocks)?,
            ("system", Some(blocks)) => {
                let content = texts(&place, blocks)?;
                self.push("system", Some(&content));
            }
            ("user" | "assistant" | "system", None) => self.push(&role, None),
            _ => return Err(message.refuse("role", "a message of this role")),
        }
        message.finish()
    }

    fn user(&mut self, place: &str, blocks: &RawValue) -> Result<()> {
        let mut parts = Vec::new();
        for mut block in each(place, blocks)? {
            block.ignore("cache_control");
            let kind = block.required_text("type")?;
            if kind == "tool_result" {
                if !parts.is_empty() {
                    let reason = "must come before the other content of its message";
                    return Err(Untranslatable::new(block.at("type"), reason));
                }
                self.result(block)?;
            } else {
                parts.push(part_of(&kind, block)?);
            }
        }
        if !parts.is_empty() {
            let content = content_of(&parts);
            self.push("user", Some(&content));
        }
        Ok(())
    }

    fn result(&mut self, mut block: Fields<'_>) -> Result<()> {
        let id = block.required_text("tool_use_id")?;
        let is_error = block.flag("is_error")?.unwrap_or(false);
        let place = block.at("content");
        let mut parts = Vec::new();
        match block.take("content") {
            None => {}
            Some(text) if text.get().starts_with('"') => {
                parts.push(Part::Text(text.get().to_owned()));
            }
            Some(blocks) => {
                for mut inner in each(&place, blocks)? {
                    inner.ignore("cache_control");
                    let kind = inner.required_text("type")?;
                    parts.push(part_of(&kind, inner)?);
                }
            }
        }
        if is_error {
            // Chat completions have no mark of failed tools, so the text says it, as the model reads it.
            match parts.first_mut() {
                Some(Part::Text(text)) => {
                    let said: String = serde_json::from_str(text).unwrap_or_default();
                    *text = quoted(&format!("Error: {said}"));
                }
                _ => parts.insert(0, Part::Text(quoted("Error"))),
            }
        }
        let content = if parts.is_empty() { quoted("") } else { content_of(&parts) };
        block.finish()?;
        let message = Object::new().text("role", "tool").text("tool_call_id", &id);
        self.messages.push(message.raw("content", &content).done());
        Ok(())
    }

    fn assistant(&mut self, place: &str, blocks: &RawValue) -> Result<()> {
        let (mut parts, mut calls, mut thoughts) = (Vec::new(), Vec::new(), None);
        for mut block in each(place, blocks)? {
            block.ignore("cache_control");
            let kind = block.required_text("type")?;
            match kind.as_str() {
                "thinking" | "redacted_thinking" if !self.keeps_thinking => continue,
                "thinking" if thoughts.is_none() => {
                    let signature = block.text("signature")?.unwrap_or_default();
                    let field = reasoning_field(&signature).ok_or_else(|| {
                        block.refuse("signature", "a thought that another provider signed")
                    })?;
                    thoughts = Some((field, block.required_text("thinking")?));
                    block.finish()?;
                }
                "tool_use" => {
                    let input = block.take("input").map_or("{}", RawValue::get);
                    let function = Object::new()
                        .text("name", &block.required_text("name")?)
                        .text("arguments", input);
                    let call = Object::new().text("id", &block.required_text("id")?);
                    let call = call.text("type", "function").raw("function", &function.done());
                    block.finish()?;
                    calls.push(call.done());
                }
                "text" if !calls.is_empty() => {
                    let reason = format!("comes after a tool call, which {API} put last");
                    return Err(Untranslatable::new(block.at("type"), reason));
                }
                "text" => parts.push(part_of(&kind, block)?),
                _ => return Err(refused_type(&block, &kind)),
            }
        }
        let content = if parts.is_empty() { "null".to_owned() } else { content_of(&parts) };
        let mut message = Object::new().text("role", "assistant").raw("content", &content);
        if let Some((field, text)) = thoughts {
            message = message.text(field, &text);
        }
        if !calls.is_empty() {
            message = message.list("tool_calls", &calls);
        }
        self.messages.push(message.done());
        Ok(())
    }
}

/// A content part: a text as a JSON string, or any other part as an object.
enum Part {
    Text(String),
    Other(String),
}

/// One text is the content itself, which all servers accept; anything else is a list.
fn content_of(parts: &[Part]) -> String {
    if let [Part::Text(text)] = parts {
        return text.clone();
    }
    let written = parts.iter().map(|part| match part {
        Part::Text(text) => Object::of_type("text").raw("text", text).done(),
        Part::Other(part) => part.clone(),
    });
    list(&written.collect::<Vec<_>>())
}

fn each<'a>(place: &str, blocks: &'a RawValue) -> Result<Vec<Fields<'a>>> {
    let blocks: Vec<&RawValue> = serde_json::from_str(blocks.get())
        .map_err(|_| Untranslatable::new(place, "must be a text or a list of content blocks"))?;
    let numbered = blocks.into_iter().enumerate();
    numbered.map(|(n, block)| Fields::read(format!("{place}.{n}"), block.get(), API)).collect()
}

/// A system prompt.
fn texts(place: &str, content: &RawValue) -> Result<String> {
    if content.get().starts_with('"') {
        return Ok(content.get().to_owned());
    }
    let mut parts = Vec::new();
    for mut block in each(place, content)? {
        block.ignore("cache_control");
        match block.required_text("type")?.as_str() {
            "text" => parts.push(part_of("text", block)?),
            kind => return Err(refused_type(&block, kind)),
        }
    }
    Ok(content_of(&parts))
}

fn refused_type(block: &Fields<'_>, kind: &str) -> Untranslatable {
    block.refuse("type", &format!("content of type {}", quoted(kind)))
}

fn part_of(kind: &str, mut block: Fields<'_>) -> Result<Part> {
    let part = match kind {
        "text" => Part::Text(quoted(&block.required_text("text")?)),
        "image" => {
            let mut source = source_of(&mut block)?;
            let url = match source.required_text("type")?.as_str() {
                "base64" => data_url(&mut source)?,
                "url" => source.required_text("url")?,
                _ => return Err(source.refuse("type", "a source of this type")),
            };
            source.finish()?;
            let image = Object::new().text("url", &url).done();
            Part::Other(Object::of_type("image_url").raw("image_url", &image).done())
        }
        "document" => {
            let mut source = source_of(&mut block)?;
            if source.required_text("type")? != "base64" {
                return Err(source.refuse("type", "a source of this type"));
            }
            let data = data_url(&mut source)?;
            source.finish()?;
            let name = block.text("title")?.unwrap_or_else(|| "document.pdf".to_owned());
            if let Some(Value::Object(citations)) = block.value("citations")?
                && citations.get("enabled") == Some(&Value::Bool(true))
            {
                return Err(block.refuse("citations", "this value"));
            }
            let file = Object::new().text("filename", &name).text("file_data", &data).done();
            Part::Other(Object::of_type("file").raw("file", &file).done())
        }
        _ => return Err(refused_type(&block, kind)),
    };
    block.finish()?;
    Ok(part)
}

fn source_of<'a>(block: &mut Fields<'a>) -> Result<Fields<'a>> {
    let place = block.at("source");
    block.object("source")?.ok_or_else(|| Untranslatable::new(place, "is missing"))
}

fn data_url(source: &mut Fields<'_>) -> Result<String> {
    let (kind, data) = (source.required_text("media_type")?, source.required_text("data")?);
    Ok(format!("data:{kind};base64,{data}"))
}
