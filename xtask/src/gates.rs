//! Measures the gates on corpora, in an optimised build.

use std::path::Path;

use anyhow::Context;

use crate::cargo;

/// Plays every file of the folder through the chain and prints how much was denied or observed.
pub(crate) fn measure(corpus: &Path, missed: Option<&str>) -> anyhow::Result<()> {
    let corpus =
        corpus.canonicalize().with_context(|| format!("opening `{}`", corpus.display()))?;
    let corpus = corpus.to_string_lossy();
    let mut arguments = vec![
        "run",
        "--quiet",
        "--release",
        "--package",
        "life-agent-gates",
        "--example",
        "measure",
        "--",
        &corpus,
    ];
    if let Some(file) = missed {
        arguments.extend(["--missed", file]);
    }
    cargo(&arguments)
}
