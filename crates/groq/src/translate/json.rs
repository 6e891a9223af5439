//! Reads and writes JSON objects whose values keep their bytes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A field that has no counterpart in the other API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {reason}")]
pub struct Untranslatable {
    /// The path of the field, as in `messages.2.content.0.type`.
    pub field: String,
    /// Why it is not translated, and what to do instead.
    pub reason: String,
}

impl Untranslatable {
    pub(super) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

pub(super) type Result<T> = std::result::Result<T, Untranslatable>;

/// The fields of an object that were not read yet.
pub(super) struct Fields<'a> {
    /// The path of the object; empty for the outermost.
    place: String,
    fields: Vec<(String, &'a RawValue)>,
    /// The API that lacks what is left, for messages.
    missing_in: &'static str,
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Reader<'a> {
            type Value = Members<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'a RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader(std::marker::PhantomData))
    }
}

impl<'a> Fields<'a> {
    pub(super) fn read(
        place: impl Into<String>,
        text: &'a str,
        missing_in: &'static str,
    ) -> Result<Self> {
        let place = place.into();
        match serde_json::from_str::<Members<'a>>(text) {
            Ok(Members(fields)) => Ok(Self { place, fields, missing_in }),
            Err(_) => Err(Untranslatable::new(place, "must be an object")),
        }
    }

    /// The path of a field.
    pub(super) fn at(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    /// Removes fields; returns whether there were any.
    pub(super) fn discard(&mut self, names: &[String]) -> bool {
        let before = self.fields.len();
        self.fields.retain(|(name, _)| !names.iter().any(|dropped| dropped == name));
        self.fields.len() != before
    }

    /// Removes a field whose value says nothing that changes the response.
    pub(super) fn ignore(&mut self, name: &str) {
        self.fields.retain(|(field, _)| field != name);
    }

    /// Takes a field; `None` for `null`.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        let (_, value) = self.fields.remove(at);
        (value.get() != "null").then_some(value)
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>> {
        self.typed(name, "must be a text")
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>> {
        self.typed(name, "must be `true` or `false`")
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<&'a RawValue>>> {
        self.typed(name, "must be a list")
    }

    pub(super) fn value(&mut self, name: &str) -> Result<Option<Value>> {
        self.typed(name, "must be JSON")
    }

    /// A text that must be there.
    pub(super) fn required_text(&mut self, name: &str) -> Result<String> {
        let place = self.at(name);
        self.text(name)?.ok_or_else(|| Untranslatable::new(place, "is missing"))
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Fields<'a>>> {
        let place = self.at(name);
        let missing_in = self.missing_in;
        self.take(name).map(|raw| Fields::read(place, raw.get(), missing_in)).transpose()
    }

    fn typed<T: Deserialize<'a>>(&mut self, name: &str, expected: &str) -> Result<Option<T>> {
        let place = self.at(name);
        let Some(raw) = self.take(name) else { return Ok(None) };
        let read = serde_json::from_str(raw.get());
        read.map(Some).map_err(|_| Untranslatable::new(place, expected))
    }

    /// The error of a field that was read and has no counterpart.
    pub(super) fn refuse(&self, name: &str, what: &str) -> Untranslatable {
        Untranslatable::new(
            self.at(name),
            format!("{what} has no counterpart in {}", self.missing_in),
        )
    }

    /// Fails if a field is left that says something.
    pub(super) fn finish(self) -> Result<()> {
        let says = |raw: &RawValue| !matches!(raw.get().trim(), "null" | "[]" | "{}" | "\"\"");
        match self.fields.iter().find(|(_, raw)| says(raw)) {
            None => Ok(()),
            Some((name, _)) => {
                let reason = format!(
                    "has no counterpart in {}, the API of this model's provider; leave it out",
                    self.missing_in
                );
                Err(Untranslatable::new(self.at(name), reason))
            }
        }
    }
}

/// An object that is written member by member.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// An object with a `type`.
    pub(super) fn of_type(kind: &str) -> Self {
        Self::new().text("type", kind)
    }

    /// Adds a member whose value is JSON already.
    #[must_use]
    pub(super) fn raw(mut self, name: &str, json: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    #[must_use]
    pub(super) fn raw_if(self, name: &str, json: Option<&RawValue>) -> Self {
        match json {
            Some(json) => self.raw(name, json.get()),
            None => self,
        }
    }

    #[must_use]
    pub(super) fn text(self, name: &str, text: &str) -> Self {
        self.raw(name, &quoted(text))
    }

    #[must_use]
    pub(super) fn list(self, name: &str, items: &[String]) -> Self {
        self.raw(name, &list(items))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    pub(super) fn done(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

pub(super) fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Whether a text is a JSON object; the text without white space around it if so.
pub(super) fn as_object(text: &str) -> Option<&str> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    raw.get().starts_with('{').then(|| raw.get())
}
