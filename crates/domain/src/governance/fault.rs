//! Faults in a document or a request body: all of them at once, each with the place it is in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fault {
    /// Where: keys and indexes joined by dots, as in `rules.0.match.kinds`; empty for the whole.
    pub path: String,
    /// What is wrong and what was expected.
    pub message: String,
    /// The line in the document, from 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<usize>,
    /// The column in the line, from 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<usize>,
}

impl Fault {
    /// A fault at a path.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), line: None, column: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "`{}`: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, " (line {line}, column {column})"),
            (Some(line), None) => write!(f, " (line {line})"),
            _ => Ok(()),
        }
    }
}

/// Reading stops there: more faults do not help a reader.
const MAX_FAULTS: usize = 100;

/// Reads a `T` and reports every unknown key and every value that does not fit, not just the first.
///
/// serde stops at the first error, so this asks again after taking out what was wrong. A `T` whose
/// fields are all optional (or defaulted) is read to its end; a missing required field ends it.
pub fn read_all<T: DeserializeOwned>(mut value: Value) -> Result<T, Vec<Fault>> {
    if !value.is_object() {
        // serde would take a list for a struct, field by field.
        return Err(vec![Fault::new("", "expected a map of keys and values")]);
    }
    let mut faults = Vec::new();
    let mut taken = TakenOut::default();
    loop {
        let mut unknown = Vec::new();
        let mut on_unknown = |path: serde_ignored::Path<'_>| unknown.push(path.to_string());
        let reader = serde_ignored::Deserializer::new(&value, &mut on_unknown);
        match serde_path_to_error::deserialize::<_, T>(reader) {
            Ok(read) => {
                for path in &unknown {
                    faults
                        .push(Fault::new(taken.original(&keys_of(path)).join("."), "unknown key"));
                }
                faults.sort();
                return if faults.is_empty() { Ok(read) } else { Err(faults) };
            }
            Err(error) => {
                let keys: Vec<String> = error.path().iter().map(segment).collect();
                let original = taken.original(&keys);
                let message = tidy_message(&error.inner().to_string());
                faults.push(Fault::new(original.join("."), message));
                if faults.len() == MAX_FAULTS || !take_out(&mut value, &keys) {
                    faults.sort();
                    return Err(faults);
                }
                taken.note(&original);
            }
        }
    }
}

fn segment(segment: &serde_path_to_error::Segment) -> String {
    segment.to_string().trim_matches(['[', ']']).to_owned()
}

/// The keys of a path as serde_ignored writes it; its `?` for the inside of an option is no key.
fn keys_of(path: &str) -> Vec<String> {
    path.split('.').filter(|key| *key != "?").map(str::to_owned).collect()
}

/// Which list items have been taken out, so that later faults keep the indexes that the author sees.
#[derive(Default)]
struct TakenOut(BTreeMap<Vec<String>, BTreeSet<usize>>);

impl TakenOut {
    fn note(&mut self, original: &[String]) {
        if let Some((last, parents)) = original.split_last()
            && let Ok(index) = last.parse()
        {
            self.0.entry(parents.to_vec()).or_default().insert(index);
        }
    }

    fn original(&self, keys: &[String]) -> Vec<String> {
        let mut path: Vec<String> = Vec::new();
        for key in keys {
            let gone = self.0.get(&path);
            let shifted = key.parse::<usize>().ok().zip(gone).map(|(index, gone)| {
                gone.iter().fold(index, |index, taken| index + usize::from(*taken <= index))
            });
            path.push(shifted.map_or_else(|| key.clone(), |index| index.to_string()));
        }
        path
    }
}

/// serde ends its messages with a place that means nothing for a value read before, and repeats a text
/// of the wrong type, which may be a credential in the wrong field: only its type is named.
fn tidy_message(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    let wrong = ["invalid type: ", "invalid value: "];
    let given = wrong.iter().find_map(|start| message.strip_prefix(start));
    match given.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((value, expected)) if value.starts_with("string") => {
            format!("expected {}, found a text", in_words(expected))
        }
        Some((value, expected)) => format!("expected {}, found {value}", in_words(expected)),
        None => message.to_owned(),
    }
}

/// serde's name for what was expected, as a person would say it.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a boolean" => "`true` or `false`",
        "a string" => "a text",
        "a map" => "a map of keys and values",
        _ if expected.starts_with("struct ") => "a map of keys and values",
        other => other,
    }
}

/// Removes the value at a path; false if there is none, so that reading again would not get further.
fn take_out(value: &mut Value, keys: &[String]) -> bool {
    let Some((last, parents)) = keys.split_last() else {
        return false;
    };
    let parent = parents.iter().try_fold(value, |inner, key| match inner {
        Value::Object(map) => map.get_mut(key),
        Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
        _ => None,
    });
    match parent {
        Some(Value::Object(map)) => map.remove(last).is_some(),
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Document {
        name: Option<String>,
        sizes: Vec<u8>,
        inner: Option<Inner>,
        map: BTreeMap<String, Inner>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        flag: bool,
    }

    fn paths(value: Value) -> Vec<String> {
        match read_all::<Document>(value) {
            Ok(_) => vec![],
            Err(faults) => faults.into_iter().map(|fault| fault.path).collect(),
        }
    }

    #[test]
    fn every_fault_is_reported_with_its_place() {
        assert!(paths(json!({"name": "x", "inner": {"flag": true}})).is_empty());
        let bad = json!({
            "name": 7,
            "nmae": "x",
            "sizes": [1, "two", 3, "four", "five"],
            "inner": {"flag": "yes", "flog": 1},
            "map": {"a": {"flag": 0}, "b": {"x": 0}},
        });
        assert_eq!(
            paths(bad),
            [
                "inner.flag",
                "inner.flog",
                "map.a.flag",
                "map.b.x",
                "name",
                "nmae",
                "sizes.1",
                "sizes.3",
                "sizes.4"
            ]
        );
        assert_eq!(paths(json!([])), [""]);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_not_repeated() {
        let message = |value: Value| read_all::<Document>(value).unwrap_err().remove(0).message;
        let text = message(json!({"inner": {"flag": "hunter2 \" , expected x"}}));
        assert_eq!(text, "expected `true` or `false`, found a text");
        assert_eq!(message(json!({"sizes": {"hunter2": 1}})), "expected a list, found map");
        assert_eq!(
            message(json!({"inner": 4711})),
            "expected a map of keys and values, found integer `4711`"
        );
        assert_eq!(
            message(json!({"sizes": [-1]})),
            "expected a whole number of 0 or more, found integer `-1`"
        );
    }
}
