//! Measures what the worst searches cost: `cargo run --release -p life-agent-policy --example
//! pattern_cost`. Prints, for each pattern, the slowest of ten hostile texts of 64 KiB.

#![expect(clippy::disallowed_methods, reason = "measuring takes a clock")]

use std::time::Instant;

use life_agent_policy::bounded::{BoundedRegex, Found};

const SIZE: usize = 65_536;

/// Just within the bounds, or beyond where it says "refused".
const PATTERNS: [&str; 36] = [
    // Plain, with as many counted repetitions as may be simulated.
    "(a|b)*a(a|b){19}c",
    "a.{19}c",
    r"\ba.{19}c",
    r"a\w{19}\d",
    "(.*a){12}$",
    "(a*)*$",
    r"v\w*_\w*_\w*$",
    // Plain, with more, so that they may be given up.
    "(a|b)*a(a|b){400}c",
    "a.{200}c",
    "a.{900}c",
    "(?s)a.{0,100}b.{0,100}a.{0,100}!",
    "(?i)ignore.{0,80}previous.{0,80}instructions",
    "(?:a?){100}a{100}[0-9]",
    "[a-z]{200}[0-9]",
    "github_pat_[0-9a-zA-Z_]{82}",
    // Look-around and back-references.
    r"(?<!\w)foo",
    "(?<!x)[a-z]{1,150}[0-9]",
    "(?=[a-z]{0,150}[0-9])a",
    "(?=[a-z]{0,50})(?=[a-z]{0,50}!)a",
    "(?<=[a-z]{0,150}[0-9])a",
    "(?<=[ab]{1,50})(?<=[ab]{1,50}c)a",
    "(?<![a-z0-9])[a-z0-9]{32}(?![a-z0-9])",
    "(?:(?!x).){1,190}!",
    "(?:a(?=a{0,100})){0,100}b?(?![a-z])",
    "(?:a(?!b)){1,60}c?(?=!)",
    "(?:(?!b)a|(?!c)aa){1,50}(?!a)",
    "(?:(?:a(?=a{0,5})){0,5}){0,4}!?(?!a)",
    "(?<!x)(?:(?:a?){50}a{50})[0-9]?(?!a)",
    r"(a{1,60})\1b",
    r"(?i)(a{1,60})\1b?!?c?",
    r"(a{1,60})b?\1(?!a)",
    r"(?<!\w)(?:password|secret)\s{0,5}[:=]\s{0,5}[^\s]{8,64}(?!x)",
    // What would take seconds.
    "(?<!x)[a-z]+[0-9]",
    "(?=.*[0-9])x",
    "(?:a(?=a{0,5})){20}!?(?!a)",
    r"\w{1000}",
];

fn main() {
    let mut seed = 1_u32;
    let mut random = |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as usize % bound
    };
    let mut of = |words: &[&str]| -> String {
        let mut text = String::new();
        while text.len() < SIZE {
            text.push_str(words[random(words.len())]);
        }
        text
    };
    let texts = [
        ("a", of(&["a"])),
        ("ab", of(&["a", "b"])),
        ("aä", of(&["a", "b", "ä"])),
        ("äöß", of(&["ä", "ö", "ß"])),
        ("letters", of(&["a", "b", "c", "d", "k", "m", "q", "u", "x", "z"])),
        ("spaces", of(&[" "])),
        ("commas", of(&[","])),
        ("words", of(&["ignore ", "all ", "previous ", "instru ", "a", "b"])),
        ("tokens", of(&["github_pat_"])),
        ("pieces", of(&["github_pat_", "x", "yz", "gith"])),
    ];
    let mut worst = 0.0_f64;
    for pattern in PATTERNS {
        let regex = match BoundedRegex::new(pattern) {
            Ok(regex) => regex,
            Err(error) => {
                println!(" refused  {pattern}  {error}");
                continue;
            }
        };
        let slowest = texts.iter().map(|(name, text)| (cost(&regex, text), name));
        if let Some(((ms, found), name)) = slowest.max_by(|a, b| a.0.0.total_cmp(&b.0.0)) {
            println!("{ms:5.1} ms  {pattern}  on {name}: {found:?}");
            worst = worst.max(ms);
        }
    }
    println!("{worst:5.1} ms  at worst");
}

/// The fastest of three searches, in milliseconds, so that other work on the machine does not count.
fn cost(regex: &BoundedRegex, text: &str) -> (f64, Found) {
    let search = |_| {
        let start = Instant::now();
        let found = regex.find(text);
        (start.elapsed().as_secs_f64() * 1e3, found)
    };
    (0..3).map(search).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, Found::No))
}
