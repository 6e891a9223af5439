//! The commands and settings as tables for `docs/`, written by `cargo xtask cli`.

use std::fmt::Write;

use clap::{Arg, Command};

use super::help::GROUPS;
use crate::settings::ALL;

/// Every command with its arguments and purpose, by task.
pub fn commands() -> String {
    let command = super::command(true);
    let mut text = String::new();
    for (group, names) in GROUPS {
        let _ = write!(text, "\n### {group}\n\n| command | purpose |\n| --- | --- |\n");
        for name in names {
            if let Some(found) = command.find_subcommand(name) {
                rows(&mut text, found, name);
            }
        }
    }
    text + "\n"
}

/// A row for a command, or for each of its commands.
fn rows(text: &mut String, command: &Command, name: &str) {
    let mut below = command.get_subcommands().filter(|below| below.get_name() != "help").peekable();
    if below.peek().is_none() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let usage: String = command.get_arguments().filter_map(argument).collect();
        let _ = writeln!(text, "| `{name}{usage}` | {} |", about.trim_end_matches('.'));
    }
    for below in below {
        rows(text, below, &format!("{name} {}", below.get_name()));
    }
}

/// An argument as in a usage line; none for arguments of every command.
fn argument(argument: &Arg) -> Option<String> {
    if argument.is_global_set() || matches!(argument.get_id().as_str(), "help" | "version") {
        return None;
    }
    let values = argument.get_value_names().unwrap_or_default();
    let takes_value = argument.get_action().takes_values();
    let value: String =
        values.iter().filter(|_| takes_value).map(|name| format!(" {name}")).collect();
    let value = value.replace('|', "\\|");
    let shown = match argument.get_long() {
        Some(long) => format!("--{long}{value}"),
        None => value.trim_start().to_owned(),
    };
    Some(if argument.is_required_set() { format!(" {shown}") } else { format!(" [{shown}]") })
}

/// Every setting with its default and meaning.
pub fn settings() -> String {
    let mut text = "\n| setting | default | meaning |\n| --- | --- | --- |\n".to_owned();
    for setting in &ALL {
        let default =
            setting.default.map_or_else(|| "none".to_owned(), |value| format!("`{value}`"));
        let (name, meaning) = (setting.name, setting.meaning);
        let default = default.replace('|', "\\|");
        let _ = writeln!(text, "| `{name}` | {default} | {} |", meaning.replace('|', "\\|"));
    }
    text + "\n"
}
