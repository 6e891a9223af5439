//! Any text: the scan ends, its spans lie in the text, and redacting twice changes nothing more.
//! `cargo +nightly fuzz run scan`, from `crates/gates`; what it finds goes into `fuzz/corpus/scan`,
//! which `cargo test -p life-agent-gates` runs.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use life_agent_domain::governance::redaction::Redact;
use life_agent_gates::{Scanner, SecretRedactor};
use life_agent_policy::snapshot::{Workspace, compile, default_text};

struct AnyDir;

impl Workspace for AnyDir {
    fn is_dir(&self, _: &str) -> bool {
        true
    }
}

static SCANNER: LazyLock<Scanner> = LazyLock::new(|| {
    let snapshot = compile(&default_text(&["plans".to_owned()]), &AnyDir);
    Scanner::new(Arc::new(snapshot.unwrap_or_else(|faults| panic!("{faults:?}"))))
});

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for found in SCANNER.scan(&text) {
        assert!(text.get(found.start..found.end).is_some(), "{found:?}");
    }
    let clean = SecretRedactor.redact(&text).into_owned();
    assert_eq!(SecretRedactor.redact(&clean), clean);
});
