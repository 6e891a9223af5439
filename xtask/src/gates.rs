//! Measures the gates on corpora, in an optimized build.

use std::path::Path;

use anyhow::Context;

use crate::cargo;

/// Plays every file of the folder through the chain, and every command through the command parser, and
/// prints how much was denied, observed or stopped. Fails if one of the bounds does not hold.
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
