//! `life-agent config`: the effective settings with their sources, secrets masked.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::CommandResult;
use super::terminal::print_json;
use crate::settings::{ALL, Found, Setting};

/// What stands for a secret.
const MASK: &str = "********";

/// Options of `config`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  life-agent config\n  \
    life-agent --config staging.toml config\n  \
    life-agent config --json | jq '.[] | select(.name == \"PORT\")'\n\n\
    Exit code: 0 printed, 2 a setting does not fit")]
pub struct PrintConfig {
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

/// One setting as it is printed.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'static str,
    /// None if it is not set; a mask if it is a secret.
    value: Option<&'a str>,
    /// Where it is from, in words.
    from: Option<&'a str>,
    secret: bool,
}

/// Runs it.
pub fn run(options: &PrintConfig, found: &BTreeMap<&'static str, Found>) -> CommandResult {
    let shown = ALL.iter().map(|setting| shown(setting, found.get(setting.name)));
    if options.json {
        print_json(&shown.collect::<Vec<_>>())?;
    } else {
        shown.for_each(|setting| match (setting.value, setting.from) {
            (Some(value), Some(from)) => say!("{} = {value}  ({from})", setting.name),
            _ => say!("{} is not set", setting.name),
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn shown<'a>(setting: &Setting, found: Option<&'a Found>) -> Shown<'a> {
    let value = found.map(|found| if setting.secret { MASK } else { found.text.as_str() });
    let from = found.map(|found| found.from.as_str());
    Shown { name: setting.name, value, from, secret: setting.secret }
}
