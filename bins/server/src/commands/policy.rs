//! `life-agent policy`: check a policy, convert one of the predecessor, or activate one at a running service.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use life_agent_engine::{Config, OpenError};
use serde_json::json;

use super::service::{Trouble, call, service_help};
use super::terminal::{print_json, print_text};
use super::{CommandResult, FOUND, visible};

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check a policy as a start would, and list every fault with its place.
    #[command(after_help = "Examples:\n  life-agent policy check policies/valid.yaml\n  \
        life-agent policy check policies/invalid.yaml --json\n\n\
        Exit code: 0 valid, 1 has faults, 2 could not be read")]
    Check(Check),
    /// Rewrite a policy of the predecessor (Version_7) as a policy of this service.
    ///
    /// The result goes to standard output or to a new file. Everything without a counterpart is listed
    /// on standard error with its line; the result is valid all the same.
    #[command(
        after_help = "Examples:\n  life-agent policy convert old/policy.yaml > policy/policy.yaml\n  \
        life-agent policy convert old/policies/valid.yaml --output policies/old.yaml\n\n\
        Exit code: 0 converted, 1 converted and something was left out, 2 could not be read or written"
    )]
    Convert(Convert),
    /// Reload the policy of the running service, or activate another one.
    ///
    /// A policy with faults changes nothing. The service also notices by itself that the file of its policy changed.
    #[command(after_help = service_help!(
        "Examples:\n  life-agent policy reload\n  life-agent policy reload policies/strict.yaml"
    ))]
    Reload(Reload),
}

/// Options of `policy convert`.
#[derive(Debug, Args)]
pub struct Convert {
    /// The predecessor's policy.
    file: PathBuf,
    /// Write the result to this file, which must not exist, instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Options of `policy check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The policy.
    file: PathBuf,
    /// Print the faults as JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `policy reload`.
#[derive(Debug, Args)]
pub struct Reload {
    /// A file in POLICY_DIR of the service, or the one at its POLICY_PATH, which is the default.
    file: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(policy: &Policy, config: Config) -> CommandResult {
    match policy {
        Policy::Check(options) => check(options, config),
        Policy::Convert(options) => convert(options, &config),
        Policy::Reload(options) => {
            reload(options).map(|()| ExitCode::SUCCESS).or_else(Trouble::end)
        }
    }
}

fn reload(options: &Reload) -> Result<(), Trouble> {
    let body = options.file.as_ref().map(|path| json!({ "path": path }));
    let report = call("POST", "/policy/reload", body.as_ref())?;
    if options.json {
        return Ok(print_json(&report)?);
    }
    let hash = report["policy_hash"].as_str().unwrap_or_default();
    say!("active: {} rules, hash {hash}", report["rule_count"]);
    Ok(())
}

fn convert(options: &Convert, config: &Config) -> CommandResult {
    let shown = options.file.display();
    let text = read_bounded(&options.file).map_err(|why| format!("`{shown}`: {why}"))?;
    let converted =
        life_agent_engine::policy_document::convert::convert(&text).map_err(|faults| {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            format!("`{shown}`: {}", faults.join("; "))
        })?;
    match &options.output {
        Some(path) => write_new(path, &converted.text)
            .map_err(|error| format!("cannot write `{}`: {error}", path.display()))?,
        None => print_text(&converted.text),
    }
    for note in &converted.notes {
        eprintln!("life-agent: {}", visible(&note.to_string()));
    }
    let missing = |dir: &&String| !config.workspace_dir.join(dir).is_dir();
    for dir in converted.allowed_dirs.iter().filter(missing) {
        eprintln!("life-agent: `allowed_dirs` has `{dir}`, which the workspace lacks; create it");
    }
    let complete = converted.notes.is_empty();
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// More than a policy may have, so that the converter can report that it is too long.
const MAX_BYTES: u64 = 1024 * 1024;

fn read_bounded(file: &Path) -> Result<String, String> {
    let open = || -> std::io::Result<String> {
        let mut text = String::new();
        std::fs::File::open(file)?.take(MAX_BYTES).read_to_string(&mut text)?;
        Ok(text)
    };
    match open() {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned)),
        Err(error) => Err(error.to_string()),
    }
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}

fn check(options: &Check, mut config: Config) -> CommandResult {
    if !options.file.is_file() {
        return Err(format!("there is no policy `{}`", options.file.display()));
    }
    config.policy_path.clone_from(&options.file);
    match life_agent_engine::check_policy(&config) {
        Ok(report) if options.json => print_json(&report).map(|()| ExitCode::SUCCESS),
        Ok(report) => {
            say!("valid: {} rules, hash {}", report.rule_count, report.policy_hash);
            Ok(ExitCode::SUCCESS)
        }
        Err(OpenError::Document { faults, .. }) if options.json => {
            print_json(&faults)?;
            Ok(ExitCode::from(FOUND))
        }
        Err(OpenError::Document { faults, .. }) => {
            faults.iter().for_each(|fault| say!("{fault}"));
            Ok(ExitCode::from(FOUND))
        }
        Err(error) => Err(error.to_string()),
    }
}
