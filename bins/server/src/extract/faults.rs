//! What is wrong with what was sent: all of it, each with its field.

use std::ops::RangeInclusive;

use life_agent_engine::domain::governance::fault::Fault;

use crate::errors::ApiError;

/// Collects faults while a request is being read.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Starts with those that were found before.
    pub fn of(found: Vec<Fault>) -> Self {
        Self(found)
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes a fault.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault::new(path, message));
    }

    /// The value of a field that must be there. One that was there and wrong is not called missing.
    pub fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.concern(field) {
            self.add(field, "missing field");
        }
        value
    }

    /// The text if it has so many characters.
    pub fn length(
        &mut self,
        field: &str,
        text: String,
        bounds: RangeInclusive<usize>,
    ) -> Option<String> {
        // Counting ends beyond the bound: the text may be a megabyte.
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

    /// The value if nothing is wrong.
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
