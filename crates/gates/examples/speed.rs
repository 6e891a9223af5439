#![allow(missing_docs, clippy::all)]
use std::time::Instant;
use std::sync::Arc;
use life_agent_gates::risk::scanner::Scanner;
use life_agent_policy::document::*;
fn main() {
    let policy = Policy { version: "1".into(), allowed_dirs: vec!["allowed".into()], deny_globs: vec![], max_diff_lines: 800, llm: Llm::default(), rules: vec![], risk: Risk::default(), observer: Observer::default(), plans: Plans::default() };
    let snapshot = life_agent_policy::snapshot::Snapshot { policy, hash: String::new(), deny_globs: Default::default(), rules: vec![], patterns: vec![] };
    let t = Instant::now();
    let scanner = Scanner::new(Arc::new(snapshot));
    println!("build {:?}", t.elapsed());
    let fox = "the quick brown fox jumps over the lazy dog ".repeat(1500);
    let mut commits = String::new();
    for l in std::fs::read_to_string("/work/shared/corpora/dev/benign_dev_docs.jsonl").unwrap().lines().take(600) {
        let v: serde_json::Value = serde_json::from_str(l).unwrap();
        commits.push_str(v["text"].as_str().unwrap()); commits.push('\n');
    }
    let ascii: String = commits.chars().filter(|c| c.is_ascii() && *c != '%' && *c != '&').collect();
    let texts = [("fox", fox), ("docs", commits.chars().take(64*1024).collect()), ("ascii docs", ascii.chars().take(64*1024).collect::<String>()), ("2k", ascii.chars().skip(2000).take(2048).collect())];
    for (name, text) in &texts {
        for round in 0..3 {
            let n = (4_000_000 / text.len()).max(1);
            let t = Instant::now();
            let mut f = 0;
            for _ in 0..n { f += scanner.scan(text).len(); }
            let e = t.elapsed();
            println!("{name} {round} {} findings {} MB/s  {:?}/scan", f / n, (n * text.len()) as f64 / e.as_secs_f64() / 1e6, e / n as u32);
        }

    }
}
