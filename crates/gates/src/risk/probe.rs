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
pub(super) fn probe(source: &str) -> Option<Hir> {
    Some(folded(without_gaps(relaxed(&parsed(source)?))))
}

/// The expression as it stands; none if it does not parse.
pub(super) fn parsed(source: &str) -> Option<Hir> {
    ParserBuilder::new().utf8(false).build().parse(source).ok()
}

/// Where the whole of a sequence is found, each part of it is: the rarest part will do. Only at the
/// top, where nothing has to follow the part.
fn without_gaps(hir: Hir) -> Hir {
    match hir.kind() {
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.iter().cloned().map(without_gaps).collect())
        }
        HirKind::Concat(parts) => match parts.iter().position(is_choice_with_gaps) {
            // Not by way of an alternation, which would move the common parts back outside.
            Some(at) => Hir::alternation(spread(parts, at).into_iter().map(without_gaps).collect()),
            None => {
                let between_gaps = parts.split(is_gap).map(|part| Hir::concat(part.to_vec()));
                between_gaps.max_by_key(bits).unwrap_or_else(Hir::empty)
            }
        },
        _ => hir,
    }
}

/// `a(?:b|c)d` as `abd` and `acd`.
fn spread(parts: &[Hir], at: usize) -> Vec<Hir> {
    let HirKind::Alternation(choices) = parts[at].kind() else {
        return vec![Hir::concat(parts.to_vec())];
    };
    let around = |choice: &Hir| {
        Hir::concat([&parts[..at], std::slice::from_ref(choice), &parts[at + 1..]].concat())
    };
    choices.iter().map(around).collect()
}

fn is_choice_with_gaps(hir: &Hir) -> bool {
    let has_gap = |choice: &Hir| match choice.kind() {
        HirKind::Concat(parts) => {
            parts.iter().any(|part| is_gap(part) || is_choice_with_gaps(part))
        }
        _ => is_gap(choice),
    };
    matches!(hir.kind(), HirKind::Alternation(choices) if choices.iter().any(has_gap))
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

/// All alternatives, inner ones too, by what they begin with.
fn folded(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Alternation(parts) => factored(parts.into_iter().map(folded).collect()),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(folded).collect()),
        HirKind::Repetition(mut repetition) => {
            repetition.sub = Box::new(folded(*repetition.sub));
            Hir::repetition(repetition)
        }
        kind => rebuilt(kind),
    }
}

/// `cat|cut|curl` as `c(?:at|u(?:t|rl))`: what all alternatives begin with is a single state then, and
/// the cost of a step is the number of states.
fn factored(alternatives: Vec<Hir>) -> Hir {
    let mut heads: Vec<(Hir, Vec<Hir>)> = Vec::new();
    for alternative in alternatives {
        let (head, tail) = split_first(alternative);
        match heads.iter_mut().find(|(known, _)| *known == head) {
            Some((_, tails)) => tails.push(tail),
            None => heads.push((head, vec![tail])),
        }
    }
    let joined = heads.into_iter().map(|(head, mut tails)| match (head.kind(), tails.len()) {
        (HirKind::Empty, _) => Hir::empty(),
        (_, 1) => Hir::concat(vec![head, tails.remove(0)]),
        _ => Hir::concat(vec![head, factored(tails)]),
    });
    Hir::alternation(joined.collect())
}

/// The first letter or part of a sequence, and the rest of it.
fn split_first(hir: Hir) -> (Hir, Hir) {
    match hir.into_kind() {
        HirKind::Concat(mut parts) => {
            let (head, tail) = split_first(parts.remove(0));
            parts.insert(0, tail);
            (head, Hir::concat(parts))
        }
        HirKind::Literal(literal) if literal.0.len() > 1 => {
            let (head, tail) = literal.0.split_at(1);
            (Hir::literal(head.to_vec()), Hir::literal(tail.to_vec()))
        }
        HirKind::Alternation(parts) => (Hir::alternation(parts), Hir::empty()),
        kind => (rebuilt(kind), Hir::empty()),
    }
}

fn rebuilt(kind: HirKind) -> Hir {
    match kind {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(class),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(repetition) => Hir::repetition(repetition),
        HirKind::Capture(capture) => Hir::capture(capture),
        HirKind::Concat(parts) => Hir::concat(parts),
        HirKind::Alternation(parts) => Hir::alternation(parts),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_gaps_are_taken_out_and_beginnings_shared() {
        for (source, expected) in [
            ("a{10,20}b", "(?:a{3,}b)"),
            ("(a)(?:b){0,5}", "(?:ab*)"),
            ("tell[^x]{0,80}password", "(?:password)"),
            ("ab[^x]*(?:cad|cbe)f", "(?:c(?:ad|be)f)"),
            ("cat|cut|dog", "(?:c(?:at|ut)|(?:dog))"),
        ] {
            let probe = probe(&format!("(?-u){source}")).unwrap().to_string();
            let parse = |text: &str| {
                ParserBuilder::new().utf8(false).build().parse(&format!("(?-u){text}")).unwrap()
            };
            assert_eq!(parse(&probe), parse(expected), "{source} became {probe}");
        }
        assert_eq!(probe("("), None);
    }
}
