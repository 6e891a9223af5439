//! What fuzzing found, and what it started from: each text is scanned and redacted as the fuzz target
//! does it.

use std::sync::Arc;

use life_agent_domain::governance::redaction::Redact;
use life_agent_gates::{Scanner, SecretRedactor};
use life_agent_policy::snapshot::{Workspace, compile, default_text};

struct AnyDir;

impl Workspace for AnyDir {
    fn is_dir(&self, _: &str) -> bool {
        true
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the corpus lies in files; the crate itself reads none"
)]
fn no_text_of_the_fuzzers_corpus_breaks_the_scan() {
    let snapshot = compile(&default_text(&["plans".to_owned()]), &AnyDir).unwrap();
    let scanner = Scanner::new(Arc::new(snapshot));
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/scan");
    let mut count = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for found in scanner.scan(&text) {
            assert!(text.get(found.start..found.end).is_some(), "{found:?}");
        }
        let clean = SecretRedactor.redact(&text).into_owned();
        assert_eq!(SecretRedactor.redact(&clean), clean);
        count += 1;
    }
    assert!(count >= 15, "{count}");
}
