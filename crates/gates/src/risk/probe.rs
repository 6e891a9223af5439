//! A cheaper expression that finds at least what another one finds.
//!
//! Counted repetitions and wide gaps (`tell .. password`) are what makes an automaton large: each
//! count and each gap that is open is a state, and a set of patterns has the product of them. Without
//! them the whole set fits into one small automaton; what it finds too much is looked at again with
//! the expression itself.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassBytesRange, Hir, HirKind, Repetition};

/// Least counts above this are lowered to it.
const MOST_REPEATED: u32 = 3;
/// A class of more bytes than this leaves the rest of the expression to be waited for.
const WIDE: usize = 64;

/// The expression without its counts and gaps; none if it does not parse.
pub(super) fn probe(source: &str) -> Option<String> {
    let hir = ParserBuilder::new().utf8(false).build().parse(source).ok()?;
    Some(without_gaps(relaxed(&hir)).to_string())
}

/// Where the whole of a sequence is found, each part of it is: the rarest part will do. Only at the
/// top, where nothing has to follow the part.
fn without_gaps(hir: Hir) -> Hir {
    match hir.kind() {
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.iter().cloned().map(without_gaps).collect())
        }
        HirKind::Concat(parts) => {
            let between_gaps = parts.split(is_gap).map(|part| Hir::concat(part.to_vec()));
            between_gaps.max_by_key(bits).unwrap_or_else(Hir::empty)
        }
        _ => hir,
    }
}

/// Every step makes the language larger or leaves it: groups do not matter, and a repetition that may
/// begin earlier and never has to end matches whatever the counted one does.
fn relaxed(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Capture(group) => relaxed(&group.sub),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(relaxed).collect()),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(relaxed).collect()),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            min: repetition.min.min(MOST_REPEATED),
            max: repetition.max.filter(|max| *max <= 1),
            greedy: repetition.greedy,
            sub: Box::new(relaxed(&repetition.sub)),
        }),
        _ => hir.clone(),
    }
}

/// How rare a match is: the bits that a random text would have to hit.
fn bits(hir: &Hir) -> u32 {
    match hir.kind() {
        HirKind::Literal(literal) => 8 * u32::try_from(literal.0.len()).unwrap_or(u32::MAX / 8),
        HirKind::Class(Class::Bytes(class)) => {
            8 - class.ranges().iter().map(ClassBytesRange::len).sum::<usize>().max(1).ilog2()
        }
        HirKind::Class(Class::Unicode(_)) => 1,
        HirKind::Capture(group) => bits(&group.sub),
        HirKind::Repetition(repetition) => bits(&repetition.sub) * repetition.min,
        HirKind::Concat(parts) => parts.iter().map(bits).sum(),
        HirKind::Alternation(parts) => parts.iter().map(bits).min().unwrap_or(0),
        HirKind::Empty | HirKind::Look(_) => 0,
    }
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
            class.ranges().iter().map(ClassBytesRange::len).sum::<usize>() > WIDE
        }
        HirKind::Class(Class::Unicode(_)) => true,
        HirKind::Capture(group) => has_wide_class(&group.sub),
        HirKind::Repetition(repetition) => has_wide_class(&repetition.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(has_wide_class),
        _ => false,
    }
}
