//! Patterns with look-around or back-references: a plain approximation selects the sections of the text to
//! search, and each section has a budget.

use std::sync::Arc;

use fancy_regex::{Assertion, Expr, RegexInput};

use super::linear::{self, Linear};
use super::{BadPattern, Found};

/// The maximum number of characters between two backtracks, and of a match.
pub(super) const MAX_REACH: usize = 192;
/// The cost of a look-around in addition to its characters, in characters.
pub(super) const LOOK: usize = 40;
/// The length of a section with its own budget, in bytes.
const STRETCH: usize = 4096;
/// The budget of a section, in nanoseconds: 16 sections, 64 KiB, stay below 50 ms.
const BUDGET: usize = 2_800_000;
/// The cost of a backtrack in nanoseconds, in addition to one nanosecond per character.
const BACKTRACK: usize = 30;
/// The largest compiled part of a pattern, in bytes, and its maximum number of instructions.
const MAX_COMPILED: usize = 1 << 20;
const MAX_INSTRUCTIONS: usize = 10_000;

/// A compiled pattern.
pub(super) struct Backtracking {
    /// An approximation that finds every match of `exact`.
    candidates: Linear,
    exact: fancy_regex::Regex,
    /// Bytes that a match may span.
    reach: usize,
}

impl Backtracking {
    pub(super) fn new(pattern: &str) -> Result<Self, BadPattern> {
        let tree = Expr::parse_tree(pattern).map_err(|error| refusal(&error))?;
        let Visited { plain, length, reach, .. } = Survey::default().visit(&tree.expr, false)?;
        let reach = reach.max(length);
        if reach == usize::MAX {
            return Err(BadPattern::Unbounded);
        }
        if reach > MAX_REACH {
            return Err(BadPattern::TooFar(reach));
        }
        let mut approximation = String::new();
        plain.to_str(&mut approximation, 0);
        let hir = linear::parse(&approximation)?.ok_or(BadPattern::Unsupported)?;
        let exact = fancy_regex::RegexBuilder::new(pattern)
            .backtrack_limit(BUDGET / (BACKTRACK + reach))
            .delegate_size_limit(MAX_COMPILED)
            .max_prog_size(MAX_INSTRUCTIONS)
            // Known to be unsound in several cases, and not needed here.
            .optimize(false)
            .build()
            .map_err(|error| refusal(&error))?;
        Ok(Self { candidates: Linear::new(&approximation, &hir)?, exact, reach: reach * 4 })
    }

    pub(super) fn find_from(&self, text: &str, at: usize) -> Found {
        let mut from = at;
        loop {
            let start = match self.candidates.find_from(text, from) {
                Found::At { start, .. } => start,
                other => return other,
            };
            // Matches that start before `next` belong to this section, later matches to the next.
            let next = text.ceil_char_boundary(start + STRETCH);
            let end = text.ceil_char_boundary(next + self.reach);
            let input = RegexInput::new(text).from_pos(start).range(start..end);
            match self.exact.find_input(input) {
                Err(_) => return Found::LimitReached,
                Ok(Some(found)) if found.start() < next || next == text.len() => {
                    return Found::At { start: found.start(), end: found.end() };
                }
                Ok(_) if next == text.len() => return Found::No,
                Ok(_) => from = next,
            }
        }
    }
}

fn refusal(error: &fancy_regex::Error) -> BadPattern {
    match error {
        fancy_regex::Error::ParseError(_, error) => {
            BadPattern::Unreadable(error.to_string().to_lowercase())
        }
        // The pattern parsed, so the only remaining error is a part that is too large.
        _ => BadPattern::TooLarge,
    }
}

/// Measures the reach of a pattern, and builds the approximation without look-around and back-references.
#[derive(Default)]
struct Survey {
    /// The maximum span of each group, in the order of opening; `None` while the group is open.
    groups: Vec<Option<usize>>,
}

/// A part of a pattern. `usize::MAX` means unbounded.
struct Visited {
    /// Matches wherever the part matches, without look-around and back-references.
    plain: Expr,
    /// The maximum length of a match, in characters.
    length: usize,
    /// The maximum number of characters between two backtracks, including those of look-around.
    reach: usize,
    /// Whether the part needs the backtracking engine, which stores a backtrack point for each optional
    /// repetition; a plain part is matched in one pass.
    hard: bool,
}

impl Survey {
    fn visit(&mut self, expr: &Expr, in_look: bool) -> Result<Visited, BadPattern> {
        let same = |length| Ok(Visited { plain: expr.clone(), length, reach: length, hard: false });
        match expr {
            Expr::Empty
            | Expr::Assertion(
                Assertion::StartText
                | Assertion::EndText
                | Assertion::StartLine { crlf: false }
                | Assertion::EndLine { crlf: false }
                | Assertion::WordBoundary
                | Assertion::NotWordBoundary,
            ) => same(0),
            Expr::Any { .. } | Expr::Delegate { .. } => same(1),
            Expr::Literal { val, .. } => same(val.chars().count()),
            Expr::Concat(parts) => {
                self.visit_all(parts, in_look, Expr::Concat, usize::saturating_add)
            }
            Expr::Alt(parts) => self.visit_all(parts, in_look, Expr::Alt, usize::max),
            Expr::Group(inner) => {
                let number = self.groups.len();
                self.groups.push(None);
                let inner = self.visit(inner, in_look)?;
                self.groups[number] = Some(inner.length);
                Ok(Visited { plain: Expr::Group(Arc::new(inner.plain)), ..inner })
            }
            Expr::Repeat { child, lo, hi, greedy } => {
                let Visited { plain, length, reach, hard } = self.visit(child, in_look)?;
                let child = Box::new(plain);
                let plain = match *child {
                    Expr::Empty => Expr::Empty,
                    _ => Expr::Repeat { child, lo: *lo, hi: *hi, greedy: *greedy },
                };
                let in_one_go = if hard { (*lo).max(1) } else { *hi };
                let times = |chars: usize, n| if chars == 0 { 0 } else { chars.saturating_mul(n) };
                let (length, reach) = (times(length, *hi), times(reach, in_one_go));
                Ok(Visited { plain, length, reach, hard })
            }
            Expr::LookAround(inner, _) if !in_look => {
                let reach = self.visit(inner, true)?.reach.saturating_add(LOOK);
                Ok(Visited { plain: Expr::Empty, length: 0, reach, hard: true })
            }
            Expr::Backref { group, .. } if !in_look => {
                // Groups count from 1. A reference to an open group would refer to itself.
                let length = group.checked_sub(1).and_then(|at| self.groups.get(at).copied());
                let length = length.flatten().ok_or(BadPattern::Unsupported)?;
                let child = Box::new(Expr::Any { newline: true, crlf: false });
                let plain = Expr::Repeat { child, lo: 0, hi: length.max(1), greedy: true };
                Ok(Visited { plain, length, reach: length, hard: true })
            }
            _ => Err(BadPattern::Unsupported),
        }
    }

    fn visit_all(
        &mut self,
        parts: &[Expr],
        in_look: bool,
        plain: fn(Vec<Expr>) -> Expr,
        add: fn(usize, usize) -> usize,
    ) -> Result<Visited, BadPattern> {
        let (mut plains, mut length, mut reach, mut hard) = (Vec::new(), 0, 0, false);
        for part in parts {
            let part = self.visit(part, in_look)?;
            plains.push(part.plain);
            length = add(length, part.length);
            reach = add(reach, part.reach);
            hard |= part.hard;
        }
        Ok(Visited { plain: plain(plains), length, reach, hard })
    }
}
