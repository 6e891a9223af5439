//! What CI runs, in its order, so that nobody has to wait for CI to hear of it.

use std::process::Command;

use anyhow::Context;

use crate::root;

/// Where CI's steps are written down; nowhere else.
const SCRIPT: &str = ".ci/run";

/// Runs the steps of `.ci/run` that are cargo's, with the environment that it sets; stops at the first
/// that fails. Needs no shell, so that it runs on every system. What is left out is named at the end.
pub(crate) fn all() -> anyhow::Result<()> {
    let script = std::fs::read_to_string(root().join(SCRIPT))
        .with_context(|| format!("reading `{SCRIPT}`"))?;
    let steps = steps(&script);
    for (arguments, environment) in &steps.cargo {
        println!("cargo {}", arguments.join(" "));
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().copied()).current_dir(root());
        anyhow::ensure!(command.status()?.success(), "`cargo {}` failed", arguments.join(" "));
    }
    if !steps.others.is_empty() {
        println!("left to `bash {SCRIPT}`:\n  {}", steps.others.join("\n  "));
    }
    Ok(())
}

/// A cargo command of the script, with the environment that was exported before it.
type Step<'a> = (Vec<&'a str>, Vec<(&'a str, &'a str)>);

#[derive(Debug, Default)]
struct Steps<'a> {
    cargo: Vec<Step<'a>>,
    /// Commands that need the shell.
    others: Vec<&'a str>,
}

/// Takes the script apart: one command a line, as it is written; what is indented belongs to a shell's
/// construct and is left to it.
fn steps(script: &str) -> Steps<'_> {
    let (mut steps, mut environment) = (Steps::default(), Vec::new());
    for line in script.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let quoted = line.contains(['"', '\'', '$', '|', '>', '&', ';', '\\', '`']);
        match words.as_slice() {
            [] | ["set" | "cd" | "fi" | "done", ..] => {}
            [comment, ..] if comment.starts_with('#') => {}
            ["cargo", arguments @ ..] if !quoted && !line.starts_with(' ') => {
                steps.cargo.push((arguments.to_vec(), environment.clone()));
            }
            ["export", setting] if !quoted => environment.extend(setting.split_once('=')),
            _ if line.starts_with(char::is_whitespace) => {}
            _ => steps.others.push(line),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_taken_apart_as_a_shell_would_run_it() {
        let steps = steps(
            "#!/usr/bin/env bash\nset -e\nexport A=1\ncargo fmt --all\nif true; then\n  cargo x\nfi\n\
             export B=2\ncargo test | tee log\ncargo xtask tidy\n",
        );
        let commands: Vec<_> = steps.cargo.iter().map(|(words, _)| words.join(" ")).collect();
        assert_eq!(commands, ["fmt --all", "xtask tidy"]);
        assert_eq!(steps.cargo[1].1, [("A", "1"), ("B", "2")]);
        assert_eq!(steps.others, ["if true; then", "cargo test | tee log"]);
    }

    #[test]
    fn what_ci_runs_is_found_in_its_script() {
        let script = std::fs::read_to_string(root().join(SCRIPT)).unwrap();
        let steps = steps(&script);
        for program in ["fmt", "clippy", "test"] {
            assert!(
                steps.cargo.iter().any(|(words, _)| words.first() == Some(&program)),
                "{steps:?}"
            );
        }
        // A test without its strace would be left out in silence.
        assert!(steps.cargo.iter().all(|(_, environment)| !environment.is_empty()), "{steps:?}");
    }
}
