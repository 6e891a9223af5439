//! Reads a patch as `git diff` prints it, strictly: what git would guess at or skip is a fault.
//!
//! The format is that of git's `diff-generate-patch` documentation; the traps are those of its
//! `apply.c`, which takes an under-counted new file, fuzz and offsets in silence.

mod header;
mod hunk;
#[cfg(test)]
mod tests;

pub(crate) use hunk::{Hunk, Line, Side};

use crate::fault::{Code, PlanFault};

/// What a patch does to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePatch {
    /// The line of the patch at which it begins, from 1.
    pub(crate) line: usize,
    pub(crate) what: What,
    /// The file after the change; for a deletion, before it.
    pub(crate) path: String,
    pub(crate) hunks: Vec<Hunk>,
    /// It has faults of its own: its path is still judged, but it is not applied.
    pub(crate) broken: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Modify,
    Create,
    Delete,
    Rename { from: String },
}

impl FilePatch {
    /// The old name, where the patch gives the file a new one.
    pub(crate) fn renamed_from(&self) -> Option<&str> {
        match &self.what {
            What::Rename { from } => Some(from),
            _ => None,
        }
    }
}

/// Reads a whole patch; every fault of every file.
pub(crate) fn parse(text: &str) -> (Vec<FilePatch>, Vec<PlanFault>) {
    let mut reader = Reader { lines: text.split_inclusive('\n').collect(), at: 0 };
    let mut files = Vec::new();
    let mut faults = Vec::new();
    while let Some(line) = reader.peek() {
        if line.starts_with("diff --git ") {
            files.extend(section(&mut reader, &mut faults));
            continue;
        }
        if reader.only_blank_lines_left() {
            break;
        }
        faults.push(stray(line, files.last()).line(reader.number()));
        reader.skip_to_next_file();
    }
    if files.is_empty() && faults.is_empty() {
        faults.push(PlanFault::new(Code::MalformedPatch, "the patch changes no file"));
    }
    (files, faults)
}

/// A line that belongs to no file.
fn stray(line: &str, last: Option<&FilePatch>) -> PlanFault {
    match last {
        Some(file) if !file.hunks.is_empty() && line.starts_with([' ', '+', '-', '\\', '\n']) => {
            let message = "the hunk before has more lines than its header counts";
            PlanFault::new(Code::HunkCounts, message).file(&file.path)
        }
        _ => {
            let message = "expected `diff --git a/… b/…`; send the patch as `git diff` prints it";
            PlanFault::new(Code::MalformedPatch, message)
        }
    }
}

/// One file, from its `diff --git` line to the next. `None` if even its name is ambiguous.
fn section(reader: &mut Reader<'_>, faults: &mut Vec<PlanFault>) -> Option<FilePatch> {
    let line = reader.number();
    let mut own = Vec::new();
    let head = header::read(reader, &mut own);
    let mut hunks = Vec::new();
    if own.is_empty() {
        hunk::read_all(reader, &mut hunks, &mut own);
    }
    if let Some(head) = &head
        && own.is_empty()
        && hunks.is_empty()
        && head.what == What::Modify
    {
        let message = "nothing follows the file's name; send its hunks";
        own.push(PlanFault::new(Code::MalformedPatch, message).line(line));
    }
    let broken = !own.is_empty();
    if broken {
        reader.skip_to_next_file();
    }
    for fault in own {
        faults.push(match &head {
            Some(head) if fault.file.is_none() => fault.file(&head.path),
            _ => fault,
        });
    }
    let head = head?;
    Some(FilePatch { line, what: head.what, path: head.path, hunks, broken })
}

/// The lines of a patch, each with its ending, and where the reading has got to.
struct Reader<'t> {
    lines: Vec<&'t str>,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<&'t str> {
        self.lines.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'t str> {
        let line = self.peek()?;
        self.at += 1;
        Some(line)
    }

    /// The number of the line that comes next, from 1.
    fn number(&self) -> usize {
        self.at + 1
    }

    fn skip_to_next_file(&mut self) {
        while self.peek().is_some_and(|line| !line.starts_with("diff --git ")) {
            self.at += 1;
        }
    }

    fn only_blank_lines_left(&self) -> bool {
        self.lines[self.at..].iter().all(|line| line.trim().is_empty())
    }
}
