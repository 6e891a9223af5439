//! The built-in policy, which scans texts, and a workspace that every policy fits.

use std::sync::{Arc, LazyLock};

use life_agent_gates::Scanner;
use life_agent_policy::snapshot::{Workspace, compile, default_text};

use super::ensure;

/// A workspace that has every folder.
pub(super) struct AnyDir;

impl Workspace for AnyDir {
    fn is_dir(&self, _: &str) -> bool {
        true
    }
}

static SCANNER: LazyLock<Option<Scanner>> = LazyLock::new(|| {
    let snapshot = compile(&default_text(&["plans".to_owned()]), &AnyDir).ok()?;
    Some(Scanner::new(Arc::new(snapshot)))
});

/// Scans a text. Fails unless each finding is a span of it.
pub(super) fn scan(text: &str) -> Result<(), String> {
    let scanner = SCANNER.as_ref().ok_or("the built-in policy does not compile")?;
    for found in scanner.scan(text) {
        let is_span = text.get(found.start..found.end).is_some();
        ensure(is_span, || format!("has a finding at {}..{}", found.start, found.end))?;
    }
    Ok(())
}
