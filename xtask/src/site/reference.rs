//! The OpenAPI document as HTML without a script: it opens anywhere and can be searched as text.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::escaped;

/// The reference section of the landing page.
pub(super) fn body(document: &Value) -> String {
    let mut out = String::from(
        "<p>Generated from the code, as the service describes itself at <code>/openapi.json</code>. Also as \
         files: <a href=\"openapi.yaml\">openapi.yaml</a> and, for a custom GPT, \
         <a href=\"openapi-actions.yaml\">openapi-actions.yaml</a>. A running service lets you try the calls at \
         <code>/docs</code>.</p>\n<p>Send a key as <code>X-API-Key: KEY</code> or \
         <code>Authorization: Bearer KEY</code>. Every error has the schema \
         <a href=\"#schema-Error\">Error</a>.</p>\n",
    );
    let tags = || list(&document["tags"]).iter();
    let all = operations(document);
    let of_tag = |tag: &Value| {
        let tag = tag["name"].clone();
        all.iter().filter(move |(_, _, operation)| list(&operation["tags"]).contains(&tag))
    };
    out.push_str("<nav aria-label=\"Calls\" class=\"calls\">\n");
    for tag in tags() {
        let _ = write!(out, "<h3>{}</h3>\n<ul>\n", text(&tag["name"]));
        for (method, path, operation) in of_tag(tag) {
            let id = text(&operation["operationId"]);
            let _ =
                writeln!(out, "<li><a href=\"#{id}\"><b>{method}</b> {}</a></li>", escaped(path));
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</nav>\n");
    for tag in tags() {
        let _ = write!(
            out,
            "<h3 id=\"tag-{0}\">{0}</h3>\n<p>{1}</p>\n",
            text(&tag["name"]),
            text(&tag["description"])
        );
        for (method, path, operation) in of_tag(tag) {
            call(&mut out, method, path, operation);
        }
    }
    out.push_str("<h3 id=\"schemas\">Schemas</h3>\n");
    for (name, schema) in map(&document["components"]["schemas"]) {
        schema_section(&mut out, name, schema);
    }
    out
}

fn operations(document: &Value) -> Vec<(String, &str, &Value)> {
    map(&document["paths"])
        .flat_map(|(path, item)| {
            map(item)
                .map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
        })
        .collect()
}

fn call(out: &mut String, method: &str, path: &str, operation: &Value) {
    let id = text(&operation["operationId"]);
    let _ = write!(
        out,
        "<section id=\"{id}\" class=\"call\">\n<h4><span class=\"method\">{method}</span> \
         <code>{}</code></h4>\n<p class=\"summary\">{}</p>\n",
        escaped(path),
        text(&operation["summary"])
    );
    if let Some(prose) = operation["description"].as_str() {
        let _ = writeln!(out, "<p>{}</p>", coded(prose));
    }
    if operation["security"] == Value::Array(Vec::new()) {
        out.push_str("<p class=\"note\">No key is needed.</p>\n");
    }
    let parameters = list(&operation["parameters"]);
    if !parameters.is_empty() {
        out.push_str("<h5>Parameters</h5>\n");
        let rows = parameters.iter().map(|parameter| {
            let name = format!("{} ({})", text(&parameter["name"]), text(&parameter["in"]));
            (name, parameter["required"] == true, &parameter["schema"], &parameter["description"])
        });
        table(out, rows);
    }
    let body = &operation["requestBody"]["content"]["application/json"];
    if !body.is_null() {
        let _ = writeln!(out, "<h5>Body: {}</h5>", kind(&body["schema"]));
        example(out, &body["example"]);
    }
    for (status, response) in map(&operation["responses"]).filter(|(s, _)| s.starts_with('2')) {
        for (media, content) in map(&response["content"]) {
            let _ = writeln!(
                out,
                "<h5>{status}: {}</h5>\n<p>{} <code>{media}</code></p>",
                kind(&content["schema"]),
                coded(response["description"].as_str().unwrap_or_default())
            );
            example(out, &content["example"]);
        }
    }
    let errors: Vec<_> =
        map(&operation["responses"]).filter(|(status, _)| !status.starts_with('2')).collect();
    if !errors.is_empty() {
        out.push_str("<details><summary>Errors</summary>\n<dl>\n");
        for (status, response) in errors {
            let prose = response["description"].as_str().unwrap_or_default();
            let _ = writeln!(out, "<dt>{status}</dt><dd>{}</dd>", coded(prose));
        }
        out.push_str("</dl>\n</details>\n");
    }
    out.push_str("</section>\n");
}

fn schema_section(out: &mut String, name: &str, schema: &Value) {
    let _ = writeln!(out, "<section id=\"schema-{name}\" class=\"shape\">\n<h4>{name}</h4>");
    if let Some(prose) = schema["description"].as_str() {
        let _ = writeln!(out, "<p>{}</p>", coded(prose));
    }
    fields(out, schema);
    for (word, prose) in [("allOf", "All of"), ("oneOf", "One of")] {
        for part in list(&schema[word]) {
            let _ = writeln!(out, "<p>{prose}: {}</p>", kind(part));
            fields(out, part);
        }
    }
    if !list(&schema["enum"]).is_empty() {
        let _ = writeln!(out, "<p>{}</p>", kind(schema));
    }
    out.push_str("</section>\n");
}

fn fields(out: &mut String, schema: &Value) {
    let required = list(&schema["required"]);
    let mut rows = map(&schema["properties"])
        .map(|(name, field)| {
            let needed = required.iter().any(|needed| needed == name);
            (name.clone(), needed, field, &field["description"])
        })
        .peekable();
    if rows.peek().is_some() {
        table(out, rows);
    }
}

fn table<'a>(out: &mut String, rows: impl Iterator<Item = (String, bool, &'a Value, &'a Value)>) {
    out.push_str(
        "<div class=\"wide\" tabindex=\"0\"><table>\n<thead><tr><th>name</th><th>type</th><th>meaning</th></tr></thead>\n<tbody>\n",
    );
    for (name, required, schema, prose) in rows {
        let needed = if required { " <span class=\"needed\">required</span>" } else { "" };
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code>{needed}</td><td>{}</td><td>{}</td></tr>",
            escaped(&name),
            kind(schema),
            coded(prose.as_str().unwrap_or_default())
        );
    }
    out.push_str("</tbody>\n</table></div>\n");
}

/// The type of a schema in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if schema.get("items").is_some() {
        return format!("list of {}", kind(&schema["items"]));
    }
    let values: Vec<_> =
        list(&schema["enum"]).iter().map(|value| format!("<code>{}</code>", text(value))).collect();
    if !values.is_empty() {
        return values.join(", ");
    }
    let named = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        Value::String(one) => escaped(one),
        _ => "anything".to_owned(),
    };
    let bounds = [("minimum", "from"), ("maximum", "to"), ("maxLength", "at most")]
        .iter()
        .filter_map(|(key, word)| Some(format!(" {word} {}", schema.get(*key)?)));
    named + &bounds.collect::<String>()
}

fn example(out: &mut String, value: &Value) {
    let shown = match value {
        Value::Null => return,
        Value::String(one) => one.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    let _ = writeln!(out, "<pre tabindex=\"0\"><code>{}</code></pre>", escaped(&shown));
}

/// Escaped text with code between backticks.
fn coded(prose: &str) -> String {
    let part = |(index, part): (usize, &str)| {
        let part = escaped(part);
        if index % 2 == 1 { format!("<code>{part}</code>") } else { part }
    };
    prose.split('`').enumerate().map(part).collect()
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn map(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_of_the_document_is_escaped() {
        let document = json!({
            "tags": [{"name": "t", "description": "d"}],
            "paths": {"/x": {"get": {
                "tags": ["t"], "operationId": "x", "summary": "<b>", "description": "`<i>` & so",
                "responses": {"200": {"description": "ok", "content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/S"}, "example": {"a": "</pre>"}}}}},
            }}},
            "components": {"schemas": {"S": {"type": "object", "properties": {"a": {"type": "string"}}}}},
        });
        let page = body(&document);
        for expected in
            ["&lt;b&gt;", "<code>&lt;i&gt;</code> &amp; so", "&lt;/pre&gt;", "href=\"#schema-S\""]
        {
            assert!(page.contains(expected), "{expected}: {page}");
        }
        assert!(!page.contains("<i>"), "{page}");
    }
}
