//! Rules of Version_7's rule files.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Converter, regex_globs};
use crate::bounded::BoundedRegex;
use crate::snapshot;

/// The convertible part of a rule of Version_7.
#[derive(Default)]
struct Parts {
    description: Option<String>,
    effect: Option<&'static str>,
    matches: Map<String, Value>,
    /// A condition without an equivalent; without it, the rule would match too much.
    incomplete: bool,
    /// The rule consisted of `paths_deny`, which became deny globs.
    became_globs: bool,
}

impl Converter {
    pub(super) fn rules(&mut self, value: Value) {
        let Value::Array(rules) = value else {
            return self.note("rules", "is not a list and was left out");
        };
        let mut ids = BTreeSet::new();
        for (index, rule) in rules.into_iter().enumerate() {
            let path = format!("rules.{index}");
            match rule {
                Value::Object(rule) => self.rule(&path, rule, &mut ids),
                _ => self.note(path, "is not a map and was left out"),
            }
        }
    }

    fn rule(&mut self, path: &str, rule: Map<String, Value>, ids: &mut BTreeSet<String>) {
        let id = self.id(path, rule.get("id"), ids);
        if self.is_ours(&id, &rule) {
            self.output.rules.push(Value::Object(rule));
            return;
        }
        let mut parts = Parts::default();
        for (key, value) in rule {
            self.part(path, &key, value, &mut parts);
        }
        let Some(effect) = parts.effect else {
            if !parts.became_globs {
                self.note(path, "has no effect that exists here and was left out");
            }
            return;
        };
        if parts.incomplete {
            return self.note(
                path,
                "was left out: without the condition that cannot be converted it would match more",
            );
        }
        let mut converted = json!({"id": id});
        if let Some(description) = parts.description {
            converted["description"] = description.into();
        }
        // Rules of Version_7 were about plans.
        parts.matches.entry("kinds").or_insert_with(|| json!(["plan"]));
        converted["match"] = Value::Object(parts.matches);
        converted["effect"] = effect.into();
        self.output.rules.push(converted);
    }

    /// Whether the rule is valid without a conversion.
    fn is_ours(&self, id: &str, rule: &Map<String, Value>) -> bool {
        let document = json!({"version": "1", "allowed_dirs": ["."], "rules": [rule]});
        let valid = snapshot::compile(&document.to_string(), &super::AnyDirectory).is_ok();
        valid && rule.get("id").and_then(Value::as_str) == Some(id)
    }

    fn part(&mut self, rule: &str, key: &str, value: Value, parts: &mut Parts) {
        let path = format!("{rule}.{key}");
        match key {
            "id" => {}
            "description" => match value {
                Value::String(text) if text.chars().count() <= 1000 => {
                    parts.description = Some(text);
                }
                _ => self.note(path, "is not a text of at most 1000 characters and was left out"),
            },
            "actions" | "action" | "effect" => {
                let found = effect(&value);
                if found.is_none() {
                    self.note(path.as_str(), "has no counterpart here");
                }
                // The stricter of two statements applies.
                parts.effect = match (parts.effect, found) {
                    (Some("deny"), _) | (_, Some("deny")) => Some("deny"),
                    (before, found) => found.or(before),
                };
            }
            "enforce" => self.note(
                path,
                "was left out: a plan here is always an artifact and never changes the workspace",
            ),
            "paths_deny" => {
                parts.became_globs = true;
                for (path, text) in self.texts(&path, &value) {
                    self.deny_glob(path, text.trim_end_matches('/').to_owned());
                }
            }
            "match" => self.conditions(&path, value, parts),
            _ => {
                parts.incomplete |= key == "condition";
                self.note(path, "is unknown here and was left out");
            }
        }
    }

    fn conditions(&mut self, path: &str, value: Value, parts: &mut Parts) {
        let Value::Object(conditions) = value else {
            parts.incomplete = true;
            return self.note(path, "is not a map of conditions");
        };
        for (key, value) in conditions {
            let path = format!("{path}.{key}");
            let texts = self.texts(&path, &value);
            let converted = match key.as_str() {
                "intents" | "inputs" => self.expressions(texts),
                "targets" | "paths" => self.targets(texts),
                _ => {
                    self.note(path.as_str(), "is unknown here");
                    None
                }
            };
            let key = if key == "paths" { "targets".to_owned() } else { key };
            match converted {
                Some(list) if !list.is_empty() => {
                    parts.matches.insert(key, list.into());
                }
                _ => parts.incomplete = true,
            }
        }
    }

    fn expressions(&mut self, texts: Vec<(String, String)>) -> Option<Vec<String>> {
        let mut expressions = Vec::new();
        for (path, text) in texts {
            match BoundedRegex::new(&text) {
                Ok(_) if !text.is_empty() => expressions.push(text),
                Ok(_) => self.note(path, "is empty"),
                Err(error) => self.note(path, format!("cannot be used here: {error}")),
            }
        }
        Some(expressions)
    }

    /// Version_7 used regular expressions where this service uses globs.
    fn targets(&mut self, texts: Vec<(String, String)>) -> Option<Vec<String>> {
        let mut globs = Vec::new();
        for (path, text) in texts {
            match regex_globs::convert(&text) {
                Some(converted) => globs.extend(converted),
                None => {
                    let message = format!(
                        "`{text}` is a regular expression that cannot be written as globs; write \
                         the rule by hand"
                    );
                    self.note(path, message);
                    return None;
                }
            }
        }
        globs.sort();
        globs.dedup();
        Some(globs)
    }

    /// A valid, unused id.
    fn id(&mut self, path: &str, id: Option<&Value>, ids: &mut BTreeSet<String>) -> String {
        let old = id.and_then(Value::as_str).unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let lower: String = old.to_lowercase().chars().map(plain).take(56).collect();
        let lower = lower.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let base = if lower.is_empty() { "rule" } else { lower }.to_owned();
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        let mut candidates = std::iter::once(base.clone()).chain(numbered);
        let id = candidates.find(|id| ids.insert(id.clone())).unwrap_or(base);
        if id != old {
            self.note(format!("{path}.id"), format!("is `{id}` in the new document"));
        }
        id
    }
}

/// `{allow: true}`, `deny`, … as an effect.
fn effect(value: &Value) -> Option<&'static str> {
    let named = |name: &str| match name.to_ascii_lowercase().as_str() {
        "allow" => Some("allow"),
        "deny" | "block" => Some("deny"),
        "observe" | "log" | "warn" => Some("observe"),
        _ => None,
    };
    match value {
        Value::String(name) => named(name),
        Value::Object(map) => match (map.get("allow"), map.get("deny")) {
            (_, Some(Value::Bool(true))) | (Some(Value::Bool(false)), _) => Some("deny"),
            (Some(Value::Bool(true)), _) => Some("allow"),
            _ => None,
        },
        Value::Array(items) => match items.as_slice() {
            [Value::String(name)] => named(name),
            _ => None,
        },
        _ => None,
    }
}
