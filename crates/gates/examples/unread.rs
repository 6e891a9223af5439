//! What texts cost that were never read before, and the same ones again: `cargo run --release -p
//! life-agent-gates --example unread -- FILE..`, each a file of JSON Lines with a `text`, or any other text.
//!
//! The automata behind the risk scan are worked out as texts need them. A benchmark that sends one text over
//! and over never sees what that costs.
#![allow(missing_docs, clippy::disallowed_methods, reason = "a program, not a library")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_gates::Scanner;
use life_agent_policy::snapshot::{Workspace, compile, default_text};
use serde_json::Value;

/// Lines that are put together for the longer texts.
const JOINED: usize = 15;

struct AnyDir;

impl Workspace for AnyDir {
    fn is_dir(&self, _: &str) -> bool {
        true
    }
}

fn main() -> ExitCode {
    let mut texts = Vec::new();
    for name in std::env::args().skip(1) {
        match std::fs::read_to_string(&name) {
            Ok(file) => texts.extend(file.lines().map(text_of).filter(|text| !text.is_empty())),
            Err(error) => {
                eprintln!("`{name}` cannot be read: {error}");
                return ExitCode::from(2);
            }
        }
    }
    let snapshot = match compile(&default_text(&["plans".to_owned()]), &AnyDir) {
        Ok(snapshot) if !texts.is_empty() => snapshot,
        Ok(_) => {
            eprintln!("usage: unread FILE..");
            return ExitCode::from(2);
        }
        Err(faults) => {
            eprintln!("{faults:?}");
            return ExitCode::FAILURE;
        }
    };
    let begun = Instant::now();
    life_agent_gates::warm_up();
    println!("patterns ready in {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    let scanner = Scanner::new(Arc::new(snapshot));
    mix(&mut texts);
    let longer: Vec<String> = texts.chunks(JOINED).map(|lines| lines.join(" ")).collect();
    let early = texts.len() / 8;
    report(&scanner, "the first eighth", &texts[..early]);
    report(&scanner, "the rest", &texts[early..]);
    report(&scanner, "all of them again", &texts);
    report(&scanner, "put together", &longer);
    report(&scanner, "put together, again", &longer);
    ExitCode::SUCCESS
}

fn text_of(line: &str) -> String {
    let object = serde_json::from_str::<Value>(line).ok();
    let text = object.as_ref().and_then(|object| object.get("text")?.as_str());
    text.unwrap_or(line).trim().to_owned()
}

/// Another order, the same each time: files hold what is alike side by side.
fn mix(texts: &mut [String]) {
    let mut seed = 1_u64;
    for at in (1..texts.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        texts.swap(at, (seed >> 33) as usize % (at + 1));
    }
}

fn report(scanner: &Scanner, name: &str, texts: &[String]) {
    let timed = |text: &String| {
        let begun = Instant::now();
        (scanner.scan(text).len(), begun.elapsed())
    };
    let (finds, mut each): (Vec<usize>, Vec<Duration>) = texts.iter().map(timed).unzip();
    each.sort_unstable();
    let at = |percent: usize| {
        each.get(each.len() * percent / 100).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    let bytes: usize = texts.iter().map(String::len).sum();
    let whole: Duration = each.iter().sum();
    println!(
        "{name}: {} texts of {} bytes, p50 {:.1} us, p90 {:.1} us, p99 {:.1} us; {:.0} ns a byte, {} finds",
        texts.len(),
        bytes / texts.len().max(1),
        at(50),
        at(90),
        at(99),
        whole.as_secs_f64() * 1e9 / bytes.max(1) as f64,
        finds.iter().sum::<usize>()
    );
}
