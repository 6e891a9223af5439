//! A settings file that is edited in place: `{"hooks": {event: [entry, …]}, …}`.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstNode, CstObject, CstRootNode};
use serde_json::Value;

use super::{MAX_BYTES, SettingsError, calls_us};
use crate::dialect::Dialect;

/// The key that holds the hooks in the files of every host.
const HOOKS: &str = "hooks";

pub(super) struct Document {
    root: CstRootNode,
    object: CstObject,
}

impl Document {
    /// Reads a file; an empty one is an empty object.
    pub(super) fn parse(text: &str, comments: bool) -> Result<Self, SettingsError> {
        if text.len() > MAX_BYTES {
            return Err(SettingsError::TooLarge);
        }
        let options =
            ParseOptions { allow_comments: comments, allow_trailing_commas: comments, ..strict() };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let is_empty = text.trim().is_empty();
        let root = CstRootNode::parse(if is_empty { "{}\n" } else { text }, &options)
            .map_err(|error| SettingsError::Unreadable(error.to_string()))?;
        let object = root.object_value();
        let object = object.ok_or_else(|| SettingsError::Shape("the root".into(), "an object"))?;
        Ok(Self { root, object })
    }

    /// The file's text, ending in a line break.
    pub(super) fn finish(self) -> String {
        let text = self.root.to_string();
        if text.ends_with('\n') { text } else { format!("{text}\n") }
    }

    pub(super) fn value(&self) -> Value {
        self.object.to_serde_value().unwrap_or_default()
    }

    /// The names of all events that have entries.
    pub(super) fn events(&self) -> Result<Vec<String>, SettingsError> {
        let hooks = self.hooks()?;
        let names = hooks.iter().flat_map(CstObject::properties);
        let is_list =
            |name: &String| hooks.as_ref().is_some_and(|hooks| hooks.array_value(name).is_some());
        // Some hosts keep settings next to the events.
        Ok(names.filter_map(|property| property.decoded_name()).filter(is_list).collect())
    }

    /// The entries of an event.
    pub(super) fn entries(&self, event: &str) -> Result<Vec<Value>, SettingsError> {
        let list = self.list(event)?;
        let entries = list.iter().flat_map(CstArray::elements);
        Ok(entries.filter_map(|entry| entry.to_serde_value()).collect())
    }

    /// Adds an entry to an event.
    pub(super) fn append(&self, event: &str, entry: &Value) -> Result<(), SettingsError> {
        self.list(event)?;
        let hooks = self.object.object_value_or_set(HOOKS);
        let list = hooks.array_value_or_set(event);
        list.ensure_multiline();
        list.append(input(entry));
        Ok(())
    }

    /// Removes the entries of an event that `keep` does not accept, and single actions of ours from entries
    /// that hold others too. Returns whether something was removed.
    pub(super) fn retain(
        &self,
        event: &str,
        keep: &dyn Fn(&Value) -> bool,
        dialect: Dialect,
    ) -> Result<bool, SettingsError> {
        let mut removed = false;
        let list = self.list(event)?;
        for element in list.iter().flat_map(CstArray::elements) {
            let Some(entry) = element.to_serde_value() else { continue };
            if !keep(&entry) {
                element.remove();
                removed = true;
            } else if let Some(object) = element.as_object() {
                removed |= drop_mixed(&object, &entry, dialect);
            }
        }
        if let Some(list) = list.filter(|list| removed && list.elements().is_empty())
            && let Some(property) = self.hooks()?.and_then(|hooks| hooks.get(event))
        {
            drop(list);
            property.remove();
        }
        Ok(removed)
    }

    /// Removes `hooks` if it has no events.
    pub(super) fn drop_empty(&self) {
        let empty =
            self.object.object_value(HOOKS).is_some_and(|hooks| hooks.properties().is_empty());
        if let Some(property) = self.object.get(HOOKS).filter(|_| empty) {
            property.remove();
        }
    }

    /// Whether the file has no key but this one, and no comment.
    pub(super) fn holds_only(&self, key: Option<&str>) -> bool {
        let other = |name: Option<String>| name.as_deref() != key;
        let text = self.root.to_string();
        !self.object.properties().iter().any(|property| other(property.decoded_name()))
            && !text.contains("//")
            && !text.contains("/*")
    }

    pub(super) fn set_if_absent(&self, key: &str, value: &Value) {
        if self.object.get(key).is_none() {
            self.object.insert(0, key, input(value));
        }
    }

    fn hooks(&self) -> Result<Option<CstObject>, SettingsError> {
        let Some(property) = self.object.get(HOOKS) else { return Ok(None) };
        let object = property.object_value();
        object.map(Some).ok_or_else(|| SettingsError::Shape(HOOKS.into(), "an object"))
    }

    fn list(&self, event: &str) -> Result<Option<CstArray>, SettingsError> {
        let Some(property) = self.hooks()?.and_then(|hooks| hooks.get(event)) else {
            return Ok(None);
        };
        let list = property.array_value();
        list.map(Some).ok_or_else(|| SettingsError::Shape(format!("{HOOKS}.{event}"), "a list"))
    }
}

/// Removes our actions from an entry that holds actions of others as well.
fn drop_mixed(object: &CstObject, entry: &Value, dialect: Dialect) -> bool {
    let actions = entry.get(HOOKS).and_then(Value::as_array);
    let ours = |action: &Value| calls_us(action, dialect);
    let mixed = actions.is_some_and(|all| all.iter().any(ours) && !all.iter().all(ours));
    let Some(list) = object.array_value(HOOKS).filter(|_| mixed) else { return false };
    let is_ours = |node: &CstNode| node.to_serde_value().is_some_and(|action| ours(&action));
    list.elements().into_iter().filter(is_ours).for_each(CstNode::remove);
    true
}

/// JSON as RFC 8259 has it.
fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(flag) => CstInputValue::Bool(*flag),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(map) => {
            let member = |(key, value): (&String, &Value)| (key.clone(), input(value));
            CstInputValue::Object(map.iter().map(member).collect())
        }
    }
}
