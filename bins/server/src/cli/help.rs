//! The help of the program: commands by task, and the settings on a page of their own.

use std::fmt::Write;

use anstyle::Style;
use clap::Command;

use crate::settings::{ALL, Setting};

/// The commands by task.
pub(super) const GROUPS: [(&str, &[&str]); 6] = [
    ("Start", &["init", "demo", "check", "config", "settings", "completions"]),
    ("Agents", &["hook", "mcp", "wrap", "turn"]),
    ("Decide and stop", &["approvals", "plan", "stop", "kill"]),
    ("Permissions", &["policy", "key"]),
    ("The record", &["tail", "audit", "replay", "backup", "migrate", "import"]),
    ("Operate", &["healthcheck"]),
];

/// The end of the program's help.
pub(super) const EXAMPLES: &str = "\
Without a command, life-agent serves. Settings are read from defaults, life-agent.toml (or --config FILE), .env, \
the
environment and flags; later sources win. `life-agent help settings` lists them.

Examples:
  life-agent                                  serve on http://127.0.0.1:8000, print a key for this run
  life-agent init agents                      make a folder to serve from: policy, keys and .env
  life-agent demo                             see a filled dashboard, without touching anything of yours
  API_KEY=change-me life-agent --port 9000    serve with a key of yours on another port
  life-agent --config staging.toml check      what would stop a start? changes nothing
  life-agent help audit search                the help of a command

Exit code of the service: 0 stopped by a signal, 1 could not start or failed, 2 wrong arguments.
Exit code of a command: 0 success, 1 it ran and found something or was refused, 2 it could not run, 3 not now.";

/// The template of the program's help. A command of `clap` has no groups of commands.
pub(super) fn template(command: &Command) -> String {
    let heading = Style::new().bold().underline();
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (group, names) in GROUPS {
        let _ = write!(text, "\n{heading}{group}:{heading:#}\n");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let about = about.trim_end_matches('.');
            let _ = writeln!(text, "  {name:<13}{about}");
        }
    }
    let _ = write!(text, "\n{heading}Options:{heading:#}\n{{options}}{{after-help}}");
    text
}

/// Every setting: its flag, its name in the environment, its default and its meaning.
pub(crate) fn settings() -> String {
    let mut text = String::new();
    for setting in &ALL {
        let Setting { name, value, meaning, .. } = setting;
        let default = setting.default.map(|default| format!("; default: {default}"));
        let _ = writeln!(
            text,
            "  {name}  (--{} {value}{})\n      {meaning}",
            setting.flag(),
            default.unwrap_or_default()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let command = crate::cli::command(true);
        let mut named: Vec<_> =
            GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut known: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        named.sort_unstable();
        known.sort_unstable();
        assert_eq!(named, known);
    }
}
