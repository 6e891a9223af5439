//! What a change plan may touch and add: the paths gate and the secret patterns, asked file by file.

use std::sync::Arc;

use life_agent_domain::governance::change_policy::{ChangePolicy, Leak};
use life_agent_domain::governance::gate::{Reason, Refusal, TargetFact};
use life_agent_policy::snapshot::Snapshot;

use crate::paths::PathsGate;
use crate::risk::scanner::{credentials, custom_secrets};

/// Answers for one policy.
#[derive(Debug)]
pub struct SnapshotChangePolicy {
    paths: PathsGate,
    snapshot: Arc<Snapshot>,
}

impl SnapshotChangePolicy {
    /// The directories and globs of one policy.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { paths: PathsGate::new(Arc::clone(&snapshot)), snapshot }
    }
}

impl ChangePolicy for SnapshotChangePolicy {
    fn path(&self, relative: &str) -> Result<(), Refusal> {
        // Whoever asks has opened the path without following a symlink: it is what it resolves to.
        let fact = TargetFact::Inside { resolved: relative.to_owned() };
        match self.paths.fault(relative, &fact) {
            None => Ok(()),
            Some((rule, why)) => Err(refusal(Some(rule), why)),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Refusal> {
        if self.paths.share_a_dir(from, to) {
            return Ok(());
        }
        let why = "moves out of the allowed directory that it is in".to_owned();
        Err(refusal(Some("allowed_dirs".to_owned()), why))
    }

    /// Whatever the policy says about the category `secrets`: a patch is kept, a secret never is.
    fn added_text(&self, text: &str) -> Vec<Leak> {
        let leak =
            |found: crate::RawFinding| Leak { rule: found.rule.into_owned(), start: found.start };
        let own = custom_secrets(&self.snapshot, text);
        credentials(text).into_iter().chain(own).map(leak).collect()
    }
}

fn refusal(rule: Option<String>, message: String) -> Refusal {
    Refusal { reason: Reason::PathForbidden, rule, message, retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::testing::policy;

    #[test]
    fn paths_renames_and_added_texts_are_judged_by_the_policy() {
        let admission = SnapshotChangePolicy::new(policy("deny_globs: ['**/*.pem']\n"));
        assert!(admission.path("docs/a.md").is_ok());
        for (path, rule) in
            [("src/a.rs", "allowed_dirs"), ("docs/k.pem", "**/*.pem"), ("../a", "path")]
        {
            assert_eq!(admission.path(path).unwrap_err().rule.as_deref(), Some(rule), "{path}");
        }
        assert!(admission.rename("docs/a.md", "docs/b/c.md").is_ok());
        assert!(admission.rename("docs/a.md", "src/a.md").is_err());
        let key = format!("ghp_{}", "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5");
        let leaks = admission.added_text(&format!("let x = 1;\nlet key = \"{key}\";\n"));
        // Several patterns may find the same credential.
        assert!(!leaks.is_empty() && leaks.iter().all(|leak| leak.start == 22), "{leaks:?}");
        assert!(admission.added_text("let x = 1;").is_empty());
    }
}
