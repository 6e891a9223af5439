//! `cargo xtask check`: the cargo commands of CI, in the same order.

use std::process::Command;

use anyhow::Context;

use crate::root;

/// The script with the steps of CI.
const SCRIPT: &str = ".ci/run";

/// Runs the cargo commands of `.ci/run` in its environment and stops at the first failure. Needs no shell, so it
/// works on every system. Prints the commands that it left out.
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
        println!("not run (use `bash {SCRIPT}`):\n  {}", steps.others.join("\n  "));
    }
    Ok(())
}

/// A cargo command of the script, with the environment exported before it.
type Step<'a> = (Vec<&'a str>, Vec<(&'a str, &'a str)>);

#[derive(Debug, Default)]
struct Steps<'a> {
    cargo: Vec<Step<'a>>,
    /// Commands that need a shell.
    others: Vec<&'a str>,
}

/// Parses the script: one command per line. Indented lines belong to shell constructs and are left out.
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
        // Without strace, a test would be skipped silently.
        assert!(steps.cargo.iter().all(|(_, environment)| !environment.is_empty()), "{steps:?}");
    }
}
