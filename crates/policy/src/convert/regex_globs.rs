//! Converts regular expressions over paths that have equivalent globs: an anchored start of literals and groups,
//! then the end (`$`) or anything.

use regex_syntax::hir::{Dot, Hir, HirKind, Look};

/// The maximum number of globs per expression.
const MAX: usize = 32;

/// Globs that are equivalent to the expression, if they exist.
pub(super) fn convert(expression: &str) -> Option<Vec<String>> {
    let hir = regex_syntax::parse(expression).ok()?;
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.clone(),
        _ => vec![hir.clone()],
    };
    let is_end = |part: &Hir| is_look(part, Look::End);
    let says_nothing = |part: &Hir| is_anything(part) || is_look(part, Look::Start) || is_end(part);
    if parts.iter().all(says_nothing)
        && (parts.iter().any(is_anything) || !parts.iter().any(is_end))
    {
        return Some(vec!["**".to_owned()]);
    }
    let (first, rest) = parts.split_first()?;
    if !is_look(first, Look::Start) {
        return None;
    }
    let exact = rest.last().is_some_and(is_end);
    let rest = match rest.split_last() {
        Some((last, before)) if exact || is_anything(last) => before,
        _ => rest,
    };
    // `^a.*$` is also a prefix.
    let (exact, rest) = match rest.split_last() {
        Some((last, before)) if exact && is_anything(last) => (false, before),
        _ => (exact, rest),
    };
    let texts = rest.iter().try_fold(vec![String::new()], |texts, part| {
        let endings = literals(part)?;
        let all: Vec<_> = texts
            .iter()
            .flat_map(|text| endings.iter().map(move |end| format!("{text}{end}")))
            .collect();
        (all.len() <= MAX).then_some(all)
    })?;
    let globs = texts.iter().flat_map(|text| globs_of(text, exact)).collect::<Vec<_>>();
    globs.iter().all(|glob| crate::globs::compile(glob).is_ok()).then_some(globs)
}

fn globs_of(text: &str, exact: bool) -> Vec<String> {
    let escaped: String = text.chars().flat_map(escape).collect();
    match (exact, text.ends_with('/')) {
        (true, _) => vec![anchored(escaped)],
        (false, true) => vec![format!("{escaped}**")],
        (false, false) => vec![anchored(format!("{escaped}*")), format!("{escaped}*/**")],
    }
}

/// Anchors the glob, because a glob without `/` matches at any depth.
fn anchored(glob: String) -> String {
    if glob.contains('/') { glob } else { format!("./{glob}") }
}

fn escape(c: char) -> impl Iterator<Item = char> {
    let special = matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '!');
    special.then_some('\\').into_iter().chain([c])
}

/// The finite set of texts that the part matches.
fn literals(part: &Hir) -> Option<Vec<String>> {
    match part.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => Some(vec![std::str::from_utf8(&literal.0).ok()?.to_owned()]),
        HirKind::Capture(capture) => literals(&capture.sub),
        HirKind::Alternation(parts) => {
            let all = parts.iter().map(literals).collect::<Option<Vec<_>>>()?.concat();
            (all.len() <= MAX).then_some(all)
        }
        HirKind::Concat(parts) => parts.iter().try_fold(vec![String::new()], |texts, part| {
            let endings = literals(part)?;
            let all: Vec<_> = texts
                .iter()
                .flat_map(|text| endings.iter().map(move |end| format!("{text}{end}")))
                .collect();
            (all.len() <= MAX).then_some(all)
        }),
        HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

fn is_look(part: &Hir, look: Look) -> bool {
    matches!(part.kind(), HirKind::Look(found) if *found == look)
}

/// `.*` or `.+`.
fn is_anything(part: &Hir) -> bool {
    match part.kind() {
        HirKind::Repetition(repetition) => {
            let dot = Hir::dot(Dot::AnyCharExceptLF);
            repetition.max.is_none() && repetition.min <= 1 && *repetition.sub == dot
        }
        HirKind::Capture(capture) => is_anything(&capture.sub),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchored_prefixes_and_exact_names_become_globs() {
        for (expression, globs) in [
            (".*", &["**"][..]),
            ("^.*$", &["**"]),
            ("^((api|plans)/).*", &["api/**", "plans/**"]),
            ("^docs/guides/", &["docs/guides/**"]),
            ("^docs/.+$", &["docs/**"]),
            ("^src/main\\.py$", &["src/main.py"]),
            ("^README$", &["./README"]),
            ("^doc", &["./doc*", "doc*/**"]),
            ("^a\\*b/", &["a\\*b/**"]),
        ] {
            let expected = globs.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(convert(expression), Some(expected), "{expression}");
        }
    }

    #[test]
    fn expressions_that_globs_cannot_say_are_refused() {
        for expression in
            ["^$", "secret", "^[ab]/", "^a+/", "^(?!x)", "(", "^/etc/", "^../", "\\.env$"]
        {
            assert_eq!(convert(expression), None, "{expression}");
        }
    }
}
