//! Ways to write an attack so that a filter misses it and its target does not.

/// A name and what it does to a text.
pub(crate) type Mutation = (&'static str, fn(&str) -> String);

pub(crate) const MUTATIONS: &[Mutation] = &[
    ("filler before", |text| format!("{} {text}", "x".repeat(10_000))),
    ("filler after", |text| format!("{text} {}", "x".repeat(10_000))),
    ("blanks before", |text| format!("{}{text}", " ".repeat(10_000))),
    ("prose before", |text| format!("{}{text}", prose())),
    ("prose after", |text| format!("{text} {}", prose())),
    ("lines around", |text| format!("{}\n{text}\n{}", prose(), prose())),
    ("zero-width inside", |text| text.chars().flat_map(|c| [c, '\u{200b}']).collect()),
    ("upper case", |text| text.to_uppercase()),
    ("swapped case", |text| text.chars().map(swap_case).collect()),
    ("full width", |text| text.chars().map(widen).collect()),
];

fn prose() -> String {
    "the quick brown fox jumps over the lazy dog ".repeat(10_000 / 44 + 1)
}

fn swap_case(c: char) -> char {
    if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }
}

fn widen(c: char) -> char {
    match c {
        '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c),
        ' ' => '\u{3000}',
        other => other,
    }
}
