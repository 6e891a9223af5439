//! What a caller asks for, read far enough to know which files it is about.

use std::collections::HashSet;

use crate::edit::Edit;
use crate::fault::{Code, PlanFault, Source};
use crate::patch::{self, FilePatch};

/// Largest patch, in bytes: what a caller may send and what a plan may come to.
pub const MAX_PATCH_BYTES: usize = 1024 * 1024;
/// Most edits of a request; each may copy a whole file.
pub const MAX_EDITS: usize = 1000;
/// Longest intent, in characters.
pub const MAX_INTENT: usize = 1024;
/// Longest context, in characters.
pub const MAX_CONTEXT: usize = 65_536;
/// Most targets of one plan.
pub const MAX_TARGETS: usize = 256;
/// Longest target, in characters.
pub const MAX_PATH: usize = 1024;

/// What a caller asks for. With neither edits nor a patch it is a statement of intent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanRequest {
    /// The paths that the caller named. If there are any, no other file may be touched.
    pub targets: Vec<String>,
    /// Edits, in their order.
    pub edits: Vec<Edit>,
    /// A patch as `git diff` prints it, instead of edits.
    pub patch: Option<String>,
}

/// A request that has been read. It carries the faults found on the way, so that
/// [`draft`](crate::draft::draft) can report them together with its own.
#[derive(Debug)]
pub struct Proposal {
    named: Vec<String>,
    pub(crate) change: Change,
    pub(crate) faults: Vec<PlanFault>,
}

#[derive(Debug)]
pub(crate) enum Change {
    None,
    Edits(Vec<Edit>),
    Patch(Vec<FilePatch>),
}

impl PlanRequest {
    /// Reads the request; looks at no file.
    pub fn read(mut self) -> Proposal {
        let mut faults = Vec::new();
        if self.edits.len() > MAX_EDITS {
            let message = format!("a plan can hold {MAX_EDITS} edits; split it");
            faults.push(PlanFault::new(Code::TooManyEdits, message));
            self.edits.truncate(MAX_EDITS);
        }
        let change = match (self.patch, self.edits) {
            (Some(_), edits) if !edits.is_empty() => {
                let message = "send either `edits` or `patch`, not both";
                faults.push(PlanFault::new(Code::BothGiven, message));
                Change::Edits(edits)
            }
            (Some(patch), _) if patch.len() > MAX_PATCH_BYTES => {
                let message =
                    format!("the patch has {} bytes, at most {MAX_PATCH_BYTES} pass", patch.len());
                faults.push(PlanFault::new(Code::PatchTooLarge, message));
                Change::Patch(Vec::new())
            }
            (Some(patch), _) => {
                let (mut files, found) = patch::parse(&patch);
                faults.extend(found);
                faults.extend(duplicates(&mut files));
                Change::Patch(files)
            }
            (None, edits) if edits.is_empty() => Change::None,
            (None, edits) => Change::Edits(edits),
        };
        Proposal { named: self.targets, change, faults }
    }
}

fn duplicates(files: &mut [FilePatch]) -> Vec<PlanFault> {
    let mut seen = HashSet::new();
    let mut faults = Vec::new();
    for file in files {
        let names = file.renamed_from().into_iter().chain([file.path.as_str()]);
        let known: Vec<_> = names.filter(|name| !seen.insert((*name).to_owned())).collect();
        for name in &known {
            let message = "the patch names this file twice; merge both parts into one";
            let fault = PlanFault::new(Code::DuplicateFile, message);
            faults.push(fault.file(name).line(file.line));
        }
        file.broken |= !known.is_empty();
    }
    faults
}

impl Proposal {
    /// Whether nothing is to be changed yet.
    pub fn is_statement(&self) -> bool {
        matches!(self.change, Change::None)
    }

    /// The paths that the plan is about, which the chain has to judge and the permit to name: those
    /// that the caller named, then those that the change touches besides, old names included.
    pub fn targets(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let touched = self.touched().into_iter().map(|(path, _)| path);
        let all = self.named.iter().map(String::as_str).chain(touched);
        all.filter(|path| seen.insert(*path)).map(str::to_owned).collect()
    }

    /// The paths that the caller named.
    pub(crate) fn named(&self) -> &[String] {
        &self.named
    }

    /// Every path that the change touches, each time it does, and where it says so.
    pub(crate) fn touched(&self) -> Vec<(&str, Source)> {
        match &self.change {
            Change::None => Vec::new(),
            Change::Edits(edits) => {
                let touch = |(index, edit)| (Edit::path(edit), Source::Edit(index));
                edits.iter().enumerate().map(touch).collect()
            }
            Change::Patch(files) => {
                let touch = |file| {
                    let names =
                        FilePatch::renamed_from(file).into_iter().chain([file.path.as_str()]);
                    names.map(|path| (path, Source::Patch(file.line)))
                };
                files.iter().flat_map(touch).collect()
            }
        }
    }
}
