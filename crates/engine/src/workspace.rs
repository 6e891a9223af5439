//! The workspace that plans refer to: read, never written.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use life_agent_domain::governance::gate::TargetFact;

/// The tree that plans refer to.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
    /// The plans folder counts as existing before it is created, so that a policy may name it.
    plans_dir_name: Option<String>,
}

impl Workspace {
    pub(crate) fn open(dir: &Path, plans_dir: &Path) -> std::io::Result<Self> {
        let root = dir.canonicalize()?;
        if !root.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        let plans_dir_name = plans_dir.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self { root, plans_dir_name })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Each target on the file system, in order.
    pub(crate) fn facts(&self, targets: &[String]) -> Vec<TargetFact> {
        targets.iter().map(|raw| self.fact(raw)).collect()
    }

    fn fact(&self, raw: &str) -> TargetFact {
        // The gate refuses a path that leads outside the workspace without a lookup.
        match life_agent_gates::paths::normalize(raw) {
            Ok(relative) => self.resolve(&relative),
            Err(_) => TargetFact::Outside,
        }
    }

    /// Follows symlinks as far as the path exists; the rest is taken literally.
    fn resolve(&self, relative: &str) -> TargetFact {
        let mut path = self.root.clone();
        let mut exists = true;
        for component in relative.split('/') {
            path.push(component);
            if !exists {
                continue;
            }
            match path.symlink_metadata() {
                Ok(meta) if meta.is_symlink() => match path.canonicalize() {
                    Ok(target) => path = target,
                    Err(_) => return TargetFact::Unreadable,
                },
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => exists = false,
                Err(_) => return TargetFact::Unreadable,
            }
        }
        match path.strip_prefix(&self.root).map(Path::to_str) {
            Ok(Some(inside)) => TargetFact::Inside { resolved: inside.to_owned() },
            Ok(None) => TargetFact::Unreadable,
            Err(_) => TargetFact::Outside,
        }
    }
}

impl life_agent_policy::snapshot::Workspace for Workspace {
    fn is_dir(&self, relative: &str) -> bool {
        self.plans_dir_name.as_deref() == Some(relative) || self.root.join(relative).is_dir()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> (tempfile::TempDir, Workspace) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("docs/inner")).unwrap();
        std::fs::write(dir.path().join("docs/a.md"), "a").unwrap();
        let workspace = Workspace::open(dir.path(), Path::new("/elsewhere/plans")).unwrap();
        (dir, workspace)
    }

    fn inside(resolved: &str) -> TargetFact {
        TargetFact::Inside { resolved: resolved.to_owned() }
    }

    #[test]
    fn paths_that_exist_and_paths_to_come_are_inside() {
        let (_dir, workspace) = workspace();
        for path in ["docs/a.md", "docs/inner/new/file.md", "new"] {
            assert_eq!(workspace.facts(&[path.to_owned()]), [inside(path)]);
        }
        assert_eq!(workspace.facts(&["../x".to_owned()]), [TargetFact::Outside]);
        assert_eq!(workspace.facts(&["docs/a.md/x".to_owned()]), [TargetFact::Unreadable]);
    }

    #[cfg(unix)]
    #[test]
    fn symlinks_are_followed_to_where_they_lead() {
        use std::os::unix::fs::symlink;
        let (dir, workspace) = workspace();
        let link = |target: &Path, name: &str| symlink(target, dir.path().join(name)).unwrap();
        link(Path::new("docs"), "alias");
        link(Path::new("/etc"), "out");
        link(Path::new("gone"), "dangling");
        link(Path::new("loop"), "loop");
        let fact = |path: &str| workspace.facts(&[path.to_owned()]).remove(0);
        assert_eq!(fact("alias/a.md"), inside("docs/a.md"));
        assert_eq!(fact("out/passwd"), TargetFact::Outside);
        assert_eq!(fact("out/not/there"), TargetFact::Outside);
        assert_eq!(fact("dangling/x"), TargetFact::Unreadable);
        assert_eq!(fact("loop"), TargetFact::Unreadable);
    }
}
