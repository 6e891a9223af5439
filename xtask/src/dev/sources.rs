//! Detects changes to the sources and settings files of the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::root;

/// Relative to the root of the workspace. Policies are excluded, because the server reloads them.
const WATCHED: [&str; 6] =
    ["bins", "crates", "Cargo.toml", "Cargo.lock", ".env", "life-agent.toml"];

/// The metadata that distinguishes two contents of a file.
type Stamps = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// The files at the last build and at the last poll.
///
/// Polling costs a few hundred `stat` calls and works on shared folders and in containers, where the system reports
/// no changes.
pub(super) struct Sources {
    root: PathBuf,
    built: Stamps,
    seen: Stamps,
}

impl Sources {
    /// The current sources of this workspace.
    pub(super) fn now() -> Self {
        Self::below(root())
    }

    fn below(root: PathBuf) -> Self {
        let seen = look(&root);
        Self { built: seen.clone(), seen, root }
    }

    /// Whether the files changed since the last reported change, and are unchanged since the last poll, because an
    /// editor or git may still be writing.
    pub(super) fn settled_change(&mut self) -> bool {
        let now = look(&self.root);
        let settled = now == self.seen && now != self.built;
        self.seen = now;
        if settled {
            self.built.clone_from(&self.seen);
        }
        settled
    }
}

fn look(root: &Path) -> Stamps {
    let mut stamps = Stamps::new();
    WATCHED.iter().for_each(|name| stamp(&root.join(name), &mut stamps));
    stamps
}

/// A file that cannot be read counts as missing; the build reports it.
fn stamp(path: &Path, stamps: &mut Stamps) {
    // Temporary files of editors.
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if name == "target" || name.ends_with('~') || name.ends_with(".swp") || name.starts_with(".#") {
        return;
    }
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return };
    if metadata.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.for_each(|entry| stamp(&entry.path(), stamps));
    } else {
        stamps.insert(path.to_owned(), (metadata.modified().ok(), metadata.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_when_the_files_have_come_to_rest() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("crates/a/src/lib.rs");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "one").unwrap();
        let mut sources = Sources::below(dir.path().to_owned());
        assert!(!sources.settled_change(), "nothing has changed");
        std::fs::write(&file, "seven").unwrap();
        assert!(!sources.settled_change(), "it may not be done");
        std::fs::write(&file, "eleven, longer").unwrap();
        assert!(!sources.settled_change(), "it was not");
        assert!(sources.settled_change(), "now it is");
        assert!(!sources.settled_change(), "and has been reported");
        std::fs::remove_file(&file).unwrap();
        assert!(!sources.settled_change());
        assert!(sources.settled_change(), "a file that goes is a change");
    }

    #[test]
    fn policies_plans_and_what_is_built_are_not_watched() {
        let dir = tempfile::tempdir().unwrap();
        let mut sources = Sources::below(dir.path().to_owned());
        for path in
            ["policy/policy.yaml", "plans/p.json", "target/x", "crates/a/target/x", "crates/a.rs~"]
        {
            let file = dir.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "x").unwrap();
        }
        assert!(!sources.settled_change() && !sources.settled_change());
    }
}
