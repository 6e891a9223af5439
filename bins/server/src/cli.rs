//! The command line: `life-agent` serves; with a command it runs that command and exits.

pub(crate) mod help;
pub mod reference;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, FromArgMatches, Subcommand, ValueHint};

use crate::commands::{self, CommandResult, Task};
use crate::serve;
use crate::settings::{self, ALIASES, ALL, Found, Inputs, Setting, SettingError, Settings};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let matches = command(true).get_matches_from(std::env::args_os());
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
        // Shells complete flags that the help does not list.
        Task::Completions(options) => commands::completions::run(options, command(false)),
        Task::Settings(options) => commands::settings::run(options),
        Task::Init(options) => commands::init::run(options),
        Task::Demo(options) => commands::demo::run(options, &flags(matches)),
        Task::Config(options) => {
            let found = found()?;
            // A value that does not fit is not an active setting.
            typed(&found).map_err(|error| error.to_string())?;
            commands::config::run(options, &found)
        }
        Task::Check(options) => {
            let unknown = inputs(matches).map(|inputs| settings::unknown(&inputs));
            commands::check::run(options, settings(), &unknown.unwrap_or_default())
        }
        Task::Hook(options) => commands::hook::run(options),
        Task::Stop(options) => commands::stop::run(options),
        Task::Kill(kill) => commands::kill::run(kill),
        Task::Turn(options) => commands::turn::run(options),
        Task::Tail(options) => commands::tail::run(options),
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

/// The command line. The help of a command is about that command: `hides_settings` leaves the flags of settings out.
fn command(hides_settings: bool) -> Command {
    let command = Command::new("life-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(help::EXAMPLES)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .global(true)
                .value_parser(clap::value_parser!(PathBuf))
                .value_hint(ValueHint::FilePath)
                .help("Read settings from FILE in place of life-agent.toml"),
        );
    // After the commands, which bring a sentence of their own.
    let command = Task::augment_subcommands(command)
        .about("Serves agents over HTTP under a policy, and records every step");
    let command = ALL
        .iter()
        .fold(command, |command, setting| command.arg(flag(setting).hide(hides_settings)));
    let template = help::template(&command);
    command.help_template(template)
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
        .allow_hyphen_values(true)
        .value_hint(hint)
        .help(format!("{} [{}; {default}]", setting.meaning, setting.name))
}

/// The settings that the command line gives, by key.
fn flags(matches: &ArgMatches) -> BTreeMap<String, String> {
    let flag = |name: &str, key: String| Some((key, matches.get_one::<String>(name)?.clone()));
    ALL.iter().filter_map(|setting| flag(setting.name, setting.key())).collect()
}

fn inputs(matches: &ArgMatches) -> Result<Inputs, SettingError> {
    let dir = std::env::current_dir().map_err(|error| {
        SettingError::Sentence(format!("cannot use the working directory: {error}"))
    })?;
    let file = matches.get_one::<PathBuf>("config").cloned();
    Ok(Inputs { dir, file, env: std::env::vars_os().collect(), flags: flags(matches) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        command(true).debug_assert();
    }
}
