#![allow(missing_docs, clippy::all)]
use regex_automata::{hybrid::dfa::{DFA, OverlappingState}, util::syntax, Input, PatternSet, MatchKind, nfa::thompson};
use std::time::Instant;
fn build(ps: &[&String]) -> DFA {
    DFA::builder().configure(DFA::config().match_kind(MatchKind::All).cache_capacity(64<<20).skip_cache_capacity_check(true))
        .syntax(syntax::Config::new().utf8(false)).thompson(thompson::Config::new().utf8(false))
        .build_many(ps).unwrap()
}
fn run(dfa: &DFA, text: &str) -> (usize, u128, usize) {
    let mut cache = dfa.create_cache();
    let mut set = PatternSet::new(dfa.pattern_len());
    let input = Input::new(text);
    let mut best = u128::MAX;
    for _ in 0..5 { set.clear(); let t = Instant::now(); dfa.try_which_overlapping_matches(&mut cache, &input, &mut set).unwrap(); best = best.min(t.elapsed().as_micros()); }
    (cache.memory_usage() / 1024, best, set.len())
}
fn main() {
    let mut docs = String::new();
    for l in std::fs::read_to_string("/work/shared/corpora/dev/benign_dev_docs.jsonl").unwrap().lines().take(600) {
        let v: serde_json::Value = serde_json::from_str(l).unwrap();
        docs.push_str(v["text"].as_str().unwrap()); docs.push('\n');
    }
    let docs: String = docs.chars().filter(|c| c.is_ascii()).take(65536).collect();
    let ps = life_agent_gates::risk::scanner::probes();
    let all: Vec<&String> = ps.iter().map(|p| &p.2).collect();
    println!("all {:?}", run(&build(&all), &docs));
    for c in ["command_exec", "secrets", "url", "path_traversal", "prompt_injection"] {
        let only: Vec<&String> = ps.iter().filter(|p| p.0 == c).map(|p| &p.2).collect();
        let but: Vec<&String> = ps.iter().filter(|p| p.0 != c).map(|p| &p.2).collect();
        println!("{c} only {:?} without {:?}", run(&build(&only), &docs), run(&build(&but), &docs));
    }
    for i in 0..ps.len() {
        let mut l = all.clone(); l.remove(i);
        println!("-{} {:?}    alone {:?}", ps[i].1, run(&build(&l), &docs), run(&build(&[&ps[i].2]), &docs));
    }
}
