//! Measures the gates on corpora, in an optimized build.

use std::path::Path;

use anyhow::Context;

use crate::cargo;

/// Judges every file of the folder with the chain, and every command with the command parser, and prints the
/// rates of denials and observations. Fails if a bound is missed.
pub(crate) fn measure(corpus: &Path, missed: Option<&str>) -> anyhow::Result<()> {
    let corpus =
        corpus.canonicalize().with_context(|| format!("opening `{}`", corpus.display()))?;
    let texts = run("measure", &corpus, missed);
    let has_commands = corpus.join("agent_commands_everyday.jsonl").exists();
    let missed = missed.map(|file| format!("{file}.commands"));
    let commands = if has_commands { run("commands", &corpus, missed.as_deref()) } else { Ok(()) };
    texts.and(commands)
}

fn run(example: &str, corpus: &Path, missed: Option<&str>) -> anyhow::Result<()> {
    let corpus = corpus.to_string_lossy();
    let mut arguments = vec![
        "run",
        "--quiet",
        "--release",
        "--package",
        "life-agent-gates",
        "--example",
        example,
        "--",
        &corpus,
    ];
    if let Some(file) = missed {
        arguments.extend(["--missed", file]);
    }
    cargo(&arguments)
}
