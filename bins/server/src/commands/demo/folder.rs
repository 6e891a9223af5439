//! The folder of a demo: new, filled with a policy and a workspace, and removed if it is temporary.

use std::path::{Path, PathBuf};

use crate::auth::keys::random_key;
use crate::auth::keys_file::KeysFile;
use crate::commands::init::default_policy;
use crate::commands::private_file::{create_folder, create_new_folder, replace};

/// Rules in addition to those of the shipped policy.
const RULES: &str = "rules:
  - id: no-deploys
    description: Deployments go through the release pipeline.
    match: {kinds: [act], actions: ['^deploy[.]']}
    effect: deny
  - id: watch-refunds
    description: Count refunds before the limit is decided.
    match: {kinds: [act], actions: ['^refund']}
    effect: observe
";
const PRICES: &str = "
prices:
  openai/gpt-oss-120b: {input: 0.15, output: 0.60}
";
/// Lets `life-agent` serve the folder again.
const ENV: &str = "KEYS_FILE=keys.yaml\nWORKSPACE_DIR=workspace\nRATE_LIMIT_RPS=0\n";
const LIMITS: &str = "refunds:\n  per_day: 50\n  per_customer: 2\nnotify: finance\n";

/// The folder; it ends with this value if it is temporary.
pub(super) struct Folder {
    path: PathBuf,
    is_temporary: bool,
}

impl Folder {
    /// Creates and fills the folder.
    pub(super) fn create(named: Option<&Path>, keys: &KeysFile) -> Result<Self, String> {
        let folder = match named {
            None => {
                let name: String = random_key().chars().take(12).collect();
                let path = std::env::temp_dir().join(format!("life-agent-demo-{name}"));
                create_new_folder(&path)
                    .map_err(|error| format!("cannot create `{}`: {error}", path.display()))?;
                Self { path, is_temporary: true }
            }
            Some(path) => {
                refuse_filled(path)?;
                let path = std::path::absolute(path).map_err(|error| error.to_string())?;
                Self { path, is_temporary: false }
            }
        };
        let keys = serde_yaml::to_string(keys).map_err(|error| error.to_string())?;
        folder
            .fill(&keys)
            .map_err(|error| format!("cannot write to `{}`: {error}", folder.path.display()))?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.is_temporary
    }

    fn fill(&self, keys: &str) -> std::io::Result<()> {
        for folder in ["policy", "policies", "plans", "logs", "workspace/plans"] {
            create_folder(&self.path.join(folder))?;
        }
        let policy = default_policy().replacen("\nrules:\n", &format!("\n{RULES}"), 1) + PRICES;
        let notes: String = (1..=40).map(|n| format!("Line {n} of the release notes.\n")).collect();
        replace(&self.path.join(".env"), ENV)?;
        replace(&self.path.join("keys.yaml"), keys)?;
        replace(&self.path.join("policy/policy.yaml"), &policy)?;
        replace(&self.path.join("workspace/plans/limits.yaml"), LIMITS)?;
        replace(&self.path.join("workspace/plans/notes.md"), &notes)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_temporary {
            // A folder that cannot be removed stays with the other temporary files.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn refuse_filled(path: &Path) -> Result<(), String> {
    match std::fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(false) => Err(format!("`{}` is not empty; name a new folder", path.display())),
        Err(error) => Err(format!("cannot use `{}`: {error}", path.display())),
    }
}
