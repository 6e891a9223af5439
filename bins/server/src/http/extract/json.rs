//! From bytes to a checked document: fast for valid input, and with every fault for invalid input.

use std::fmt;
use std::marker::PhantomData;

use life_agent_engine::domain::governance::fault::{Fault, read_all};
use life_agent_engine::domain::governance::ids::AgentId;
use life_agent_engine::domain::governance::json_text;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use super::faults::Faults;
use crate::http::errors::{ApiError, Code};

/// The body of a call. Its fields are all optional to serde, so that one invalid field does not hide the next;
/// [`Document::check`] decides which are required.
pub trait Document: DeserializeOwned {
    /// The checked form.
    type Checked: Send + 'static;
    /// Whether the body may be missing.
    const OPTIONAL: bool = false;
    /// The field that a body of one JSON text stands for; such a document also accepts `null` as empty.
    const BARE: Option<&'static str> = None;
    /// Collects faults; returns a value only if there are none.
    fn check(self, faults: &mut Faults) -> Option<Self::Checked>;
    /// The agent that the call names, which the caller's key must be able to access.
    fn agent(_: &Self::Checked) -> Option<&AgentId> {
        None
    }
}

/// A struct that is read from a JSON object only; serde alone would also accept a list, field by field.
#[derive(Debug, Clone, PartialEq)]
pub struct Strict<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Strict<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = Strict<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Strict<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Strict)
            }
        }
        deserializer.deserialize_map(OfMap(PhantomData))
    }
}

/// The object that `null` or one JSON text stands for.
fn spelled_out(field: &str, text: &str) -> Option<String> {
    match text.trim_start().as_bytes().first()? {
        b'n' | b'"' => match serde_json::from_str(text).ok()? {
            Value::Null => Some("{}".to_owned()),
            value => Some(serde_json::json!({ field: value }).to_string()),
        },
        _ => None,
    }
}

/// Reads and checks a body.
pub(super) fn read<D: Document>(bytes: &[u8]) -> Result<D::Checked, ApiError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| malformed(&format!("byte {} is not UTF-8", error.valid_up_to())))?;
    let bare = D::BARE.and_then(|field| spelled_out(field, text));
    let text = bare.as_deref().unwrap_or(text);
    let mut unknown = false;
    let mut json = serde_json::Deserializer::from_str(text);
    let read = serde_ignored::deserialize::<_, _, Strict<D>>(&mut json, |_| unknown = true);
    let refused = match read.and_then(|read| json.end().map(|()| read)) {
        Ok(Strict(document)) if !unknown => {
            let mut faults = Faults::of(json_text::check(text).err().into_iter().collect());
            let checked = document.check(&mut faults);
            return faults.result(checked);
        }
        Ok(_) => None,
        Err(error) if error.classify() == Category::Data => Some(error),
        Err(error) => return Err(malformed(&error.to_string())),
    };
    Err(all_faults::<D>(text, refused))
}

/// Reads a body that is known to be wrong once more, for everything that is wrong with it.
fn all_faults<D: Document>(text: &str, refused: Option<serde_json::Error>) -> ApiError {
    let mut value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return malformed(&error.to_string()),
    };
    let found = read_all::<D>(value.clone()).err().unwrap_or_default();
    for fault in &found {
        take_out(&mut value, &fault.path);
    }
    let mut faults = Faults::of(found);
    if let Ok(Strict(document)) = Strict::<D>::deserialize(value) {
        // What is left can be read, so missing and out-of-bounds fields can be reported, too.
        let _ = document.check(&mut faults);
    }
    if faults.is_empty() {
        // A value holds each key once: only the first reading saw a field that was given twice.
        let message = refused.map_or_else(|| "is not usable".to_owned(), |error| error.to_string());
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        faults = Faults::of(vec![Fault::new(quoted(&message), message.clone())]);
    }
    match faults.result(None::<D::Checked>) {
        Ok(_) => ApiError::bare(Code::ValidationError),
        Err(error) => error,
    }
}

/// Removes what a fault is about. A list's item would shift those after it, so there the whole list
/// goes.
fn take_out(value: &mut Value, path: &str) {
    let Value::Object(fields) = value else { return };
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    match (fields.get_mut(key), rest) {
        (Some(inner @ Value::Object(_)), Some(rest)) => take_out(inner, rest),
        (Some(Value::Array(items)), Some(rest)) => {
            let inner = rest.split_once('.');
            let item = inner.and_then(|(index, rest)| {
                Some((items.get_mut(index.parse::<usize>().ok()?)?, rest))
            });
            match item {
                Some((item, rest)) => take_out(item, rest),
                None => {
                    fields.remove(key);
                }
            }
        }
        // An unknown key may have a dot in it; no program reads it, so it may stay.
        (_, Some(_)) => {}
        (_, None) => {
            fields.remove(key);
        }
    }
}

/// The field that a message of serde names.
fn quoted(message: &str) -> &str {
    message.split('`').nth(1).unwrap_or_default()
}

fn malformed(why: &str) -> ApiError {
    ApiError::new(Code::MalformedJson, format!("the body is not JSON: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Sample {
        agent_id: Option<AgentId>,
        input: Option<String>,
        limit: Option<u8>,
        items: Option<Vec<Strict<Item>>>,
        #[serde(rename = "any")]
        _any: Option<Value>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Item {
        role: Option<String>,
    }

    impl Document for Sample {
        type Checked = (AgentId, String);
        fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
            let agent = faults.required("agent_id", self.agent_id);
            for (n, Strict(item)) in self.items.into_iter().flatten().enumerate() {
                faults.required(&format!("items.{n}.role"), item.role);
            }
            if self.limit == Some(0) {
                faults.add("limit", "must be at least 1");
            }
            let input = faults.required("input", self.input);
            let input = input.and_then(|text| faults.length("input", text, 1..=3));
            Some((agent?, input?))
        }
    }

    fn outcome(text: &[u8]) -> (u16, Vec<String>) {
        match read::<Sample>(text) {
            Ok(_) => (200, vec![]),
            Err(error) => {
                let body = serde_json::to_value(error.envelope("")).unwrap();
                let details = body["error"]["details"].as_array().cloned().unwrap_or_default();
                let path = |fault: &Value| fault["path"].as_str().unwrap().to_owned();
                (error.code.status().as_u16(), details.iter().map(path).collect())
            }
        }
    }

    fn check(text: &str, status: u16, paths: &[&str]) {
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        assert_eq!(outcome(text.as_bytes()), (status, paths), "{text}");
    }

    #[test]
    fn what_is_right_is_read() {
        check(r#" {"agent_id":"a","input":"äöü","items":[{"role":"x"}]} "#, 200, &[]);
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        check("{}", 422, &["agent_id", "input"]);
        check(
            r#"{"agent_id":7,"inptu":"x","limit":300}"#,
            422,
            &["agent_id", "inptu", "input", "limit"],
        );
        check(r#"{"agent_id":"a b","input":""}"#, 422, &["agent_id", "input"]);
        check(r#"{"agent_id":"a","input":"four"}"#, 422, &["input"]);
        check(
            r#"{"agent_id":"a","input":"x","items":[{"role":1},{"rule":""}]}"#,
            422,
            &["items.0.role", "items.1.role", "items.1.rule"],
        );
        check(r#"{"agent_id":null,"input":"x"}"#, 422, &["agent_id"]);
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        check(r#"{"agent_id":"a","input":"x","agent_id":"b"}"#, 422, &["agent_id"]);
        check(
            r#"{"agent_id":"a","input":"x","any":[{"b":{"to":1,"to":2}}]}"#,
            422,
            &["any.0.b.to"],
        );
    }

    #[test]
    fn a_number_that_would_lose_digits_is_refused() {
        check(r#"{"agent_id":"a","input":"x","any":1.50}"#, 200, &[]);
        check(
            r#"{"agent_id":"a","input":"","any":12345678901234567890123}"#,
            422,
            &["any", "input"],
        );
    }

    #[test]
    fn a_list_is_no_object() {
        check(r#"["a","x"]"#, 422, &[""]);
        check(r#"{"agent_id":"a","input":"x","items":[["x"]]}"#, 422, &["items.0"]);
        check("null", 422, &[""]);
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        for text in [
            "",
            "{",
            "{} x",
            r#"{"agent_id":"a",}"#,
            "{'a':1}",
            r#"{"input":"\ud800"}"#,
            "NaN",
            "\u{feff}{}",
        ] {
            check(text, 400, &[]);
        }
        check(&"[".repeat(100_000), 400, &[]);
        check(&format!(r#"{{"x":{}1{}}}"#, "[".repeat(200), "]".repeat(200)), 400, &[]);
        assert_eq!(outcome(b"{\"input\":\"\xff\"}").0, 400);
        assert_eq!(outcome(b"{\"unknown\":\"\xff\"}").0, 400);
    }

    proptest! {
        #[test]
        fn no_bytes_and_no_json_can_end_the_process(bytes: Vec<u8>, text: String, number: f64) {
            prop_assert!([200, 400, 422].contains(&outcome(&bytes).0));
            let body = json!({"agent_id": text, "input": number, text.clone(): [number]});
            prop_assert_eq!(outcome(body.to_string().as_bytes()).0, 422);
        }
    }
}
