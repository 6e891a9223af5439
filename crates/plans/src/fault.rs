//! What is wrong with a plan: every fault at once, each with a code and its place.

use std::fmt;

use life_agent_domain::governance::gate::Reason;
use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Which check a plan failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All of them, for tables and documents.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// The code as answers show it.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// Both edits and a patch were sent.
    BothGiven = "both_given",
    /// A touched file is not among the targets that were named.
    NotATarget = "not_a_target",
    /// The path gate refuses the file.
    PathForbidden = "path_forbidden",
    /// A path from the root, a drive or a home directory.
    PathAbsolute = "path_absolute",
    /// A path with a `..` in it.
    PathEscapes = "path_escapes",
    /// A path that is not in its plain form, or that no file may have.
    PathMalformed = "path_malformed",
    /// Something in a `.git` directory.
    GitDirectory = "git_directory",
    /// A symlink, in the workspace or made by the patch.
    Symlink = "symlink",
    /// A submodule or another repository inside the workspace.
    Submodule = "submodule",
    /// A rename that leaves its allowed directory.
    RenameForbidden = "rename_forbidden",
    /// Two names that a file system may take for one.
    CaseCollision = "case_collision",
    /// A file where another path needs a directory.
    PathConflict = "path_conflict",
    /// A directory, a device, a pipe.
    NotAFile = "not_a_file",
    /// The file could not be read.
    Unreadable = "unreadable",
    /// What is to be created exists.
    Exists = "exists",
    /// What is to be changed or deleted does not exist.
    Missing = "missing",
    /// Not text: a NUL byte, bytes that are not UTF-8, or a binary patch.
    Binary = "binary",
    /// A file's mode would change.
    ModeChange = "mode_change",
    /// The patch copies a file.
    Copy = "copy",
    /// Not a patch as `git diff` prints it.
    MalformedPatch = "malformed_patch",
    /// A hunk's header and its lines disagree.
    HunkCounts = "hunk_counts",
    /// Hunks overlap or are out of order.
    OverlappingHunks = "overlapping_hunks",
    /// The patch names a file twice.
    DuplicateFile = "duplicate_file",
    /// The patch does not fit the file as it is.
    DoesNotApply = "does_not_apply",
    /// It would fit but for its line endings, or would leave a file with mixed ones.
    LineEndings = "line_endings",
    /// An edit that cannot be carried out on any file.
    EditMalformed = "edit_malformed",
    /// What the model wrote is not the edits that it was asked for.
    DraftMalformed = "draft_malformed",
    /// The searched text does not occur.
    SearchNotFound = "search_not_found",
    /// The searched text occurs more than once.
    SearchAmbiguous = "search_ambiguous",
    /// The file would be as it is.
    NoChange = "no_change",
    /// An added line holds a credential.
    Secret = "secret",
    /// A file is larger than a plan may handle.
    FileTooLarge = "file_too_large",
    /// The patch is larger than a plan may be.
    PatchTooLarge = "patch_too_large",
    /// More files than a plan may touch.
    TooManyFiles = "too_many_files",
    /// More edits than a plan may hold.
    TooManyEdits = "too_many_edits",
    /// More added and removed lines than the policy allows.
    TooManyLines = "too_many_lines",
}

impl Code {
    /// The reason that `policy_denied_total` counts; `None` where the plan is simply wrong.
    pub fn reason(self) -> Option<Reason> {
        match self {
            Code::PathForbidden
            | Code::PathAbsolute
            | Code::PathEscapes
            | Code::GitDirectory
            | Code::Symlink
            | Code::Submodule
            | Code::RenameForbidden => Some(Reason::PathForbidden),
            Code::Secret => Some(Reason::RiskPattern),
            Code::FileTooLarge
            | Code::PatchTooLarge
            | Code::TooManyFiles
            | Code::TooManyEdits
            | Code::TooManyLines => Some(Reason::PlanLimit),
            _ => None,
        }
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing that is wrong with a plan. May quote the workspace (the lines nearest to a text that was
/// not found): redact it before it is shown or kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanFault {
    /// Which check failed.
    pub code: Code,
    /// The edit concerned, from 0, if the plan came as edits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<usize>,
    /// The file concerned, as the caller named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1: of the patch if the plan came as one and the message says so, else of the
    /// file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl PlanFault {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, edit: None, file: None, line: None, message: message.into() }
    }

    pub(crate) fn file(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    pub(crate) fn line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub(crate) fn of(mut self, source: Source) -> Self {
        match source {
            Source::Edit(index) => self.edit = Some(index),
            Source::Patch(line) => self.line = self.line.or(Some(line)),
        }
        self
    }
}

impl fmt::Display for PlanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.edit {
            write!(f, "edit {index}: ")?;
        }
        if let Some(file) = &self.file {
            write!(f, "`{file}`: ")?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{} ({})", self.message, self.code.as_str())
    }
}

/// Where in a request something comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The edit with this index.
    Edit(usize),
    /// This line of the patch, from 1.
    Patch(usize),
}

/// The error code for an answer with these faults: a path that is off limits outweighs the rest.
pub fn answer_code(faults: &[PlanFault]) -> &'static str {
    let off_limits = |fault: &PlanFault| fault.code.reason() == Some(Reason::PathForbidden);
    if faults.iter().any(off_limits) { "path_forbidden" } else { "plan_invalid" }
}

/// Longest quotation of a line, in characters.
const MAX_QUOTE: usize = 120;

/// A line as faults quote it: without its ending, cut if long.
pub(crate) fn quoted(line: &str) -> String {
    let line = line.trim_end_matches(['\n', '\r']);
    match line.char_indices().nth(MAX_QUOTE) {
        Some((cut, _)) => format!("`{}…`", &line[..cut]),
        None => format!("`{line}`"),
    }
}
