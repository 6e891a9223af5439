//! A budget of counted steps, so that a verdict does not depend on the load of the machine.

/// Why a command, or a part of it, counts as unparsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unparsed {
    /// The text is longer than the parser accepts.
    TooLong,
    /// Parsing or evaluating took more steps than allowed.
    TooComplex,
    /// Commands are nested too deeply.
    TooDeep,
    /// A quote, parenthesis or here-document does not end, or the grammar does not know the form.
    Syntax,
    /// The name of the program is only known when the command runs.
    UnknownProgram,
    /// An interpreter runs a text that is only known when the command runs.
    UnknownScript,
    /// The built-in rules could not be read.
    Rules,
    /// A text that is decoded and then run could not be decoded here.
    Undecodable,
}

/// Longest command in bytes. Longer ones are refused before any other work.
pub(crate) const MAX_TEXT: usize = 64 * 1024;
/// Most steps for one command, and for all commands of one call: roughly, bytes looked at.
pub const MAX_STEPS: u32 = 400_000;
/// Deepest nesting of substitutions, groups, functions and scripts in arguments, taken together.
pub(crate) const MAX_DEPTH: usize = 40;
/// Most invocations in one assessment.
pub(crate) const MAX_PARTS: usize = 2_000;

/// Steps left. Exceeding it is sticky.
#[derive(Debug)]
pub(crate) struct Budget {
    given: u32,
    left: u32,
}

impl Budget {
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self::of(MAX_STEPS)
    }

    /// At most this many steps, and at most those of one command.
    pub(crate) fn of(steps: u32) -> Self {
        let given = steps.min(MAX_STEPS);
        Self { given, left: given }
    }

    /// Uses `steps`; an error once the budget is exhausted.
    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), Unparsed> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Unparsed::TooComplex)
            }
        }
    }

    /// Steps used so far.
    pub(crate) fn used(&self) -> u32 {
        self.given - self.left
    }
}
