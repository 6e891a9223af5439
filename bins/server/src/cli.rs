//! The command line: `life-agent` serves; with a command it does one thing and ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, FromArgMatches, Subcommand};

use crate::commands::{self, Task};
use crate::serve;
use crate::settings::{self, ALL, Found, Inputs, SettingError};

const EXAMPLES: &str = "\
Settings are read from defaults, life-agent.toml (or --config FILE), .env, the environment and
flags; later wins. In the file a setting is written in lower case: port = 8000

Examples:
  life-agent                                  serve on http://127.0.0.1:8000, print a key for this run
  API_KEY=change-me life-agent --port 9000    serve with a key of yours on another port
  life-agent --config staging.toml config     print the effective settings, secrets masked
  life-agent audit verify                     recompute the journal's chain
  life-agent replay --policy new.yaml         what would another policy have said?
  life-agent backup copy.db                   copy the journal, also while it is being written";

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let matches = command().get_matches_from(std::env::args_os());
    if let Ok(task) = Task::from_arg_matches(&matches) {
        return commands::end(run_task(&matches, &task));
    }
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("life-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_task(matches: &ArgMatches, task: &Task) -> commands::CommandResult {
    let read = || settings::settings(&settings::read(&inputs(matches)?)?);
    let settings = read().map_err(|error: SettingError| error.to_string())?;
    commands::run(task, serve::engine_config(&settings))
}

fn run(matches: &ArgMatches) -> Result<(), Box<dyn std::error::Error>> {
    let found = settings::read(&inputs(matches)?)?;
    let settings = settings::settings(&found)?;
    match matches.subcommand_name() {
        Some("config") => print!("{}", effective(&found)),
        _ => serve::serve(settings)?,
    }
    Ok(())
}

fn command() -> Command {
    let command = Command::new("life-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serves agents over HTTP, each step under policy and on the record")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .global(true)
                .value_parser(clap::value_parser!(PathBuf))
                .help("Read settings from FILE in place of life-agent.toml"),
        )
        .subcommand(Command::new("config").about("Print the effective settings, secrets masked"));
    let command = Task::augment_subcommands(command);
    ALL.iter().fold(command, |command, setting| {
        let default = match setting.default {
            Some(default) => format!("default: {default}"),
            None => "no default".to_owned(),
        };
        command.arg(
            Arg::new(setting.name)
                .long(setting.flag())
                .value_name(setting.value)
                .global(true)
                .allow_hyphen_values(true)
                .help(format!("{} [{}; {default}]", setting.meaning, setting.name)),
        )
    })
}

fn inputs(matches: &ArgMatches) -> Result<Inputs, SettingError> {
    let flag = |name: &str, key: String| Some((key, matches.get_one::<String>(name)?.clone()));
    let flags: BTreeMap<_, _> =
        ALL.iter().filter_map(|setting| flag(setting.name, setting.key())).collect();
    let dir = std::env::current_dir().map_err(|error| {
        SettingError::Sentence(format!("cannot use the working directory: {error}"))
    })?;
    let file = matches.get_one::<PathBuf>("config").cloned();
    Ok(Inputs { dir, file, env: std::env::vars_os().collect(), flags })
}

/// The settings as a list, with where each is from.
fn effective(found: &BTreeMap<&'static str, Found>) -> String {
    let line = |setting: &settings::Setting| match found.get(setting.name) {
        None => format!("{} is not set\n", setting.name),
        Some(Found { from, .. }) if setting.secret => {
            format!("{} = ********  ({from})\n", setting.name)
        }
        Some(Found { text, from }) => format!("{} = {text}  ({from})\n", setting.name),
    };
    ALL.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        command().debug_assert();
    }
}
