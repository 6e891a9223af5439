//! Patterns with look-around or back-references: a plain approximation finds the stretches of text
//! worth a search, and each stretch has a budget.

use std::sync::Arc;

use fancy_regex::{Assertion, Expr, RegexInput};

use super::linear::{self, Linear};
use super::{BadPattern, Found};

/// Most characters that may be read between two backtracks, and that a match may span.
pub(super) const MAX_REACH: usize = 192;
/// What a look-around costs beside its characters: as much as so many of them.
pub(super) const LOOK: usize = 40;
/// Bytes of text that share a budget.
const STRETCH: usize = 4096;
/// What a stretch may cost, in nanoseconds: 16 of them, 64 KiB, stay below 50 ms.
const BUDGET: usize = 2_800_000;
/// What a backtrack costs, in nanoseconds, beside a nanosecond for each character that is read.
const BACKTRACK: usize = 30;
/// Largest compiled part of a pattern, in bytes, and most instructions.
const MAX_COMPILED: usize = 1 << 20;
const MAX_INSTRUCTIONS: usize = 10_000;

/// A compiled pattern.
pub(super) struct Backtracking {
    /// Finds whatever `exact` finds, and more.
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
            // Its rewriting of patterns was found unsound more than once; nothing here needs it.
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
            // Matches that start before `next` are looked for here, later ones in the next stretch.
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
        // It parsed; what may go wrong after that is a part that grows too large.
        _ => BadPattern::TooLarge,
    }
}

/// Walks a pattern for what it may read, and leaves out what a plain engine cannot do.
#[derive(Default)]
struct Survey {
    /// What each group may span, in the order of their opening; none while it is open.
    groups: Vec<Option<usize>>,
}

/// A part of a pattern. `usize::MAX` stands for no bound.
struct Visited {
    /// Matches wherever the part does, and has neither look-around nor back-references.
    plain: Expr,
    /// Most characters that a match spans.
    length: usize,
    /// Most characters that are read between two backtracks, by look-around too.
    reach: usize,
    /// Whether it takes the backtracking engine, which then keeps a way back for each repetition that
    /// need not be; a plain part is read in one go.
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
                // Groups count from 1; one that is still open would refer to itself.
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
