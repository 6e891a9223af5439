//! The request that gates judge, with the work that one gate leaves to the next.

use std::any::Any;
use std::cell::{Cell, OnceCell};

use super::Command;
use crate::governance::gate::Trace;
use crate::governance::ids::Principal;

/// What the gates computed of a request.
pub(crate) type Computed = Box<dyn Any + Send + Sync>;

/// A request on its way through the chain.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The name of the caller's key.
    pub principal: &'a Principal,
    /// The request.
    pub command: Command<'a>,
    /// The findings of the gates that have judged so far.
    pub trace: Trace,
    shared: OnceCell<Computed>,
    is_free_of_credentials: Cell<bool>,
}

impl<'a> Subject<'a> {
    /// A request that no gate has judged yet.
    pub fn new(principal: &'a Principal, command: Command<'a>) -> Self {
        Self {
            principal,
            command,
            trace: Trace::default(),
            shared: OnceCell::new(),
            is_free_of_credentials: Cell::new(false),
        }
    }

    /// Reports that a gate read all texts of the request, also across their seams, and found no
    /// credential. Redaction then need not read the seams again.
    pub fn report_free_of_credentials(&self) {
        self.is_free_of_credentials.set(true);
    }

    /// Whether a gate reported that.
    pub fn is_free_of_credentials(&self) -> bool {
        self.is_free_of_credentials.get()
    }

    /// A value that several gates need and only the first computes, such as a parsed command. A subject
    /// holds one value; asking for another type gives `None`.
    pub fn shared<T: Any + Send + Sync>(&self, compute: impl FnOnce() -> T) -> Option<&T> {
        self.shared.get_or_init(|| Box::new(compute())).downcast_ref()
    }

    /// The shared value if a gate has computed one of this type.
    pub fn computed<T: Any + Send>(&self) -> Option<&T> {
        self.shared.get()?.downcast_ref()
    }

    /// The findings, and the shared value.
    pub(crate) fn into_parts(self) -> (Trace, Option<Computed>) {
        (self.trace, self.shared.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::command::Turn;
    use crate::governance::ids::AgentId;

    #[test]
    fn a_shared_value_is_computed_once() {
        let turn = Turn { agent: AgentId::new("a").unwrap(), input: "x".to_owned() };
        let principal = Principal::new("p");
        let subject = Subject::new(&principal, Command::Turn(&turn));
        assert_eq!(subject.computed::<u32>(), None);
        assert_eq!(subject.shared(|| 7_u32), Some(&7));
        assert_eq!(subject.computed::<u32>(), Some(&7));
        assert_eq!(subject.shared(|| 8_u32), Some(&7));
        assert_eq!(subject.shared(String::new), None);
    }
}
