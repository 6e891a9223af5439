//! `cargo xtask fuzz`: feeds generated inputs to parsers, gates and redaction, in an optimized build with checks.

use clap::Args;

use crate::cargo;

/// Options of `fuzz`.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// Minutes for all targets together.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// The seed of all choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs only this target; repeatable.
    #[arg(long, value_name = "TARGET")]
    only: Vec<String>,
    /// Starts with this input of each target.
    #[arg(long, default_value_t = 0)]
    from: u64,
}

/// Fails if an input ends the process, does not end, takes too long or breaks a property.
pub(crate) fn run(fuzz: &Fuzz) -> anyhow::Result<()> {
    let numbers = [fuzz.minutes.to_string(), fuzz.seed.to_string(), fuzz.from.to_string()];
    let [minutes, seed, from] = numbers.each_ref();
    let mut arguments = vec!["run", "--quiet", "--locked", "--profile", "fuzz"];
    arguments.extend(["--package", "life-agent-fuzz", "--", "--minutes", minutes]);
    arguments.extend(["--seed", seed, "--from", from]);
    for target in &fuzz.only {
        arguments.extend(["--only", target]);
    }
    cargo(&arguments)
}
