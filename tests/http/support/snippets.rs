//! The fenced blocks of a Markdown page, run and compared as a reader would.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::app::TestApp;
use super::binary;

/// The address in the pages; a test's server listens on a port of its own.
const ADDRESS: &str = "127.0.0.1:8000";

/// A fenced block.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
    /// Whether a heading stands between this block and the one before it.
    pub(crate) heading_before: bool,
    /// The reason in a comment `<!-- not run: … -->` above the block.
    pub(crate) not_run: Option<String>,
}

/// The repository's root.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The text of a file of the repository.
pub(crate) fn page(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// The fenced blocks of a page, in order.
pub(crate) fn blocks(markdown: &str) -> Vec<Block> {
    // Text and blocks alternate; a block starts with its language.
    let parts: Vec<_> = markdown.split("```").collect();
    let pairs = parts.chunks_exact(2);
    let block = |pair: &[&str]| {
        let (language, text) = pair[1].split_once('\n').unwrap();
        let above = pair[0].lines().last().unwrap_or_default().trim();
        let reason =
            above.strip_prefix("<!-- not run: ").and_then(|rest| rest.strip_suffix(" -->"));
        Block {
            language: language.to_owned(),
            text: text.to_owned(),
            heading_before: pair[0].lines().any(|line| line.starts_with('#')),
            not_run: reason.map(str::to_owned),
        }
    };
    pairs.map(block).collect()
}

/// The standard output of these lines in a shell in the server's folder, with `$KEY` set and the binary
/// in `PATH`.
pub(crate) fn shell(app: &TestApp, key: &str, lines: &str) -> String {
    shell_with(app, &[("KEY", key)], lines)
}

/// The same with these variables.
pub(crate) fn shell_with(app: &TestApp, environment: &[(&str, &str)], lines: &str) -> String {
    let lines = lines.replace(ADDRESS, &app.addr().to_string());
    let folder = binary().parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &lines]).current_dir(app.folder());
    shell.env("LIFE_AGENT_URL", format!("http://{}", app.addr()));
    shell.envs(environment.iter().copied());
    shell.env("PATH", format!("{}:{path}", folder.display()));
    let output = shell.output().expect("bash starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{lines}\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Checks a part of a policy, or a whole one.
#[track_caller]
pub(crate) fn valid_policy(app: &TestApp, text: &str) {
    let whole = text.contains("version:");
    let head = if whole { "" } else { "version: \"1\"\nallowed_dirs: [plans]\n" };
    let path = app.folder().join("shown-policy.yaml");
    std::fs::write(&path, format!("{head}{text}")).unwrap();
    let output = app.command().args(["policy", "check"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{text}\n{output:?}");
}

/// Whether `actual` contains everything in `shown`.
pub(crate) fn covers(shown: &Value, actual: &Value) -> bool {
    match (shown, actual) {
        (Value::Object(shown), Value::Object(actual)) => shown
            .iter()
            .all(|(key, shown)| actual.get(key).is_some_and(|actual| covers(shown, actual))),
        _ => shown == actual,
    }
}

/// Compares a block that shows output, `json` or `text`, with the output of the command before it.
#[track_caller]
pub(crate) fn assert_shown(block: &Block, output: &str) {
    if block.language == "json" {
        let shown: Value = serde_json::from_str(&block.text).unwrap();
        let actual: Value = serde_json::from_str(output).unwrap();
        assert!(covers(&shown, &actual), "the page shows\n{shown}\nbut the output is\n{actual}");
    } else {
        let shown = block.text.trim().trim_end_matches('…');
        assert!(output.starts_with(shown), "the page shows `{shown}`, but the output is\n{output}");
    }
}
