//! Moves the long parts of a row's data into texts.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use life_agent_domain::governance::size::json_size;

use super::{FIELD, Item, Reference, RowTexts, Target, TextKind};

/// Rows up to this size stay as they are: a reference would save little.
const SMALL_ROW: usize = 2048;
/// Shortest text that is stored by itself, in bytes.
const MIN_TEXT: usize = 512;
/// Smallest list that is stored item by item, in bytes of JSON.
const MIN_LIST: usize = 1024;

/// The data of a row with references in place of its long texts and lists, and these texts. `None` if the data is
/// small, holds nothing long, or is not a JSON object: it stays as it is.
pub fn compact(data: &RawValue) -> Option<(Box<RawValue>, RowTexts)> {
    if data.get().len() <= SMALL_ROW {
        return None;
    }
    let mut fields: Map<String, Value> = serde_json::from_str(data.get()).ok()?;
    if fields.contains_key(FIELD) {
        return None;
    }
    let mut texts = RowTexts::default();
    let mut references = Vec::new();
    for (name, value) in &mut fields {
        let mut at = String::new();
        step(&mut at, name);
        move_parts(value, &mut at, Place::Row, &mut references, &mut texts);
    }
    texts.roots = references.iter().map(|one: &Reference| one.to.id()).collect();
    if texts.is_empty() {
        return None;
    }
    fields.insert(FIELD.to_owned(), serde_json::to_value(&references).ok()?);
    Some((to_raw_value(&fields).ok()?, texts))
}

/// Where a value is: lists of a row are stored item by item, lists within an item are part of the item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Row,
    Item,
}

/// Replaces the long parts of a value at a place by empty ones.
fn move_parts(
    value: &mut Value,
    at: &mut String,
    place: Place,
    references: &mut Vec<Reference>,
    texts: &mut RowTexts,
) {
    match value {
        Value::String(text) if text.len() >= MIN_TEXT => {
            let text = std::mem::take(text);
            let bytes = text.len();
            let to = Target::Text { text: texts.insert(TextKind::Text, text), bytes };
            references.push(Reference { at: at.clone(), to });
        }
        Value::Array(list) if place == Place::Row && json_size(list) >= MIN_LIST => {
            let list = std::mem::take(list);
            let items = list.len();
            if let Some(list) = move_list(list, texts) {
                references.push(Reference { at: at.clone(), to: Target::List { list, items } });
            }
        }
        Value::Array(list) => {
            for (n, one) in list.iter_mut().enumerate() {
                let length = at.len();
                step(at, &n.to_string());
                move_parts(one, at, place, references, texts);
                at.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let length = at.len();
                step(at, name);
                move_parts(field, at, place, references, texts);
                at.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Stores a list item by item; returns its last item.
fn move_list(list: Vec<Value>, texts: &mut RowTexts) -> Option<super::TextId> {
    let mut before = None;
    for mut item in list {
        let mut references = Vec::new();
        move_parts(&mut item, &mut String::new(), Place::Item, &mut references, texts);
        // Serializing a JSON value cannot fail.
        let body = serde_json::to_string(&Item { before, item, references }).unwrap_or_default();
        before = Some(texts.insert(TextKind::Item, body));
    }
    before
}

/// Adds a step to a JSON pointer (RFC 6901).
fn step(at: &mut String, name: &str) {
    at.push('/');
    for c in name.chars() {
        match c {
            '~' => at.push_str("~0"),
            '/' => at.push_str("~1"),
            c => at.push(c),
        }
    }
}
