//! `cargo xtask tidy`: checks source files for a `//!` line and a bounded length.

use std::path::{Path, PathBuf};

use crate::root;

/// Longer files are split.
const MAX_LINES: usize = 500;

/// Fails with every fault.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut files = Vec::new();
    for folder in ["crates", "bins", "tests", "xtask"] {
        collect(&root().join(folder), &mut files)?;
    }
    let mut faults = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let shown = file.strip_prefix(root()).unwrap_or(&file).display();
        if !text.starts_with("//!") {
            faults.push(format!("{shown}: no `//!` line that says what it is for"));
        }
        if text.lines().count() > MAX_LINES {
            faults.push(format!("{shown}: more than {MAX_LINES} lines"));
        }
    }
    anyhow::ensure!(faults.is_empty(), "untidy files:\n  {}", faults.join("\n  "));
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_file_says_what_it_is_for() {
        super::check().unwrap();
    }
}
