//! The workspace, opened for reading only and never through a symlink.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions};

use crate::fault::Code;

/// A handle on the workspace. Every path is walked from it one component at a time, each opened
/// without following symlinks, so a symlink put there between check and use is refused as well.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    dir: Dir,
}

/// A file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    /// Whether its owner may execute it, which is all that git keeps of a mode.
    pub(crate) executable: bool,
}

/// Why a path cannot be read as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadFile {
    Symlink,
    NestedRepository,
    NotADirectory,
    NotAFile,
    TooLarge,
    Unreadable,
}

impl BadFile {
    pub(crate) fn code(self) -> Code {
        match self {
            BadFile::Symlink => Code::Symlink,
            BadFile::NestedRepository => Code::Submodule,
            BadFile::NotADirectory => Code::PathConflict,
            BadFile::NotAFile => Code::NotAFile,
            BadFile::TooLarge => Code::FileTooLarge,
            BadFile::Unreadable => Code::Unreadable,
        }
    }

    pub(crate) fn message(self) -> &'static str {
        match self {
            BadFile::Symlink => "a symlink is on the way to the file; name the file it leads to",
            BadFile::NestedRepository => {
                "the file belongs to another repository inside the workspace; plan it there"
            }
            BadFile::NotADirectory => "a file is where the path needs a directory",
            BadFile::NotAFile => "only regular files can be planned",
            BadFile::TooLarge => "the file is larger than a plan may handle",
            BadFile::Unreadable => "the file cannot be read; check its permissions",
        }
    }
}

impl Tree {
    /// Opens the workspace at `root`.
    pub fn open(root: &Path) -> io::Result<Self> {
        let dir = Dir::open_ambient_dir(root, ambient_authority())?;
        Ok(Self { root: root.canonicalize()?, dir })
    }

    /// Where it is; for git, which takes paths and no handles.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file at a path in its plain form; `None` if there is none.
    pub(crate) fn read(&self, path: &str, max: usize) -> Result<Option<Content>, BadFile> {
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(dir) = self.descend(parents)? else {
            return Ok(None);
        };
        let mut options = OpenOptions::new();
        // Without `nonblock`, opening a pipe would wait for its writer.
        options.read(true).follow(FollowSymlinks::No).nonblock(true);
        match dir.open_with(name, &options) {
            Ok(file) => read_file(file, max).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(_) => Err(why_not(&dir, name)),
        }
    }

    /// The names in a directory; empty if there is none.
    pub(crate) fn names(&self, path: &str) -> Result<HashSet<String>, BadFile> {
        let Some(dir) = self.descend(path)? else {
            return Ok(HashSet::new());
        };
        let entries = dir.entries().map_err(|_| BadFile::Unreadable)?;
        let name = |entry: cap_std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        Ok(entries.filter_map(|entry| entry.ok().map(name)).collect())
    }

    fn descend(&self, path: &str) -> Result<Option<Dir>, BadFile> {
        let mut dir = self.dir.try_clone().map_err(|_| BadFile::Unreadable)?;
        for component in path.split('/').filter(|component| !component.is_empty()) {
            dir = match dir.open_dir_nofollow(component) {
                Ok(inner) => inner,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(_) => return Err(why_no_directory(&dir, component)),
            };
            if dir.symlink_metadata(".git").is_ok() {
                return Err(BadFile::NestedRepository);
            }
        }
        Ok(Some(dir))
    }
}

fn read_file(mut file: File, max: usize) -> Result<Content, BadFile> {
    let meta = file.metadata().map_err(|_| BadFile::Unreadable)?;
    if !meta.is_file() {
        return Err(BadFile::NotAFile);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.by_ref().take(limit).read_to_end(&mut bytes).map_err(|_| BadFile::Unreadable)?;
    if bytes.len() > max {
        return Err(BadFile::TooLarge);
    }
    Ok(Content { bytes, executable: is_executable(&meta) })
}

#[cfg(unix)]
fn is_executable(meta: &cap_std::fs::Metadata) -> bool {
    use cap_std::fs::MetadataExt;
    meta.mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_meta: &cap_std::fs::Metadata) -> bool {
    false
}

/// Why something that exists could not be opened. Only words the refusal: it has been refused.
fn why_not(dir: &Dir, name: &str) -> BadFile {
    match dir.symlink_metadata(name) {
        Ok(meta) if meta.is_symlink() => BadFile::Symlink,
        Ok(meta) if !meta.is_file() => BadFile::NotAFile,
        _ => BadFile::Unreadable,
    }
}

fn why_no_directory(dir: &Dir, name: &str) -> BadFile {
    match dir.symlink_metadata(name) {
        Ok(meta) if meta.is_symlink() => BadFile::Symlink,
        Ok(meta) if !meta.is_dir() => BadFile::NotADirectory,
        _ => BadFile::Unreadable,
    }
}
