#![allow(missing_docs, clippy::all)]
use life_agent_gates::risk::{patterns, scanner::Scanner};
use life_agent_policy::snapshot::*;
use std::sync::Arc;
use std::time::Instant;
struct W;
impl Workspace for W {
    fn is_dir(&self, _: &str) -> bool {
        true
    }
}
fn main() {
    let scanner = Scanner::new(Arc::new(compile(&default_text(&["a".into()]), &W).unwrap()));
    let mut frags: Vec<String> = vec![];
    for (_, l) in patterns::all() {
        for p in l {
            for e in p.examples.iter().chain(p.counter_examples) {
                frags.push(e.to_string());
                for cut in
                    [1, 2, 3, e.len() / 2, e.len().saturating_sub(1), e.len().saturating_sub(2)]
                {
                    if cut > 0 && e.is_char_boundary(cut) {
                        frags.push(e[..cut].to_string());
                        frags.push(e[cut..].to_string());
                    }
                }
            }
        }
    }
    for s in [
        "a",
        "%25",
        "&",
        "\\",
        "'",
        "\"",
        "`",
        "$",
        "{",
        "{a,",
        "/",
        "../",
        "http://",
        "//",
        "a.",
        "a-",
        "a_",
        "key=",
        "token:",
        "tell ",
        "what ",
        "ignore all ",
        "q: a ",
        "a: q: ",
        "://a:",
        "ey",
        "eyJa.",
        "curl -",
        "curl ",
        "nc ",
        "-----BEGIN PRIVATE KEY",
        "$(",
        "$(cat ",
        "`cat ",
        "a=\"",
        "<script ",
        "{{",
        "${",
        "%c0",
        "%c0%ae",
        "\u{200b}",
        "ａ",
        "&#x41;",
        "imagine you ",
        "translate ",
        "combine part ",
        "key key key ",
        "key:key:",
        "password='aaaaaa",
        "SK0",
        "AKIA",
        "0",
        "0.",
        "A.A.",
        "a/a/",
        "\\\\a",
        "\\a\\",
    ] {
        frags.push(s.into());
    }
    frags.retain(|f| !f.is_empty());
    let size = 16384;
    let mut worst: Vec<(f64, String, usize)> = vec![];
    let time = |text: &str| {
        let mut best = f64::MAX;
        let mut n = 0;
        for _ in 0..2 {
            if best < 5.0 {
                break;
            }
            let t = Instant::now();
            n = scanner.scan(text).len();
            best = best.min(t.elapsed().as_secs_f64() * 1e3);
        }
        if best > 20.0 {
            println!(
                "SLOW {best:.1} n={n} {:?} {}",
                text.chars().take(40).collect::<String>(),
                life_agent_gates::risk::scanner::profile(text)
            );
        }
        (best, n)
    };
    for f in &frags {
        for sep in ["", " ", "\n"] {
            let unit = format!("{f}{sep}");
            let text: String = unit.repeat(size / unit.len() + 1);
            let (ms, n) = time(&text);
            worst.push((ms, format!("rep {:?}", unit), n));
        }
    }
    let mut seed = 12345u64;
    let mut rnd = |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % n as u64) as usize
    };
    for round in 0..400 {
        let k = [2, 3, 5, 20, frags.len()][round % 5];
        let pool: Vec<usize> = (0..k).map(|_| rnd(frags.len())).collect();
        let mut text = String::new();
        while text.len() < size {
            text.push_str(&frags[pool[rnd(pool.len())]]);
            if rnd(3) == 0 {
                text.push(' ');
            }
        }
        let (ms, n) = time(&text);
        worst.push((
            ms,
            format!("mix {:?}", pool.iter().take(5).map(|i| &frags[*i]).collect::<Vec<_>>()),
            n,
        ));
    }
    for round in 0..40 {
        let lo = [32, 33, 0, 97][round % 4];
        let span = [95, 15, 128, 26][round % 4];
        let mut text = String::new();
        while text.len() < size {
            text.push((lo + rnd(span)) as u8 as char);
        }
        let (ms, n) = time(&text);
        worst.push((ms, format!("random {lo} {span}"), n));
    }
    worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    for w in worst.iter().take(25) {
        println!("{:.1} ms n={} {}", w.0, w.2, w.1.chars().take(150).collect::<String>());
    }
}
