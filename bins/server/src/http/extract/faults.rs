//! Validation faults: all of them, each with its field.

use std::ops::RangeInclusive;

use life_agent_engine::domain::governance::fault::Fault;

use crate::http::errors::ApiError;

/// Collects faults while a request is being read.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Starts with faults that were found earlier.
    pub fn of(found: Vec<Fault>) -> Self {
        Self(found)
    }

    /// Whether there are no faults yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a fault.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault::new(path, message));
    }

    /// The value of a required field. A field that is present but invalid is not reported as missing.
    pub fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.concern(field) {
            self.add(field, "missing field");
        }
        value
    }

    /// The text if its length in characters is within bounds.
    pub fn length(
        &mut self,
        field: &str,
        text: String,
        bounds: RangeInclusive<usize>,
    ) -> Option<String> {
        // Counting stops beyond the bound: the text may be a megabyte.
        let length = match text.is_ascii() {
            true => text.len(),
            false => text.chars().take(bounds.end() + 1).count(),
        };
        if bounds.contains(&length) {
            return Some(text);
        }
        let (least, most) = bounds.into_inner();
        self.add(field, format!("must have {least} to {most} characters"));
        None
    }

    /// A text without a NUL character, which not every store can hold in a column of its own.
    pub fn without_nul(&mut self, field: &str, text: String) -> Option<String> {
        if !text.contains('\0') {
            return Some(text);
        }
        self.add(field, "must not contain a NUL character");
        None
    }

    /// The value if there are no faults.
    pub fn result<T>(mut self, value: Option<T>) -> Result<T, ApiError> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => {
                self.0.sort();
                Err(ApiError::validation(self.0))
            }
        }
    }

    fn concern(&self, field: &str) -> bool {
        let inside =
            |path: &str| path.strip_prefix(field).is_some_and(|rest| rest.starts_with('.'));
        self.0.iter().any(|fault| fault.path == field || inside(&fault.path))
    }
}
