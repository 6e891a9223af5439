//! Regular expressions with a bounded search time for every text.
//!
//! The form of a pattern selects one of three engines:
//!
//! * A plain pattern (no look-around, no back-reference) with few counted repetitions uses `regex`, whose time
//!   is proportional to the text times the number of concurrently active places of the pattern. `linear`
//!   bounds that number.
//! * A plain pattern with more counted repetitions uses a lazy DFA, which gives up instead of falling back to
//!   a slow simulation.
//! * A pattern with look-around or back-references uses `fancy-regex`. Its limit counts backtracks only, and
//!   each backtrack may read as far as a repetition reaches (10,000 of them took 600 ms on 64 KiB). Therefore
//!   `backtracking` also bounds the length of repetitions, and gives each section of the text a budget.
//!
//! Of 32 patterns at these bounds, the slowest takes 25 ms on the worst of ten hostile texts of 64 KiB (two
//! cores); harmless texts take 0.1 ms. `cargo run --release -p life-agent-policy --example pattern_cost`
//! measures them.

use std::fmt;

mod backtracking;
mod linear;

use backtracking::Backtracking;
use linear::Linear;

/// Most bytes that a pattern with look-around takes: its repetitions are short.
const BACKTRACKING_SIZE: usize = 128 * 1024;

/// Longest pattern, in characters.
pub const MAX_PATTERN_CHARS: usize = 1_000;

/// A regular expression whose search takes a bounded time on any text.
pub struct BoundedRegex {
    pattern: String,
    engine: Engine,
    size: usize,
}

enum Engine {
    Linear(Linear),
    Backtracking(Box<Backtracking>),
}

/// The result of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The text does not match.
    No,
    /// The first match, as byte offsets.
    At {
        /// Where it starts.
        start: usize,
        /// Where it ends, exclusive.
        end: usize,
    },
    /// The search reached its bound. This counts as a match: a text that exhausts a search is not harmless.
    LimitReached,
}

/// The reason for rejecting a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// More than [`MAX_PATTERN_CHARS`].
    #[error("must be at most {MAX_PATTERN_CHARS} characters long, this has {0}")]
    TooLong(usize),
    /// Not a regular expression.
    #[error("is not a regular expression: {0}")]
    Unreadable(String),
    /// The product of its counted repetitions is too large.
    #[error(
        "is too large with expanded counted repetitions; use `+`, smaller counts, or \
         `[0-9A-Za-z_]` for `\\w`"
    )]
    TooLarge,
    /// Many counted repetitions with a Unicode word boundary, which the lazy DFA does not support.
    #[error(
        "has a word boundary and counted repetitions of more than {max} characters in total; \
         use `(?-u:\\b)`, or smaller counts",
        max = linear::MAX_WEIGHT
    )]
    BoundaryBesideCounts,
    /// An unbounded repetition with look-around or a back-reference.
    #[error(
        "has look-around or a back-reference, so every repetition needs an upper bound, as in \
         `{{1,20}}` for `+`"
    )]
    Unbounded,
    /// A repetition that is too long with look-around or a back-reference.
    #[error(
        "has look-around or a back-reference, so it may read at most {max} characters at a time \
         (a look-around counts as {look} plus its own); this pattern reads {0}",
        max = backtracking::MAX_REACH,
        look = backtracking::LOOK
    )]
    TooFar(usize),
    /// A construct that `regex` does not support, other than look-around and back-references.
    #[error(
        "uses an unsupported feature other than look-around and back-references (such as an \
         atomic group, a condition, or look-around inside look-around)"
    )]
    Unsupported,
}

impl BoundedRegex {
    /// Compiles a pattern if its search can be bounded. The syntax is that of the crate `regex` plus `(?=…)`,
    /// `(?!…)`, `(?<=…)`, `(?<!…)` and `\1`.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        let chars = pattern.chars().count();
        if chars > MAX_PATTERN_CHARS {
            return Err(BadPattern::TooLong(chars));
        }
        let (engine, size) = match linear::parse(pattern)? {
            Some(hir) => {
                let size = linear::compiled_size(&hir)?;
                (Engine::Linear(Linear::new(pattern, &hir)?), size)
            }
            None => {
                (Engine::Backtracking(Box::new(Backtracking::new(pattern)?)), BACKTRACKING_SIZE)
            }
        };
        Ok(Self { pattern: pattern.to_owned(), engine, size })
    }

    /// About how many bytes the compiled pattern takes. A search may keep a few times as many.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The first match in `text`.
    pub fn find(&self, text: &str) -> Found {
        self.find_from(text, 0)
    }

    /// The first match that starts at byte `at` or later; look-behind sees the text before it.
    pub fn find_from(&self, text: &str, at: usize) -> Found {
        if at > text.len() {
            return Found::No;
        }
        let at = text.ceil_char_boundary(at);
        match &self.engine {
            Engine::Linear(linear) => linear.find_from(text, at),
            Engine::Backtracking(backtracking) => backtracking.find_from(text, at),
        }
    }

    /// Whether the text matches or exhausts the search.
    pub fn is_found(&self, text: &str) -> bool {
        !matches!(self.find(text), Found::No)
    }

    /// The pattern's text.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }
}

impl fmt::Debug for BoundedRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BoundedRegex").field(&self.pattern).finish()
    }
}

#[cfg(test)]
mod tests;
