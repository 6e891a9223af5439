//! The gates in order.

use super::Gate;
use crate::governance::redaction::Redact;

/// A non-empty sequence of gates, and the redactor that ends it.
pub struct Chain {
    first: Box<dyn Gate>,
    rest: Vec<Box<dyn Gate>>,
    redactor: Box<dyn Redact>,
}

impl Chain {
    /// A chain of at least one gate.
    pub fn new(first: Box<dyn Gate>, rest: Vec<Box<dyn Gate>>, redactor: Box<dyn Redact>) -> Self {
        Self { first, rest, redactor }
    }

    /// Adds a gate after all others. It can refuse more, never allow more.
    #[must_use]
    pub fn with(mut self, gate: Box<dyn Gate>) -> Self {
        self.rest.push(gate);
        self
    }

    /// The gates in the order in which they run.
    pub fn gates(&self) -> impl Iterator<Item = &dyn Gate> {
        std::iter::once(self.first.as_ref()).chain(self.rest.iter().map(|gate| gate.as_ref()))
    }

    /// Removes the secrets from texts.
    pub fn redactor(&self) -> &dyn Redact {
        self.redactor.as_ref()
    }
}

/// Observes each gate as it runs, for timing: this crate has no clock.
pub trait GateObserver {
    /// Must call `check` exactly once.
    fn gate(&self, name: &'static str, check: &mut dyn FnMut());
}

/// An observer that does nothing.
pub struct NoopObserver;

impl GateObserver for NoopObserver {
    fn gate(&self, _name: &'static str, check: &mut dyn FnMut()) {
        check();
    }
}
