//! Rules over invocations: the shape that the built-in pack and `commands.rules` of a policy share.

use serde::Deserialize;

use super::assessment::Invocation;
use super::effect::TargetClass;

/// A rule's conditions as written. Every given condition must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommandPattern {
    /// Names of programs; `*` and `?` match within a name.
    #[serde(deserialize_with = "one_or_many")]
    pub program: Vec<String>,
    /// Leading non-option arguments, separated by blanks; `**` first matches at any of the first places.
    #[serde(deserialize_with = "one_or_many")]
    pub subcommand: Vec<String>,
    /// One of these arguments must occur. `-f` also matches in `-xf`, `--force` also `--force=now`.
    #[serde(deserialize_with = "one_or_many")]
    pub any: Vec<String>,
    /// All of these must occur; `|` separates spellings of one option.
    #[serde(deserialize_with = "one_or_many")]
    pub all: Vec<String>,
    /// None of these may occur, written in full.
    #[serde(deserialize_with = "one_or_many")]
    pub none: Vec<String>,
    /// One of the targets must be of one of these classes.
    #[serde(deserialize_with = "one_or_many_classes")]
    pub target: Vec<TargetClass>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(value) => vec![value],
        OneOrMany::Many(values) => values,
    })
}

fn one_or_many_classes<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Vec<TargetClass>, D::Error> {
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(value) => vec![value],
        OneOrMany::Many(values) => values,
    })
}

/// How many leading non-option arguments `**` looks at.
const REACH: usize = 6;

impl CommandPattern {
    /// Whether an invocation meets every condition.
    pub fn matches(&self, invocation: &Invocation) -> bool {
        self.program_matches(&invocation.program) && self.rest_matches(invocation)
    }

    /// Whether the program is one of the pattern's.
    pub fn program_matches(&self, program: &str) -> bool {
        self.program.is_empty() || self.program.iter().any(|pattern| glob(pattern, program))
    }

    /// Whether every condition but the program's holds.
    pub(crate) fn rest_matches(&self, invocation: &Invocation) -> bool {
        let args = &invocation.args;
        (self.subcommand.is_empty()
            || self.subcommand.iter().any(|s| leads(s, &invocation.subcommand)))
            && (self.any.is_empty() || self.any.iter().any(|pattern| occurs(pattern, args)))
            && self.all.iter().all(|pattern| pattern.split('|').any(|one| occurs(one, args)))
            && !self.none.iter().any(|pattern| occurs_exactly(pattern, args))
            && (self.target.is_empty()
                || invocation.targets.iter().any(|t| self.target.contains(&t.class)))
    }
}

fn leads(pattern: &str, words: &[String]) -> bool {
    let mut segments: Vec<_> = pattern.split_whitespace().collect();
    let anywhere = segments.first() == Some(&"**");
    if anywhere {
        segments.remove(0);
    }
    let at = |from: usize| {
        words.len() >= from + segments.len()
            && segments.iter().zip(&words[from..]).all(|(pattern, word)| glob(pattern, word))
    };
    if anywhere { (0..REACH).any(at) } else { at(0) }
}

/// Whether an argument spells the pattern.
fn occurs(pattern: &str, args: &[String]) -> bool {
    if pattern.contains(' ') {
        // Several words in a row, or one quoted argument.
        let segments: Vec<_> = pattern.split_whitespace().collect();
        let in_a_row = args
            .windows(segments.len())
            .any(|words| segments.iter().zip(words).all(|(segment, word)| glob(segment, word)));
        return in_a_row || args.iter().any(|arg| glob(pattern, arg));
    }
    let mut options = true;
    args.iter().any(|arg| {
        options &= arg != "--";
        (pattern == "--" && arg == "--") || spells(pattern, arg, options)
    })
}

fn spells(pattern: &str, arg: &str, options: bool) -> bool {
    if pattern == arg {
        return options || !pattern.starts_with('-');
    }
    if pattern.contains(['*', '?']) && glob(pattern, arg) {
        return true;
    }
    if !options {
        return false;
    }
    if let Some(name) = pattern.strip_prefix("--") {
        let Some(given) = arg.strip_prefix("--") else { return false };
        let given = given.split_once('=').map_or(given, |(given, _)| given);
        // Long options may be abbreviated.
        let abbreviated = given.len() >= 4 && !name.contains('=') && name.starts_with(given);
        return given == name || abbreviated;
    }
    let Some(letter) = pattern.strip_prefix('-').filter(|rest| is_letter(rest)) else {
        return false;
    };
    // Short options may be written together; long clusters are long options with one dash.
    let Some(cluster) = arg.strip_prefix('-') else { return false };
    cluster.len() <= 6
        && cluster.chars().all(|c| c.is_ascii_alphanumeric())
        && cluster.contains(letter)
}

/// Digits are signals and counts, which are not written together.
fn is_letter(option: &str) -> bool {
    option.len() == 1 && option.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn occurs_exactly(pattern: &str, args: &[String]) -> bool {
    args.iter().any(|arg| {
        arg == pattern
            || (pattern.contains(['*', '?']) && glob(pattern, arg))
            || (pattern.starts_with("--")
                && arg.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('=')))
            || short_cluster(pattern, arg)
    })
}

fn short_cluster(pattern: &str, arg: &str) -> bool {
    let letter = pattern.strip_prefix('-').filter(|rest| rest.len() == 1);
    let cluster = arg.strip_prefix('-').filter(|rest| rest.len() <= 4);
    matches!((letter, cluster), (Some(letter), Some(cluster))
        if cluster.chars().all(|c| c.is_ascii_alphabetic()) && cluster.contains(letter))
}

/// `*` matches any text, `?` one character, `[*]` a star. Linear in practice: one point to go back to.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'[') if pattern[p..].starts_with(b"[*]") && text[t] == b'*' => {
                p += 3;
                t += 1;
            }
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    p = star_p + 1;
                    t = star_t + 1;
                    star = Some((star_p, star_t + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}
