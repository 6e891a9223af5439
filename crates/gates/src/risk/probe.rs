//! A cheaper expression that finds at least what another one finds.
//!
//! Counted repetitions and wide gaps (`tell .. password`) are what makes an automaton large: each
//! count and each gap that is open is a state, and a set of patterns has the product of them. Without
//! them the whole set fits into one small automaton; what it finds too much is looked at again with
//! the expression itself.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// Least counts above this are lowered to it.
const MOST_REPEATED: u32 = 3;
/// A class of more bytes than this leaves the rest of the expression to be waited for.
const WIDE: usize = 64;

/// The expression without its counts and gaps; none if it does not parse.
pub(super) fn probe(source: &str) -> Option<String> {
    let hir = ParserBuilder::new().utf8(false).build().parse(source).ok()?;
    Some(relaxed(&hir).to_string())
}

/// Every step makes the language larger or leaves it: groups do not matter, a repetition that may
/// begin earlier and never has to end matches whatever the counted one does, and where the whole of a
/// sequence is found each part of it is.
fn relaxed(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Capture(group) => relaxed(&group.sub),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(relaxed).collect()),
        HirKind::Concat(parts) => {
            let between_gaps = parts.split(is_gap).map(|part| part.iter().map(relaxed).collect());
            let longest = between_gaps.map(Hir::concat).max_by_key(least_len);
            longest.unwrap_or_else(Hir::empty)
        }
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            min: repetition.min.min(MOST_REPEATED),
            max: repetition.max.filter(|max| *max <= 1),
            greedy: repetition.greedy,
            sub: Box::new(relaxed(&repetition.sub)),
        }),
        _ => hir.clone(),
    }
}

/// The fewest bytes that a match has; the longer, the rarer.
fn least_len(hir: &Hir) -> usize {
    hir.properties().minimum_len().unwrap_or(0)
}

/// Whether nearly anything may stand here, for long.
fn is_gap(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            repetition.max.is_none_or(|max| max > 1) && has_wide_class(&repetition.sub)
        }
        _ => false,
    }
}

fn has_wide_class(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Bytes(class)) => {
            let len = |range: &regex_syntax::hir::ClassBytesRange| range.len();
            class.ranges().iter().map(len).sum::<usize>() > WIDE
        }
        HirKind::Class(Class::Unicode(_)) => true,
        HirKind::Capture(group) => has_wide_class(&group.sub),
        HirKind::Repetition(repetition) => has_wide_class(&repetition.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(has_wide_class),
        _ => false,
    }
}
