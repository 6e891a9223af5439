//! The slowest texts that can be put together from pieces of attacks: `cargo run --release -p
//! life-agent-gates --example hostile`. Prints the time of the whole risk scan of 64 KiB, worst first.
#![allow(missing_docs, reason = "a program, not a library")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_gates::Scanner;
use life_agent_gates::risk::patterns;
use life_agent_policy::snapshot::{Workspace, compile, default_text};

const BYTES: usize = 64 * 1024;

struct AnyDir;

impl Workspace for AnyDir {
    fn is_dir(&self, _: &str) -> bool {
        true
    }
}

fn main() {
    let snapshot = match compile(&default_text(&["plans".to_owned()]), &AnyDir) {
        Ok(snapshot) => snapshot,
        Err(faults) => return eprintln!("{faults:?}"),
    };
    // The first text must not pay for compiling the patterns.
    life_agent_gates::warm_up();
    let scanner = Scanner::new(Arc::new(snapshot));
    let pieces = pieces();
    let mut timed: Vec<(Duration, usize, String)> = Vec::new();
    let mut time = |name: String, text: &str| {
        let (took, finds) = (0..2).map(|_| once(&scanner, text)).min().unwrap_or_default();
        timed.push((took, finds, name));
    };
    for piece in &pieces {
        for separator in ["", " ", "\n"] {
            let unit = format!("{piece}{separator}");
            time(format!("{unit:?} over and over"), &unit.repeat(BYTES / unit.len()));
        }
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..400 {
        let pool: Vec<_> = (0..[2, 3, 5, 20, pieces.len()][round % 5])
            .map(|_| pieces[random.below(pieces.len())].as_str())
            .collect();
        let mut text = String::new();
        while text.len() < BYTES {
            text.push_str(pool[random.below(pool.len())]);
            text.push_str(["", "", " "][random.below(3)]);
        }
        time(format!("{} pieces, as {:?}", pool.len(), &pool[..2]), &text);
    }
    for (first, count) in [(0, 128), (32, 95), (33, 15), (97, 26), (48, 10)] {
        for _ in 0..10 {
            let any = |random: &mut Random| char::from(first + random.below(count) as u8);
            let text: String = (0..BYTES).map(|_| any(&mut random)).collect();
            time(format!("random, {count} characters from {first}"), &text);
        }
    }
    timed.sort();
    for (took, finds, name) in timed.iter().rev().take(25) {
        println!("{:>8.1} ms  {finds:>4} finds  {name}", took.as_secs_f64() * 1e3);
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
fn once(scanner: &Scanner, text: &str) -> (Duration, usize) {
    let start = Instant::now();
    let finds = scanner.scan(text).len();
    (start.elapsed(), finds)
}

/// The examples of all patterns, parts of them, and what starts things that need not end.
fn pieces() -> Vec<String> {
    const STARTS: &str = "a %25 & \\ ' \" ` $ { {a, / ../ http:// // a. a- a_ key= token: tell what \
        ignore q: ://a: ey eyJa. curl nc $( ${ {{ <script %c0 %c0%ae \u{200b} \u{ff41} &#x41; imagine \
        translate combine SK0 AKIA 0 0. A.A. a/a/ \\\\a \\a\\ -----BEGIN j a=\" key:key: $IFS {a,b}";
    let mut pieces: Vec<String> = STARTS.split(' ').map(str::to_owned).collect();
    for pattern in patterns::all().into_iter().flat_map(|(_, patterns)| patterns) {
        for text in pattern.examples.iter().chain(pattern.counter_examples) {
            pieces.push((*text).to_owned());
            for at in [1, 2, 3, text.len() / 2, text.len() - 2, text.len() - 1] {
                if let Some((head, tail)) = text.split_at_checked(at) {
                    pieces.extend([head.to_owned(), tail.to_owned()]);
                }
            }
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Xorshift: the same texts every time.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }
}
