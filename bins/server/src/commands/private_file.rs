//! Files that only their owner may read.

use std::io::Write;
use std::path::Path;

use crate::auth::keys::random_key;

/// Replaces a file in one step, so that no reader finds half of it.
pub(super) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", random_key()));
    let draft = path.with_file_name(name);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&draft).and_then(|mut out| {
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        std::fs::rename(&draft, path)
    });
    written.inspect_err(|_| {
        let _ = std::fs::remove_file(&draft);
    })
}

/// Creates a folder and the folders above it.
pub(super) fn create_folder(path: &Path) -> std::io::Result<()> {
    create(path, true)
}

/// Creates a folder that must not exist, in one that other users may write to.
pub(super) fn create_new_folder(path: &Path) -> std::io::Result<()> {
    create(path, false)
}

fn create(path: &Path, recursive: bool) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(recursive);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
