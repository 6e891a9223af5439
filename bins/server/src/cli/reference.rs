//! Commands, settings, events, errors and metrics as tables for `docs/`, written by `cargo xtask reference`.

use std::fmt::Write;

use clap::{Arg, Command};

use life_agent_engine::domain::governance::event::EventKind;

use super::help::GROUPS;
use crate::http::errors::Code;
use crate::settings::ALL;
use crate::telemetry::metrics::catalog::METRICS;

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

/// Every kind of row.
pub fn events() -> String {
    let mut text = "\n| kind | recorded when |\n| --- | --- |\n".to_owned();
    for kind in EventKind::ALL {
        let _ = writeln!(text, "| `{}` | {} |", kind.as_str(), kind.meaning());
    }
    text + "\n"
}

/// Every error code, ordered by status.
pub fn errors() -> String {
    let mut codes: Vec<_> = Code::ALL.iter().map(|code| (code.status().as_u16(), code)).collect();
    codes.sort_by_key(|(status, _)| *status);
    let mut text = "\n| status | code | meaning |\n| --- | --- | --- |\n".to_owned();
    for (status, code) in codes {
        let _ = writeln!(text, "| {status} | `{}` | {} |", code.as_str(), code.meaning());
    }
    text + "\n"
}

/// Every metric with its type and labels.
pub fn metrics() -> String {
    let mut text = "\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, meaning) = (metric.name, metric.kind.as_str(), metric.meaning);
        let _ = writeln!(text, "| `{name}` | {kind} | {} | {meaning} |", labels.join(", "));
    }
    text + "\n"
}
