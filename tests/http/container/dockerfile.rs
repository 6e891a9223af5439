//! Parses the constructs that our Dockerfile and `.dockerignore` use.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// An instruction: its name in capitals, and the rest of the line.
pub(super) struct Instruction {
    pub(super) name: String,
    pub(super) rest: String,
}

/// A file of the repository as text.
pub(super) fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// The root of the repository.
pub(super) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The instructions of every stage, each starting with its `FROM`.
pub(super) fn stages() -> Vec<Vec<Instruction>> {
    let text = read("Dockerfile");
    let lines: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let mut stages: Vec<Vec<Instruction>> = Vec::new();
    for line in lines.join("\n").replace("\\\n", " ").lines().map(str::trim) {
        let Some((name, rest)) = line.split_once(' ') else { continue };
        let instruction = Instruction { name: name.to_uppercase(), rest: rest.trim().to_owned() };
        if instruction.name == "FROM" {
            stages.push(Vec::new());
        }
        stages.last_mut().expect("a Dockerfile begins with FROM").push(instruction);
    }
    stages
}

/// The paths that `.dockerignore` excludes.
pub(super) struct Ignored(GlobSet);

impl Ignored {
    pub(super) fn read() -> Self {
        let mut globs = GlobSetBuilder::new();
        for line in read(".dockerignore").lines().map(str::trim) {
            assert!(!line.starts_with('!'), "exceptions are not read here: {line}");
            if !line.is_empty() && !line.starts_with('#') {
                let glob = GlobBuilder::new(line).literal_separator(true).build().unwrap();
                globs.add(glob);
            }
        }
        Self(globs.build().unwrap())
    }

    /// Whether a path or one of its parent folders is excluded.
    pub(super) fn drops(&self, path: &str) -> bool {
        Path::new(path).ancestors().any(|path| self.0.is_match(path))
    }
}
