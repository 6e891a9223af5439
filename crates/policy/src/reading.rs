//! Reads a text into a raw document. Every stage continues with the valid part of the previous result.

use life_agent_domain::governance::fault::{Fault, read_all};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::yaml;

/// The maximum number of reported faults.
const MAX_FAULTS: usize = 100;

/// Faults collected stage by stage.
#[derive(Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault, unless its value or an enclosing value already has one, because the new fault may only be
    /// its consequence.
    pub(crate) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        let path = path.into();
        let known = |fault: &Fault| {
            path.strip_prefix(&fault.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let full = self.0.len() >= MAX_FAULTS;
        if !full && !self.0.iter().any(|fault| !fault.path.is_empty() && known(fault)) {
            self.0.push(Fault::new(path, message));
        }
    }

    /// All faults with their places, in the order of the text; `None` without faults.
    pub(crate) fn finish(self, text: &str) -> Option<Vec<Fault>> {
        let mut faults = self.0;
        yaml::locate_all(text, &mut faults);
        faults.sort_by_key(|it| (it.line.is_none(), it.line, it.column, it.path.clone()));
        if faults.is_empty() { None } else { Some(faults) }
    }
}

/// Reads a raw document and checks its ranges. Faulty values are reported and left out.
pub(crate) fn read<T>(text: &str) -> Result<(T, Faults), Vec<Fault>>
where
    T: DeserializeOwned + garde::Validate<Context = ()>,
{
    let (mut value, unread) = yaml::read(text).map_err(|fault| vec![fault])?;
    let mut faults = Faults::default();
    unread.into_iter().for_each(|fault| faults.add(fault.path, fault.message));
    let Some(raw) = read_rest::<T>(&mut value, &mut faults) else {
        return Err(faults.finish(text).unwrap_or_default());
    };
    if let Err(report) = raw.validate() {
        for (path, error) in report.into_inner() {
            // garde writes lists as `rules[0]`, and keys that are Rust keywords as `r#match`.
            let path = path.to_string().replace('[', ".").replace(']', "").replace("r#", "");
            faults.add(path, tidy_range(error.message()));
        }
    }
    Ok((raw, faults))
}

/// Reads the valid values. A faulty value is left out of a map. In a list, an empty map or text takes its place,
/// so that later items keep their numbers (in a list of names neither fits, and numbers do not matter).
fn read_rest<T: DeserializeOwned>(value: &mut Value, faults: &mut Faults) -> Option<T> {
    for filler in [Value::Object(Map::new()), Value::String(String::new()), Value::Null] {
        match read_all::<T>(value.clone()) {
            Ok(raw) => return Some(raw),
            Err(wrong) => {
                for fault in wrong {
                    replace(value, &fault.path, &filler);
                    faults.add(fault.path, fault.message);
                }
            }
        }
        if filler.is_null() {
            drop_nulls(value);
        }
    }
    read_all(value.clone()).ok()
}

fn replace(value: &mut Value, path: &str, filler: &Value) {
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut keys = parents.split('.').filter(|key| !key.is_empty());
    let parent = keys.try_fold(value, |inner, key| match inner {
        Value::Object(map) => map.get_mut(key),
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    });
    match parent {
        Some(Value::Object(map)) => {
            map.remove(last);
        }
        Some(Value::Array(items)) => {
            let item = last.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            if let Some(item) = item {
                *item = filler.clone();
            }
        }
        _ => {}
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        Value::Object(map) => map.values_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Turns garde's message into a fault.
fn tidy_range(message: &str) -> String {
    if message == "not set" {
        return "is missing".to_owned();
    }
    if let Some(rest) = message.strip_prefix("length is ") {
        return format!("must not have a length {rest}");
    }
    match message.starts_with("lower than ") || message.starts_with("greater than ") {
        true => format!("must not be {message}"),
        false => message.to_owned(),
    }
}
