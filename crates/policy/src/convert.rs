//! Converts a policy of Version_7 into a policy of this service.
//!
//! Version_7 read two kinds of documents: `policy.yaml` (`allowed_dirs`, `deny_globs`, `max_diff_lines`,
//! `llm`), which is similar to ours, and rule files (`rules` with `match`, `actions`, `enforce`,
//! `paths_deny`). It listed rules in its artifacts and enforced none, so leaving out and reporting a rule
//! without an equivalent loses no protection.

mod regex_globs;
mod rules;

use life_agent_domain::governance::fault::Fault;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::document::VERSION;
use crate::snapshot::{self, Workspace};
use crate::{globs, yaml};

/// Models that the provider has withdrawn; a converted policy uses the default model instead.
const WITHDRAWN: [&str; 2] = ["llama-3.3-70b-versatile", "llama3-70b-8192"];

/// The allowed directory of a document without one, as in the built-in policy.
const DEFAULT_DIR: &str = "plans";

/// A converted policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The new document. It is valid in a workspace that has its allowed directories.
    pub text: String,
    /// The allowed directories, for a check against the workspace.
    pub allowed_dirs: Vec<String>,
    /// Entries without an equivalent, with their place in the old document.
    pub notes: Vec<Fault>,
}

/// Converts `text`. A document that is already valid is returned unchanged. Fails if the text is not YAML or not a
/// map.
pub fn convert(text: &str) -> Result<Converted, Vec<Fault>> {
    let (value, unread) = yaml::read(text).map_err(|fault| vec![fault])?;
    let Value::Object(old) = value else {
        return Err(vec![Fault::new("", "expected a map of keys and values")]);
    };
    let model = old.get("llm").and_then(|llm| llm.get("model")).and_then(Value::as_str);
    let withdrawn = model.is_some_and(|model| WITHDRAWN.contains(&model));
    if !withdrawn && let Ok(snapshot) = snapshot::compile(text, &AnyDirectory) {
        let allowed_dirs = snapshot.policy.allowed_dirs;
        return Ok(Converted { text: text.to_owned(), allowed_dirs, notes: Vec::new() });
    }
    let mut converter = Converter { notes: unread, output: Output::default() };
    converter.document(old);
    converter.finish(text)
}

/// Accepts every directory; the caller compares the result with its workspace.
struct AnyDirectory;

impl Workspace for AnyDirectory {
    fn is_dir(&self, _relative: &str) -> bool {
        true
    }
}

/// The new document, in output order.
#[derive(Default, Serialize)]
struct Output {
    version: &'static str,
    allowed_dirs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deny_globs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_diff_lines: Option<u64>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    llm: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Value>,
    #[serde(flatten)]
    ours: Map<String, Value>,
}

struct Converter {
    notes: Vec<Fault>,
    output: Output,
}

impl Converter {
    fn note(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.notes.push(Fault::new(path, message));
    }

    fn document(&mut self, old: Map<String, Value>) {
        self.output.version = VERSION;
        for (key, value) in old {
            match key.as_str() {
                "version" => self.version(&value),
                "allowed_dirs" => self.allowed_dirs(&value),
                "deny_globs" => self.deny_globs(&value),
                "max_diff_lines" => self.max_diff_lines(&value),
                "llm" => self.llm(value),
                "rules" => self.rules(value),
                // Valid sections of this service are kept.
                "risk" | "observer" | "plans" => self.ours(key, value),
                _ => self.note(key, "is unknown here and was left out"),
            }
        }
        if self.output.allowed_dirs.is_empty() {
            self.note(
                "allowed_dirs",
                "is missing or has no usable directory; `plans` was put in, the default of this \
                 service (the predecessor's was `api,plans`)",
            );
            self.output.allowed_dirs.push(DEFAULT_DIR.to_owned());
        }
    }

    fn version(&mut self, value: &Value) {
        let known = value == VERSION || value.as_f64() == Some(1.0);
        if !known {
            self.note("version", "is not 1; the new document has version \"1\"");
        }
    }

    fn allowed_dirs(&mut self, value: &Value) {
        for (path, text) in self.texts("allowed_dirs", value) {
            let dir = text.trim_start_matches("./").trim_end_matches('/');
            let dir = if dir.is_empty() { "." } else { dir };
            let document = format!("version: \"1\"\nallowed_dirs: [{}]\n", Value::from(dir));
            if snapshot::compile(&document, &AnyDirectory).is_err() {
                self.note(path, format!("`{text}` is not inside the workspace and was left out"));
            } else if !self.output.allowed_dirs.iter().any(|known| known == dir) {
                self.output.allowed_dirs.push(dir.to_owned());
            }
        }
    }

    fn deny_globs(&mut self, value: &Value) {
        for (path, text) in self.texts("deny_globs", value) {
            self.deny_glob(path, text);
        }
    }

    fn deny_glob(&mut self, path: String, text: String) {
        match globs::compile(&text) {
            Ok(_) if self.output.deny_globs.contains(&text) => {}
            Ok(_) => self.output.deny_globs.push(text),
            Err(_) if text.starts_with('/') || text.split(['/', '\\']).any(|part| part == "..") => {
                let message = format!(
                    "`{text}` was left out: a plan can never touch a path outside the workspace"
                );
                self.note(path, message);
            }
            Err(error) => self.note(path, format!("`{text}` was left out: it {error}")),
        }
    }

    fn max_diff_lines(&mut self, value: &Value) {
        match value.as_u64() {
            Some(lines) if lines <= 5000 => self.output.max_diff_lines = Some(lines),
            _ => self.note("max_diff_lines", "is not a number from 0 to 5000; the default is 800"),
        }
    }

    fn llm(&mut self, value: Value) {
        let Value::Object(llm) = value else {
            return self.note("llm", "is not a map and was left out");
        };
        for (key, value) in llm {
            let path = format!("llm.{key}");
            if key == "model" && value.as_str().is_some_and(|model| WITHDRAWN.contains(&model)) {
                self.note(
                    path,
                    "names a model that its provider has withdrawn; the default is used",
                );
                continue;
            }
            let document = serde_json::json!({
                "version": VERSION, "allowed_dirs": ["."], "llm": {key.clone(): value.clone()}
            });
            match snapshot::compile(&document.to_string(), &AnyDirectory) {
                Ok(_) => {
                    self.output.llm.insert(key, value);
                }
                Err(faults) => self.rejected(&path, faults),
            }
        }
    }

    fn ours(&mut self, key: String, value: Value) {
        let document = serde_json::json!({
            "version": VERSION, "allowed_dirs": ["."], key.clone(): value.clone()
        });
        match snapshot::compile(&document.to_string(), &AnyDirectory) {
            Ok(_) => {
                self.output.ours.insert(key, value);
            }
            Err(faults) => self.rejected(&key, faults),
        }
    }

    fn rejected(&mut self, path: &str, faults: Vec<Fault>) {
        let why: Vec<_> = faults.into_iter().map(|fault| fault.message).collect();
        self.note(path, format!("was left out: {}", why.join("; ")));
    }

    /// The texts of a list with their paths; other items are reported.
    fn texts(&mut self, path: &str, value: &Value) -> Vec<(String, String)> {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            one @ Value::String(_) => std::slice::from_ref(one),
            _ => {
                self.note(path, "is not a list of texts and was left out");
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}.{index}");
            match item.as_str() {
                Some(text) => texts.push((path, text.to_owned())),
                None => self.note(path, "is not a text and was left out"),
            }
        }
        texts
    }

    fn finish(mut self, text: &str) -> Result<Converted, Vec<Fault>> {
        let output = serde_yaml::to_string(&self.output)
            .map_err(|error| vec![Fault::new("", format!("cannot be written: {error}"))])?;
        // Verifies the guarantee of `Converted::text`.
        snapshot::compile(&output, &AnyDirectory)?;
        yaml::locate_all(text, &mut self.notes);
        self.notes.sort_by_key(|note| (note.line.is_none(), note.line, note.column));
        let allowed_dirs = self.output.allowed_dirs;
        Ok(Converted { text: output, allowed_dirs, notes: self.notes })
    }
}

#[cfg(test)]
mod tests;
