//! `cargo xtask snapshot`: tags a commit and backs up the journal under the same name.

use std::path::Path;
use std::process::Command;

use crate::{cargo, root};

/// Backs up the journal, if it exists, and tags the current commit. Refuses if the tree has changes, which the tag
/// would not contain.
pub(crate) fn take(db: &Path) -> anyhow::Result<()> {
    let changes = git(&["status", "--porcelain"])?;
    anyhow::ensure!(changes.is_empty(), "the tree has changes; commit or stash them:\n{changes}");
    let name = format!("snapshot-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let Ok(db) = db.canonicalize() else {
        git(&["tag", "--annotate", &name, "--message", "No journal"])?;
        println!("tagged {name}; the journal `{}` does not exist", db.display());
        return Ok(());
    };
    let backup = db.with_file_name(format!("{name}.db"));
    let (from, to) = (db.to_string_lossy(), backup.to_string_lossy());
    let server = ["run", "--quiet", "--package", "life-agent-server", "--", "backup"];
    cargo(&[&server[..], &[&to, "--db", &from]].concat())?;
    git(&["tag", "--annotate", &name, "--message", &format!("Journal: {name}.db")])?;
    println!("tagged {name}, journal in {}", backup.display());
    Ok(())
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(arguments).current_dir(root()).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`git {}` failed: {errors}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
