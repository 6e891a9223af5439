//! Ties a commit and a journal together: a tag, and a backup of the journal under the same name.

use std::path::Path;
use std::process::Command;

use crate::{cargo, root};

/// Backs the journal up and tags the present commit. Without a journal it only tags. Refuses while the tree has
/// changes, which the tag would not hold.
pub(crate) fn take(db: &Path) -> anyhow::Result<()> {
    let changes = git(&["status", "--porcelain"])?;
    anyhow::ensure!(changes.is_empty(), "the tree has changes; commit or stash them:\n{changes}");
    let name = format!("snapshot-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let Ok(db) = db.canonicalize() else {
        git(&["tag", "--annotate", &name, "--message", "No journal"])?;
        println!("tagged {name}; there is no journal `{}` to back up", db.display());
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
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`git {}` failed: {said}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
