//! A proposal meets the files as they are: all of its faults, or a draft.

use std::collections::{BTreeMap, HashSet};

use life_agent_domain::governance::change_policy::ChangePolicy;

use crate::apply::apply;
use crate::check;
use crate::edit::missing;
use crate::fault::{Code, PlanFault, Source};
use crate::patch::{FilePatch, What};
use crate::path;
use crate::record::{Check, FileRecord, Stats};
use crate::refs;
use crate::request::{Change, Proposal};
use crate::tree::Tree;

/// Largest file a plan may touch or make, in bytes.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Most files a plan may touch.
pub const MAX_FILES: usize = 500;
/// Most bytes of the workspace that are read for one plan.
pub const MAX_READ_BYTES: usize = 16 * 1024 * 1024;

/// A plan that passed every check. Only [`draft`] makes one, so what it says about its diff holds.
#[derive(Debug)]
pub struct Draft {
    pub(crate) targets: Vec<String>,
    pub(crate) files: Vec<FileRecord>,
    pub(crate) diff: Option<String>,
    pub(crate) stats: Stats,
    pub(crate) checks: Vec<Check>,
    pub(crate) base_commit: Option<String>,
}

impl Draft {
    /// The diff; `None` for a statement of intent. Quotes the workspace: redact it before it is shown.
    pub fn diff(&self) -> Option<&str> {
        self.diff.as_deref()
    }

    /// How large it is.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// What was checked.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The paths that it is about, as [`Proposal::targets`] has them.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }
}

/// One file's change, worked out.
#[derive(Debug)]
pub(crate) struct FileChange {
    pub(crate) path: String,
    pub(crate) from: Option<String>,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) executable: bool,
    pub(crate) source: Source,
}

/// Works a proposal out against the workspace. Reads files, the repository's refs among them; writes
/// nothing. `max_diff_lines` is the policy's limit on added and removed lines together.
pub fn draft(
    tree: &Tree,
    proposal: &Proposal,
    max_diff_lines: u32,
    change_policy: &dyn ChangePolicy,
) -> Result<Draft, Vec<PlanFault>> {
    // Before the files, so that a commit made meanwhile shows as a stale plan and not as a wrong base.
    let base_commit = refs::head(tree.root());
    let mut faults = proposal.faults.clone();
    faults.extend(targets_off_limits(proposal, change_policy));
    let mut work = Work { tree, change_policy, files: BTreeMap::new(), faults, read: 0 };
    work.read_all(proposal);
    let renames = match &proposal.change {
        Change::None => Vec::new(),
        Change::Edits(edits) => {
            for (index, edit) in edits.iter().enumerate() {
                work.step(edit.path(), Source::Edit(index), |text| edit.apply(text));
            }
            Vec::new()
        }
        Change::Patch(files) => files.iter().filter_map(|file| work.patch(file)).collect(),
    };
    let (changes, mut faults) = work.into_changes(renames);
    let outcome = check::all(tree, &changes, max_diff_lines, change_policy, &mut faults);
    if !faults.is_empty() {
        // A name that is a credential is known to the caller and shown to no other caller.
        let leaks = |file: &mut String| !change_policy.added_text(file).is_empty();
        faults.iter_mut().for_each(|fault| drop(fault.file.take_if(leaks)));
        return Err(faults);
    }
    Ok(Draft {
        targets: proposal.targets(),
        files: records(&changes),
        diff: (!proposal.is_statement()).then_some(outcome.diff),
        stats: outcome.stats,
        checks: check::passed(outcome.stats, max_diff_lines, proposal.is_statement()),
        base_commit,
    })
}

/// A path, and the text of the file there; `None` where there is no file.
pub type Present = (String, Option<String>);

/// The files at these paths as they are, if a plan may touch them all. Quotes the workspace: redact it
/// before anybody else sees it.
pub fn present(
    tree: &Tree,
    paths: &[String],
    change_policy: &dyn ChangePolicy,
) -> Result<Vec<Present>, Vec<PlanFault>> {
    let mut work =
        Work { tree, change_policy, files: BTreeMap::new(), faults: Vec::new(), read: 0 };
    let mut files = Vec::new();
    for path in paths {
        if let Some(fault) = check::secrets_in_name(path, change_policy) {
            // Without the name: it is what must not be repeated.
            work.faults.push(fault);
            continue;
        }
        match work.read_one(path) {
            Ok((text, _)) => files.push((path.clone(), text)),
            Err(fault) => work.faults.push(fault.file(path)),
        }
    }
    if work.faults.is_empty() { Ok(files) } else { Err(work.faults) }
}

/// What is wrong with the targets that were named, apart from those that are touched anyway.
fn targets_off_limits(proposal: &Proposal, change_policy: &dyn ChangePolicy) -> Vec<PlanFault> {
    let named: HashSet<_> = proposal.named().iter().map(String::as_str).collect();
    let mut touched = HashSet::new();
    let mut faults = Vec::new();
    for (path, source) in proposal.touched() {
        if touched.insert(path) && !named.is_empty() && !named.contains(path) {
            let message = "the file is not among the targets; name it there or leave it alone";
            faults.push(PlanFault::new(Code::NotATarget, message).file(path).of(source));
        }
    }
    for path in proposal.named().iter().filter(|path| !touched.contains(path.as_str())) {
        faults.extend(check::admitted(path, change_policy).err().map(|fault| fault.file(path)));
        faults.extend(check::secrets_in_name(path, change_policy));
    }
    faults
}

/// A file while the steps of a change go over it.
struct State {
    before: Option<String>,
    now: Option<String>,
    executable: bool,
    source: Source,
    /// A fault has been reported; nothing more is done with it.
    bad: bool,
}

struct Work<'a> {
    tree: &'a Tree,
    change_policy: &'a dyn ChangePolicy,
    files: BTreeMap<String, State>,
    faults: Vec<PlanFault>,
    read: usize,
}

impl Work<'_> {
    /// Reads each touched file once.
    fn read_all(&mut self, proposal: &Proposal) {
        for (path, source) in proposal.touched() {
            if self.files.contains_key(path) {
                continue;
            }
            if self.files.len() == MAX_FILES {
                let message = format!("a plan can touch {MAX_FILES} files; split it");
                return self.faults.push(PlanFault::new(Code::TooManyFiles, message));
            }
            let read = self.read_one(path);
            let bad = read.is_err();
            let (before, executable) = read.unwrap_or_else(|fault| {
                self.faults.push(fault.file(path).of(source));
                (None, false)
            });
            let now = before.clone();
            self.files.insert(path.to_owned(), State { before, now, executable, source, bad });
        }
    }

    fn read_one(&mut self, path: &str) -> Result<(Option<String>, bool), PlanFault> {
        path::check(path).map_err(|(code, message)| PlanFault::new(code, message))?;
        check::admitted(path, self.change_policy)?;
        let content = self.tree.read(path, MAX_FILE_BYTES);
        let content = content.map_err(|bad| PlanFault::new(bad.code(), bad.message()))?;
        let Some(content) = content else {
            return Ok((None, false));
        };
        self.read += content.bytes.len();
        if self.read > MAX_READ_BYTES {
            let message = format!("a plan can touch {MAX_READ_BYTES} bytes of files; split it");
            return Err(PlanFault::new(Code::FileTooLarge, message));
        }
        match String::from_utf8(content.bytes) {
            Ok(text) if !text.contains('\0') => Ok((Some(text), content.executable)),
            _ => {
                Err(PlanFault::new(Code::Binary, "the file is not text; only text can be planned"))
            }
        }
    }

    /// Carries one step out on one file, unless that file is bad already.
    fn step(
        &mut self,
        path: &str,
        source: Source,
        change: impl FnOnce(Option<&str>) -> Result<Option<String>, PlanFault>,
    ) {
        let Some(state) = self.files.get_mut(path).filter(|state| !state.bad) else {
            return;
        };
        match change(state.now.as_deref()) {
            Ok(text) => state.now = text,
            Err(fault) => {
                state.bad = true;
                self.faults.push(fault.file(path).of(source));
            }
        }
    }

    /// Carries one file's patch out; a rename's names, if that is what it is.
    fn patch(&mut self, file: &FilePatch) -> Option<(String, String)> {
        let source = Source::Patch(file.line);
        let names = file.renamed_from().into_iter().chain([file.path.as_str()]);
        if file.broken || names.clone().any(|name| self.is_bad(name)) {
            names.for_each(|name| self.give_up(name));
            return None;
        }
        let moved = match &file.what {
            What::Rename { from } => {
                let moved = self.files.get(from).and_then(|state| state.now.clone());
                let executable = self.files.get(from).is_some_and(|state| state.executable);
                if let Some(state) = self.files.get_mut(&file.path) {
                    state.executable = executable;
                }
                self.step(from, source, |text| text.map(|_| None).ok_or_else(missing));
                if self.is_bad(from) {
                    self.give_up(&file.path);
                    return None;
                }
                moved
            }
            _ => None,
        };
        self.step(&file.path, source, |text| patched(file, text, moved.as_deref()));
        let from = file.renamed_from()?;
        if self.is_bad(from) || self.is_bad(&file.path) {
            self.give_up(from);
            self.give_up(&file.path);
            return None;
        }
        Some((from.to_owned(), file.path.clone()))
    }

    fn is_bad(&self, path: &str) -> bool {
        self.files.get(path).is_none_or(|state| state.bad)
    }

    fn give_up(&mut self, path: &str) {
        if let Some(state) = self.files.get_mut(path) {
            state.bad = true;
        }
    }

    /// The changes of all files without a fault, by path, and the faults so far.
    fn into_changes(mut self, renames: Vec<(String, String)>) -> (Vec<FileChange>, Vec<PlanFault>) {
        let mut changes = Vec::new();
        for (from, to) in renames {
            if let (Some(old), Some(new)) = (self.files.remove(&from), self.files.remove(&to)) {
                let (executable, source) = (old.executable, new.source);
                let (before, after) = (old.before, new.now);
                changes.push(FileChange {
                    path: to,
                    from: Some(from),
                    before,
                    after,
                    executable,
                    source,
                });
            }
        }
        for (path, state) in self.files.into_iter().filter(|(_, state)| !state.bad) {
            let State { before, now: after, executable, source, .. } = state;
            if before == after {
                let message = "the file would be as it is; leave it out";
                self.faults.push(PlanFault::new(Code::NoChange, message).file(&path).of(source));
            } else {
                changes.push(FileChange { path, from: None, before, after, executable, source });
            }
        }
        changes.sort_by(|left, right| left.path.cmp(&right.path));
        (changes, self.faults)
    }
}

/// What a file's patch makes of it; `moved` is the text that a rename brings along.
fn patched(
    file: &FilePatch,
    text: Option<&str>,
    moved: Option<&str>,
) -> Result<Option<String>, PlanFault> {
    let exists = || PlanFault::new(Code::Exists, "the patch would make a file that exists");
    match (&file.what, text) {
        (What::Create | What::Rename { .. }, Some(_)) => Err(exists()),
        (What::Modify | What::Delete, None) => Err(missing()),
        (What::Create, None) => apply("", &file.hunks).map(Some),
        (What::Modify, Some(text)) => apply(text, &file.hunks).map(Some),
        (What::Rename { .. }, None) => apply(moved.unwrap_or_default(), &file.hunks).map(Some),
        (What::Delete, Some(text)) => match apply(text, &file.hunks)?.as_str() {
            "" => Ok(None),
            _ => Err(PlanFault::new(
                Code::DoesNotApply,
                "the patch deletes the file but not all of its lines; create the patch again",
            )),
        },
    }
}

fn records(changes: &[FileChange]) -> Vec<FileRecord> {
    let hash =
        |text: &Option<String>| text.as_ref().map(|t| crate::record::blake3_hex(t.as_bytes()));
    let mut records = Vec::new();
    for change in changes {
        let (path, before, after) =
            (change.path.clone(), hash(&change.before), hash(&change.after));
        match &change.from {
            None => records.push(FileRecord { path, renamed_from: None, before, after }),
            Some(from) => {
                let old =
                    FileRecord { path: from.clone(), renamed_from: None, before, after: None };
                let renamed_from = Some(from.clone());
                records.extend([old, FileRecord { path, renamed_from, before: None, after }]);
            }
        }
    }
    records.sort_by(|left, right| left.path.cmp(&right.path));
    records
}
