//! Reads a repository's refs from its files: the service starts no process, not even git.
//!
//! Understands HEAD, loose refs, `packed-refs`, `gitdir` and `commondir` (`gitrepository-layout(5)`). A
//! repository with refs in another format (reftable) reads as one without refs.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::git::is_commit;

/// Symbolic refs are followed so often at most.
const MAX_HOPS: usize = 5;
/// Larger files are no ref; `packed-refs` of a very large repository has some MiB.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// A repository's two folders: the worktree's own, with its HEAD, and the one all worktrees share.
struct Repository {
    own: PathBuf,
    shared: PathBuf,
}

/// The commit that the tree at `root` is at; `None` without a repository or without a commit.
pub fn head(root: &Path) -> Option<String> {
    let repository = Repository::of(root)?;
    repository.commit_of("HEAD")
}

/// Whether the repository that holds `root` stores its refs as a reftable, which this module does not read.
pub fn is_reftable(root: &Path) -> bool {
    Repository::of(root).is_some_and(|repository| repository.shared.join("reftable").is_dir())
}

/// The names of the branches below `prefix` (`plan/` …), without it.
pub fn branches(root: &Path, prefix: &str) -> HashSet<String> {
    let Some(repository) = Repository::of(root) else { return HashSet::new() };
    let below = format!("refs/heads/{prefix}");
    let packed = repository.packed();
    let packed = packed.lines().filter_map(|line| line.split_once(' '));
    let packed = packed.filter_map(|(_, name)| name.strip_prefix(&below).map(str::to_owned));
    let loose = fs::read_dir(repository.shared.join(&below)).into_iter().flatten().flatten();
    let loose = loose.filter_map(|entry| entry.file_name().into_string().ok());
    // A lock that git is just writing is no branch.
    packed.chain(loose).filter(|name| !name.ends_with(".lock")).collect()
}

impl Repository {
    /// The repository that holds `root`, which may lie deep in it.
    fn of(root: &Path) -> Option<Self> {
        let git = root.ancestors().map(|dir| dir.join(".git")).find(|git| git.exists())?;
        let own = if git.is_dir() {
            git
        } else {
            let text = read(&git)?;
            git.parent()?.join(text.strip_prefix("gitdir:")?.trim())
        };
        let shared = match read(&own.join("commondir")) {
            Some(text) => own.join(text.trim()),
            None => own.clone(),
        };
        Some(Self { own, shared })
    }

    fn commit_of(&self, name: &str) -> Option<String> {
        let mut name = name.to_owned();
        for _ in 0..MAX_HOPS {
            let loose = read(&self.own.join(&name)).or_else(|| read(&self.shared.join(&name)));
            let Some(text) = loose else { return self.packed_commit(&name) };
            match text.trim().strip_prefix("ref:") {
                Some(next) if is_ref_name(next.trim()) => name = next.trim().to_owned(),
                Some(_) => return None,
                None => return Some(text.trim().to_owned()).filter(|text| is_commit(text)),
            }
        }
        None
    }

    fn packed_commit(&self, name: &str) -> Option<String> {
        let packed = self.packed();
        let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
        let (commit, _) = lines.find(|(_, packed)| *packed == name)?;
        is_commit(commit).then(|| commit.to_owned())
    }

    fn packed(&self) -> String {
        read(&self.shared.join("packed-refs")).unwrap_or_default()
    }
}

/// A name that stays below the folder it is joined to.
fn is_ref_name(name: &str) -> bool {
    name.starts_with("refs/") && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn read(file: &Path) -> Option<String> {
    let meta = fs::metadata(file).ok()?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return None;
    }
    fs::read_to_string(file).ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn git(dir: &Path, arguments: &[&str]) -> String {
        let who =
            ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=m"];
        let output =
            Command::new("git").args(who).args(arguments).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn it_reads_what_git_says_in_every_layout() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a");
        std::fs::create_dir_all(root.join("deep/er")).unwrap();
        assert_eq!(head(&root), None);
        git(&root, &["init", "--quiet"]);
        assert_eq!(head(&root), None, "no commit yet");
        let commit = |text| git(&root, &["commit", "--quiet", "--allow-empty", "-m", text]);
        commit("one");
        let said = |dir: &Path| Some(git(dir, &["rev-parse", "HEAD"]));
        assert_eq!(head(&root), said(&root));
        assert_eq!(head(&root.join("deep/er")), said(&root), "from below the top");
        git(&root, &["branch", "plan/abc"]);
        git(&root, &["pack-refs", "--all"]);
        assert_eq!(head(&root), said(&root), "packed");
        git(&root, &["branch", "plan/def"]);
        let both = HashSet::from(["abc".to_owned(), "def".to_owned()]);
        assert_eq!(branches(&root, "plan/"), both);
        commit("two");
        git(&root, &["worktree", "add", "--quiet", "../b", "plan/abc"]);
        let worktree = dir.path().join("b");
        assert_eq!(head(&worktree), said(&worktree), "a worktree");
        assert_ne!(head(&worktree), head(&root));
        assert_eq!(branches(&worktree, "plan/"), both);
        git(&root, &["checkout", "--quiet", "--detach"]);
        assert_eq!(head(&root), said(&root), "detached");
    }
}
