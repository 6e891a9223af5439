//! A workspace in a temporary folder, the git in it, and judges to ask.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use life_agent_domain::governance::change_policy::{ChangePolicy, Leak};
use life_agent_domain::governance::command::{Plan, Subject};
use life_agent_domain::governance::gate::{
    Chain, Gate, GateInputs, NoopObserver, Permit, Reason, Refusal, Verdict, evaluate,
};
use life_agent_domain::governance::ids::Principal;
use life_agent_domain::governance::redaction::Redact;
use life_agent_plans::draft::{Draft, draft};
use life_agent_plans::edit::Edit;
use life_agent_plans::fault::PlanFault;
use life_agent_plans::request::PlanRequest;
use life_agent_plans::store::{Artifact, Meta, Store};
use life_agent_plans::tree::Tree;

/// A workspace and, beside it, a plans folder.
pub(crate) struct Place {
    root: tempfile::TempDir,
    plans: tempfile::TempDir,
}

impl Place {
    /// A workspace that is no git tree.
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), plans: tempfile::tempdir().unwrap() }
    }

    /// A git tree with these files, committed.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        place.git(["init", "--quiet", "--initial-branch=main"]);
        for (path, text) in files {
            place.write(path, text);
        }
        place.commit("base");
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree::open(self.path()).unwrap()
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(self.plans.path()).unwrap()
    }

    pub(crate) fn plans(&self) -> &Path {
        self.plans.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn commit(&self, subject: &str) -> String {
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--allow-empty", "--message", subject]);
        self.head()
    }

    pub(crate) fn head(&self) -> String {
        self.git(["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub(crate) fn git<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        git(self.path(), args)
    }

    pub(crate) fn propose(&self, request: PlanRequest) -> Result<Draft, Vec<PlanFault>> {
        draft(&self.tree(), &request.read(), u32::MAX, &Judge)
    }

    /// The plan on disk, made by the key `ann`.
    pub(crate) fn plan(&self, request: PlanRequest) -> Artifact {
        let draft = self.propose(request).unwrap();
        let permit = permit("Mend the gate", "It squeaks.\n\ndiff --git a/x b/x", draft.targets());
        let artifact = self.store().write(&draft, &permit, &meta()).unwrap();
        self.store().publish(&artifact).unwrap();
        artifact
    }

    /// Every file below the workspace with its bytes (links: their targets), git's own included.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(self.path(), &mut found);
        found
    }
}

fn collect(dir: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            collect(&path, found);
        } else if meta.is_symlink() {
            let target = std::fs::read_link(&path).unwrap();
            found.insert(path, target.as_os_str().as_encoded_bytes().to_vec());
        } else if meta.is_file() {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
}

/// Runs git as a user would whose settings are git's defaults; fails the test if git fails.
pub(crate) fn git<A: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = A>) -> String {
    String::from_utf8(git_bytes(dir, args)).unwrap()
}

pub(crate) fn git_bytes<A: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = A>) -> Vec<u8> {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let out = Command::new("git")
        .current_dir(dir)
        .args(&args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_AUTHOR_NAME", "Tester")
        .env("GIT_AUTHOR_EMAIL", "tester@example.org")
        .env("GIT_COMMITTER_NAME", "Tester")
        .env("GIT_COMMITTER_EMAIL", "tester@example.org")
        .stdin(Stdio::null())
        .output()
        .expect("git is needed to run these tests");
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// Admits all but `private/`, keeps renames within the first directory, and takes `SECRET-` for a
/// credential.
pub(crate) struct Judge;

impl ChangePolicy for Judge {
    fn path(&self, relative: &str) -> Result<(), Refusal> {
        if relative.starts_with("private/") { Err(forbidden()) } else { Ok(()) }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Refusal> {
        let area = |path: &str| path.split_once('/').map(|(first, _)| first.to_owned());
        if area(from) == area(to) { Ok(()) } else { Err(forbidden()) }
    }

    fn added_text(&self, text: &str) -> Vec<Leak> {
        let leak = |(start, _)| Leak { rule: "test_secret".to_owned(), start };
        text.match_indices("SECRET-").map(leak).collect()
    }
}

fn forbidden() -> Refusal {
    Refusal {
        reason: Reason::PathForbidden,
        rule: None,
        message: "the path is outside of the allowed directories".to_owned(),
        retry_after: None,
    }
}

struct Yes;

impl Gate for Yes {
    fn name(&self) -> &'static str {
        "yes"
    }
    fn check(&self, _subject: &Subject<'_>, _facts: &GateInputs) -> Verdict {
        Verdict { applied: vec!["docs-only".to_owned()], ..Verdict::pass() }
    }
}

struct Keep;

impl Redact for Keep {
    fn redact<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        text.into()
    }
}

pub(crate) fn permit(intent: &str, context: &str, targets: &[String]) -> Permit<Plan> {
    let chain = Chain::new(Box::new(Yes), Vec::new(), Box::new(Keep));
    let plan =
        Plan { intent: intent.to_owned(), context: context.to_owned(), targets: targets.to_vec() };
    evaluate(&chain, Principal::new("ann"), plan, &GateInputs::default(), &NoopObserver).unwrap()
}

pub(crate) fn meta() -> Meta {
    Meta {
        drafted_by: None,
        asked_by: None,
        fallback: None,
        created: "2026-11-22T20:51:10.5Z".parse().unwrap(),
        request_id: "req-1".to_owned(),
        policy_hash: "ab".repeat(32),
    }
}

pub(crate) fn edits(edits: impl IntoIterator<Item = Edit>) -> PlanRequest {
    PlanRequest { edits: edits.into_iter().collect(), ..PlanRequest::default() }
}

pub(crate) fn patch(text: impl Into<String>) -> PlanRequest {
    PlanRequest { patch: Some(text.into()), ..PlanRequest::default() }
}

pub(crate) fn replace(path: &str, content: &str) -> Edit {
    Edit::Replace { path: path.to_owned(), content: content.to_owned() }
}

pub(crate) fn create(path: &str, content: &str) -> Edit {
    Edit::Create { path: path.to_owned(), content: content.to_owned() }
}

pub(crate) fn delete(path: &str) -> Edit {
    Edit::Delete { path: path.to_owned() }
}
