//! The command line: `life-agent` serves; with a command it runs that command and exits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, FromArgMatches, Subcommand, ValueHint};

use crate::commands::{self, CommandResult, Task};
use crate::serve;
use crate::settings::{self, ALIASES, ALL, Found, Inputs, Setting, SettingError, Settings};

const EXAMPLES: &str = "\
Settings are read from defaults, life-agent.toml (or --config FILE), .env, the environment and
flags; later sources win. In the file a setting is written in lower case: port = 8000

Examples:
  life-agent                                  serve on http://127.0.0.1:8000, print a key for this run
  API_KEY=change-me life-agent --port 9000    serve with a key of yours on another port
  life-agent check                            what would stop a start? changes nothing
  life-agent --config staging.toml config     print the effective settings, secrets masked
  life-agent audit verify                     recompute the journal's chain
  life-agent replay --policy new.yaml         what would another policy have said?
  life-agent backup copy.db                   copy the journal, also while it is being written
  life-agent migrate --from agent.db --to URL move the journal to a database, or back
  life-agent hook install claude-code         judge the tool calls of a coding agent
  life-agent approvals list                   what waits for a person at the running service?
  life-agent policy convert old.yaml          rewrite a policy of the predecessor
  life-agent import version7 old.db           import the journal of the predecessor

Exit code of the service: 0 stopped by a signal, 1 could not start or failed, 2 wrong arguments.
Exit code of a command: 0 success, 1 it ran and found something, 2 it could not run.";

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let matches = command().get_matches_from(std::env::args_os());
    if let Ok(task) = Task::from_arg_matches(&matches) {
        return commands::end(run_task(&matches, &task));
    }
    match serve(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("life-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(matches: &ArgMatches) -> Result<(), Box<dyn std::error::Error>> {
    let inputs = inputs(matches)?;
    let settings = typed(&settings::read(&inputs)?)?;
    Ok(serve::serve(settings, &settings::unknown(&inputs))?)
}

fn run_task(matches: &ArgMatches, task: &Task) -> CommandResult {
    let found = || found(matches).map_err(|error| error.to_string());
    let settings =
        || -> Result<Settings, String> { typed(&found()?).map_err(|error| error.to_string()) };
    match task {
        Task::Completions(options) => commands::completions::run(options, command()),
        Task::Config(options) => {
            let found = found()?;
            // A value that does not fit is no setting in force.
            typed(&found).map_err(|error| error.to_string())?;
            commands::config::run(options, &found)
        }
        Task::Check(options) => {
            let unknown = inputs(matches).map(|inputs| settings::unknown(&inputs));
            commands::check::run(options, settings(), &unknown.unwrap_or_default())
        }
        Task::Hook(options) => commands::hook::run(options),
        Task::Stop(options) => commands::stop::run(options),
        Task::Approvals(approvals) => commands::approvals::run(approvals),
        Task::Healthcheck(options) => Ok(commands::healthcheck::run(options, settings())),
        Task::Key(key) => commands::key::run(key, settings()?.keys_file.as_deref()),
        Task::Work(work) => {
            let settings = settings()?;
            commands::run(work, serve::engine_config(&settings), &settings.journal)
        }
    }
}

fn found(matches: &ArgMatches) -> Result<BTreeMap<&'static str, Found>, SettingError> {
    settings::read(&inputs(matches)?)
}

fn typed(found: &BTreeMap<&'static str, Found>) -> Result<Settings, SettingError> {
    settings::settings(found)
}

fn command() -> Command {
    let command =
        Command::new("life-agent").version(env!("CARGO_PKG_VERSION")).after_help(EXAMPLES).arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .global(true)
                .help_heading("Settings")
                .value_parser(clap::value_parser!(PathBuf))
                .value_hint(ValueHint::FilePath)
                .help("Read settings from FILE in place of life-agent.toml"),
        );
    // After the commands, which bring a sentence of their own.
    let command = Task::augment_subcommands(command)
        .about("Serves agents over HTTP under a policy, and records every step");
    ALL.iter().fold(command, |command, setting| command.arg(flag(setting)))
}

/// The flags of a setting's other names.
fn aliases(setting: &Setting) -> Vec<String> {
    let of = ALIASES.iter().filter(|(_, name)| *name == setting.name);
    of.map(|(alias, _)| alias.to_lowercase().replace('_', "-")).collect()
}

fn flag(setting: &Setting) -> Arg {
    let default = match setting.default {
        Some(default) => format!("default: {default}"),
        None => "no default".to_owned(),
    };
    let hint = match setting.value {
        "FILE" => ValueHint::FilePath,
        "DIR" => ValueHint::DirPath,
        "URL" => ValueHint::Url,
        _ => ValueHint::Other,
    };
    Arg::new(setting.name)
        .long(setting.flag())
        .value_name(setting.value)
        .aliases(aliases(setting))
        .global(true)
        .help_heading("Settings")
        .allow_hyphen_values(true)
        .value_hint(hint)
        .help(format!("{} [{}; {default}]", setting.meaning, setting.name))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        command().debug_assert();
    }
}
