//! A hash of a folder's content, to assert that nothing has changed.

use std::path::Path;

/// A hash over names, kinds and contents of everything in `root` except the journal's files and the paths in `except`.
pub(crate) fn fingerprint(root: &Path, except: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    visit(root, root, except, &mut hasher);
    hasher.finalize().to_hex().to_string()
}

fn visit(root: &Path, folder: &Path, except: &[&str], hasher: &mut blake3::Hasher) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.strip_prefix(root).unwrap();
        let is_journal = name.to_string_lossy().starts_with("agent.db");
        if is_journal || except.iter().any(|excepted| Path::new(excepted) == name) {
            continue;
        }
        let meta = path.symlink_metadata().unwrap();
        hasher.update(format!("{}\0{:?}\0", name.display(), meta.file_type()).as_bytes());
        if meta.is_dir() {
            visit(root, &path, except, hasher);
        } else if meta.is_symlink() {
            hasher.update(std::fs::read_link(&path).unwrap().as_os_str().as_encoded_bytes());
        } else {
            hasher.update(&std::fs::read(&path).unwrap());
        }
    }
}
