//! An approved plan becomes a branch, in a worktree of its own. The user's tree and index do not change.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use crate::draft::MAX_FILE_BYTES;
use crate::git::{self, GitError};
use crate::life::Status;
use crate::record::{Record, blake3_hex};
use crate::refs;
use crate::stale::stale;
use crate::store::{Artifact, LoadError, Store};
use crate::tree::Tree;

/// A branch that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// `plan/<id>`.
    pub name: String,
    /// Its one commit.
    pub commit: String,
    /// The commit below it.
    pub base: String,
}

/// Why no branch was made. In each case nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError {
    /// It is not approved.
    #[error("plan `{id}` is `{}`, not approved; have it reviewed first", .status.as_str())]
    Unapproved {
        /// The plan.
        id: String,
        /// How far it has come.
        status: Status,
    },
    /// Its files are not those that were written, or not those that were approved.
    #[error(transparent)]
    Tampered(#[from] LoadError),
    /// Its files have changed since it was made.
    #[error("plan `{id}` is stale: {} changed since; create it again", .files.join(", "))]
    Stale {
        /// The plan.
        id: String,
        /// What changed.
        files: Vec<String>,
    },
    /// It has no patch.
    #[error("plan `{0}` is a statement of intent; there is nothing to put on a branch")]
    Statement(String),
    /// It was not made in a git tree.
    #[error("plan `{0}` was not made in a git tree; apply its patch by hand")]
    NoBase(String),
    /// The repository stores its branches in a format that the service does not read.
    #[error(
        "plan `{0}` has no base commit, because its repository stores branches in the reftable format; \
         run `git refs migrate --ref-format=files` and create the plan again"
    )]
    Reftable(String),
    /// Its base commit is gone.
    #[error(
        "the commit that plan `{0}` was made from is not in the repository; create the plan again"
    )]
    BaseGone(String),
    /// It was made from files that had not been committed.
    #[error(
        "plan `{id}` was made from changes that are not committed in {}; commit them and create it again",
        .files.join(", ")
    )]
    Uncommitted {
        /// The plan.
        id: String,
        /// The files concerned.
        files: Vec<String>,
    },
    /// The branch exists.
    #[error("branch `{0}` exists already; delete it to make it again")]
    Exists(String),
    /// The result of applying it is not the planned one.
    #[error("applying plan `{id}` did not give the planned text of {}; nothing was kept", .files.join(", "))]
    Differs {
        /// The plan.
        id: String,
        /// The files concerned.
        files: Vec<String>,
    },
    /// git would store another text than the planned one.
    #[error(
        "plan `{id}` touches files that a filter of the repository rewrites ({}), and the service runs no \
         filters; apply its patch by hand",
        .files.join(", ")
    )]
    Filtered {
        /// The plan.
        id: String,
        /// The files concerned.
        files: Vec<String>,
    },
    /// The temporary folder lies in the workspace.
    #[error("the folder for temporary files lies in the workspace; set `TMPDIR` to another one")]
    TempInside,
    /// No such remote.
    #[error("the repository has no remote `{0}`; add it with `git remote add`")]
    NoRemote(String),
    /// Git refused.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The worktree could not be written.
    #[error("the worktree could not be made in the folder for temporary files: {0}")]
    Io(#[from] std::io::Error),
}

impl BranchError {
    /// Its name, for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            BranchError::Unapproved { .. } => "unapproved",
            BranchError::Tampered(LoadError::NotFound(_)) => "not_found",
            BranchError::Tampered(_) => "tampered",
            BranchError::Stale { .. } => "stale",
            BranchError::Statement(_) => "statement",
            BranchError::NoBase(_) => "no_base",
            BranchError::Reftable(_) => "reftable",
            BranchError::BaseGone(_) => "base_gone",
            BranchError::Uncommitted { .. } => "uncommitted",
            BranchError::Exists(_) => "branch_exists",
            BranchError::Differs { .. } | BranchError::Filtered { .. } => "differs",
            BranchError::TempInside => "temp_inside",
            BranchError::NoRemote(_) => "no_remote",
            BranchError::Git(_) => "git_failed",
            BranchError::Io(_) => "io",
        }
    }
}

/// The name of a plan's branch.
pub fn name(id: &str) -> String {
    format!("plan/{id}")
}

/// Whether a plan's branch exists.
pub fn exists(tree: &Tree, id: &str) -> bool {
    let reference = format!("refs/heads/{}", name(id));
    git::query(tree.root(), &["show-ref", "--verify", "--quiet", &reference]).is_ok()
}

/// The ids of the plans that have a branch; none without a repository.
pub fn all(tree: &Tree) -> HashSet<String> {
    refs::branches(tree.root(), "plan/")
}

/// Makes the branch `plan/<id>` on top of the plan's base commit. `status` and `seal` are what the
/// journal says: how far the plan has come and the [`Artifact::seal`] of the record that was approved.
pub fn branch(
    tree: &Tree,
    store: &Store,
    id: &str,
    status: Status,
    seal: &str,
) -> Result<Branch, BranchError> {
    let artifact = store.load(id)?;
    let record = &artifact.record;
    if status != Status::Approved {
        return Err(BranchError::Unapproved { id: id.to_owned(), status });
    }
    let mail = proven(store, &artifact, seal)?;
    let mail = mail.ok_or_else(|| BranchError::Statement(id.to_owned()))?;
    let files = stale(tree, record);
    if !files.is_empty() {
        return Err(BranchError::Stale { id: id.to_owned(), files });
    }
    let base = base_of(tree, record)?;
    if exists(tree, id) {
        return Err(BranchError::Exists(name(id)));
    }
    let worktree = Worktree::at(tree, &base, &base)?;
    let commit = worktree.apply(record, &mail)?;
    // The zeros say that it must not exist: two at once cannot both make it.
    let reference = format!("refs/heads/{}", name(id));
    let none = "0".repeat(commit.len());
    git::query(tree.root(), &["update-ref", &reference, &commit, &none])?;
    Ok(Branch { name: name(id), commit, base })
}

/// The branch of a plan that was made before, proven to be the one that [`branch`] would make now: one commit
/// on the plan's base, with exactly the planned files. Lets an interrupted operation continue.
pub fn existing(tree: &Tree, store: &Store, id: &str, seal: &str) -> Result<Branch, BranchError> {
    let artifact = store.load(id)?;
    let record = &artifact.record;
    proven(store, &artifact, seal)?.ok_or_else(|| BranchError::Statement(id.to_owned()))?;
    let base = base_of(tree, record)?;
    let reference = format!("refs/heads/{}", name(id));
    let commit = git::query(tree.root(), &["rev-parse", "--verify", "--quiet", &reference])?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    if !git::is_commit(&commit) {
        return Err(BranchError::Exists(name(id)));
    }
    let worktree = Worktree::at(tree, &base, &commit)?;
    let files = worktree.differences(record)?;
    if !files.is_empty() {
        return Err(BranchError::Differs { id: id.to_owned(), files });
    }
    Ok(Branch { name: name(id), commit, base })
}

/// Whether the repository knows the remote.
pub fn check_remote(tree: &Tree, remote: &str) -> Result<(), BranchError> {
    let remotes = git::query(tree.root(), &["remote"])?;
    match String::from_utf8_lossy(&remotes).lines().any(|known| known == remote) {
        true => Ok(()),
        false => Err(BranchError::NoRemote(remote.to_owned())),
    }
}

/// Pushes a plan's branch to a remote of the repository, under the same name.
pub fn push(tree: &Tree, id: &str, remote: &str) -> Result<(), BranchError> {
    check_remote(tree, remote)?;
    let reference = format!("refs/heads/{}", name(id));
    Ok(git::push(tree.root(), remote, &format!("{reference}:{reference}"))?)
}

fn proven(store: &Store, artifact: &Artifact, seal: &str) -> Result<Option<String>, LoadError> {
    if artifact.seal != seal {
        let what = "its record is not the one that was approved";
        return Err(LoadError::Tampered { id: artifact.record.id.clone(), what });
    }
    store.mail(artifact)
}

fn base_of(tree: &Tree, record: &Record) -> Result<String, BranchError> {
    let no_base = || match refs::is_reftable(tree.root()) {
        true => BranchError::Reftable(record.id.clone()),
        false => BranchError::NoBase(record.id.clone()),
    };
    let base =
        record.base_commit.clone().filter(|base| git::is_commit(base)).ok_or_else(no_base)?;
    match git::query(tree.root(), &["cat-file", "-e", &format!("{base}^{{commit}}")]) {
        Ok(_) => Ok(base),
        Err(GitError::Failed { .. }) => Err(BranchError::BaseGone(record.id.clone())),
        Err(other) => Err(other.into()),
    }
}

/// A checkout in a temporary folder; removed when dropped.
struct Worktree<'t> {
    tree: &'t Tree,
    folder: tempfile::TempDir,
    base: String,
    /// Where the workspace lies in its repository: empty, or a path that ends in `/`.
    prefix: String,
}

impl<'t> Worktree<'t> {
    /// Checks `commit` out; `base` is the commit that a plan was made from.
    fn at(tree: &'t Tree, base: &str, commit: &str) -> Result<Self, BranchError> {
        let prefix = git::query(tree.root(), &["rev-parse", "--show-prefix"])?;
        let prefix = String::from_utf8_lossy(&prefix).trim_end_matches('\n').to_owned();
        let folder = tempfile::Builder::new().prefix("life-agent-plan-").tempdir()?;
        if folder.path().canonicalize()?.starts_with(tree.root()) {
            return Err(BranchError::TempInside);
        }
        let worktree = Self { tree, folder, base: base.to_owned(), prefix };
        let path = worktree.path();
        let args = ["worktree".as_ref(), "add".as_ref(), "--quiet".as_ref(), "--detach".as_ref()];
        git::work(tree.root(), &[&args[..], &[path.as_os_str(), commit.as_ref()]].concat())?;
        Ok(worktree)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// Applies the mail and proves what came of it; the new commit.
    fn apply(&self, record: &Record, mail: &str) -> Result<String, BranchError> {
        let id = || record.id.clone();
        let files = self.filtered(record)?;
        if !files.is_empty() {
            return Err(BranchError::Filtered { id: id(), files });
        }
        let files = self.unlike(record, |file| file.before.as_deref())?;
        if !files.is_empty() {
            return Err(BranchError::Uncommitted { id: id(), files });
        }
        // A copy of what was proven: the artifact itself could change in between.
        let mail_path = self.folder.path().join("plan.patch");
        std::fs::write(&mail_path, mail)?;
        match self.am("--keep-cr") {
            // Where git converts line endings, it compares the patch with the converted lines.
            Err(GitError::Failed { .. }) if self.converts_any(record)? => {
                let _ = git::work(&self.path(), &["am", "--abort"]);
                self.am("--no-keep-cr")?;
            }
            applied => applied?,
        }
        let files = self.differences(record)?;
        if !files.is_empty() {
            return Err(BranchError::Differs { id: id(), files });
        }
        let commit = refs::head(&self.path());
        commit.ok_or_else(|| BranchError::Differs { id: id(), files: Vec::new() })
    }

    /// The planned files with a `filter` attribute. Stored without it, an encrypted file would be in the clear.
    fn filtered(&self, record: &Record) -> Result<Vec<String>, BranchError> {
        let mut args = vec!["check-attr", "-z", "filter", "--"];
        args.extend(record.files.iter().map(|file| file.path.as_str()));
        let workspace = self.path().join(Path::new(&self.prefix));
        let listed = git::query(&workspace, &args)?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let fields: Vec<_> = listed.split('\0').collect();
        let filtered = |entry: &[&str]| match entry {
            [path, _, value] if !matches!(*value, "unspecified" | "unset") => {
                Some((*path).to_owned())
            }
            _ => None,
        };
        Ok(fields.chunks(3).filter_map(filtered).collect())
    }

    fn am(&self, carriage_returns: &str) -> Result<(), GitError> {
        let mut args = vec!["am", "--quiet", carriage_returns, "--keep-non-patch", "--no-scissors"];
        args.extend(["--no-3way", "--no-gpg-sign"]);
        let directory = format!("--directory={}", self.prefix);
        if !self.prefix.is_empty() {
            args.push(&directory);
        }
        args.extend(["--", "../plan.patch"]);
        git::work(&self.path(), &args).map(drop)
    }

    /// Everything in which the worktree's commit is not the planned one.
    fn differences(&self, record: &Record) -> Result<Vec<String>, BranchError> {
        let mut files = self.unlike(record, |file| file.after.as_deref())?;
        files.extend(self.unplanned(record)?);
        Ok(files)
    }

    /// The planned files whose line endings git converts between its store and the worktree.
    fn converted(&self, record: &Record) -> Result<HashSet<String>, BranchError> {
        let mut args = vec!["ls-files", "--eol", "-z", "--"];
        let workspace = self.path().join(Path::new(&self.prefix));
        let paths: Vec<_> =
            record.files.iter().map(|file| format!(":(literal){}", file.path)).collect();
        args.extend(paths.iter().map(String::as_str));
        // `i/lf w/crlf attr/text eol=crlf<tab>path`
        let listed = git::query(&workspace, &args)?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let converts = |entry: &str| {
            let (what, path) = entry.split_once('\t')?;
            let mut what = what.split_whitespace();
            let stored = what.next()?.strip_prefix("i/")?;
            let checked_out = what.next()?.strip_prefix("w/")?;
            (stored != checked_out).then(|| path.to_owned())
        };
        Ok(listed.split('\0').filter_map(converts).collect())
    }

    fn converts_any(&self, record: &Record) -> Result<bool, BranchError> {
        Ok(!self.converted(record)?.is_empty())
    }

    /// The planned files whose text in the worktree is not the expected one. Where git converts line endings,
    /// they do not count: the workspace may hold the file in either form, and git stores it in one.
    fn unlike<'r>(
        &self,
        record: &'r Record,
        expected: impl Fn(&'r crate::record::FileRecord) -> Option<&'r str>,
    ) -> Result<Vec<String>, BranchError> {
        let workspace = Tree::open(&self.path().join(Path::new(&self.prefix)))?;
        let mut unlike = Vec::new();
        let mut converted = None;
        for file in &record.files {
            let (found, expected) =
                match (workspace.read(&file.path, MAX_FILE_BYTES), expected(file)) {
                    (Ok(None), None) => continue,
                    (Ok(Some(found)), Some(expected)) => (found.bytes, expected),
                    _ => {
                        unlike.push(file.path.clone());
                        continue;
                    }
                };
            if blake3_hex(&found) == expected {
                continue;
            }
            let converted = match &mut converted {
                Some(converted) => converted,
                none => none.insert(self.converted(record)?),
            };
            let same_lines = || {
                let lf = without_carriage_returns(&found);
                blake3_hex(&lf) == expected || blake3_hex(&with_carriage_returns(&lf)) == expected
            };
            if !(converted.contains(&file.path) && same_lines()) {
                unlike.push(file.path.clone());
            }
        }
        Ok(unlike)
    }

    /// What the one commit above the base changes that was not planned, or not in this way: other
    /// files, modes, planned files that it leaves alone.
    fn unplanned(&self, record: &Record) -> Result<Vec<String>, BranchError> {
        let parents = git::query(&self.path(), &["rev-list", "--parents", "-1", "HEAD"])?;
        let parents = String::from_utf8_lossy(&parents);
        if parents.split_whitespace().nth(1) != Some(self.base.as_str()) {
            return Ok(vec!["the history".to_owned()]);
        }
        let args = ["diff-tree", "-r", "-z", "--raw", "--no-renames", &self.base, "HEAD"];
        let raw = git::query(&self.path(), &args)?;
        let planned: BTreeSet<String> =
            record.files.iter().map(|file| format!("{}{}", self.prefix, file.path)).collect();
        let raw = String::from_utf8_lossy(&raw);
        let mut fields = raw.split('\0');
        let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
        // Pairs of `:old-mode new-mode old-blob new-blob status` and the path.
        while let (Some(what), Some(path)) = (fields.next(), fields.next()) {
            if !(planned.contains(path) && keeps_mode(what)) {
                wrong.push(path.to_owned());
            }
            seen.insert(path.to_owned());
        }
        wrong.extend(planned.difference(&seen).cloned());
        Ok(wrong)
    }
}

/// The text with LF at the ends of its lines.
fn without_carriage_returns(text: &[u8]) -> Vec<u8> {
    let mut lf = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate() {
        if !(*byte == b'\r' && text.get(at + 1) == Some(&b'\n')) {
            lf.push(*byte);
        }
    }
    lf
}

/// The text with CRLF at the ends of its lines; `lf` has none.
fn with_carriage_returns(lf: &[u8]) -> Vec<u8> {
    let mut crlf = Vec::with_capacity(lf.len());
    for byte in lf {
        if *byte == b'\n' {
            crlf.push(b'\r');
        }
        crlf.push(*byte);
    }
    crlf
}

fn keeps_mode(what: &str) -> bool {
    let mut modes = what.trim_start_matches(':').split(' ');
    match (modes.next(), modes.next()) {
        (Some("000000"), Some("100644" | "100755"))
        | (Some("100644" | "100755"), Some("000000")) => true,
        (Some(old), Some(new)) => old == new && matches!(old, "100644" | "100755"),
        _ => false,
    }
}

impl Drop for Worktree<'_> {
    fn drop(&mut self) {
        let path = self.path();
        let args = ["worktree".as_ref(), "remove".as_ref(), "--force".as_ref(), path.as_os_str()];
        // Should this fail, the folder goes anyway and `git worktree prune` forgets it.
        let _ = git::work(self.tree.root(), &args);
    }
}
