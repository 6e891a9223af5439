//! `life-agent completions SHELL`: what a shell needs to complete the command line.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::CommandResult;

/// Options of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    life-agent completions bash > ~/.local/share/bash-completion/completions/life-agent\n  \
    life-agent completions zsh > ~/.zfunc/_life-agent\n  \
    life-agent completions fish > ~/.config/fish/completions/life-agent.fish\n  \
    life-agent completions powershell >> $PROFILE\n\n\
    Exit code: 0 printed, 2 no such shell")]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

/// Runs it.
pub fn run(options: &Completions, mut command: Command) -> CommandResult {
    // Into memory first: the generator panics over a pipe that is closed.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "life-agent", &mut script);
    let _ = std::io::stdout().lock().write_all(&script);
    Ok(ExitCode::SUCCESS)
}
