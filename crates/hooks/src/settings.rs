//! Edits of hosts' settings files, as text to text: add the hook, check it, remove it.
//!
//! Everything else in a file stays as it is, comments and formatting included. Installing twice changes
//! nothing the second time, and removing the hook from a file that held nothing else leaves no file.

use serde_json::Value;

use crate::dialect::Dialect;

mod document;
mod hosts;

use document::Document;
use hosts::Shape;
pub use hosts::{Location, companion, location};

/// Largest settings file, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// What becomes of a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The file is as it should be.
    Unchanged,
    /// The file's new text.
    Write(String),
    /// The file holds nothing any more.
    Remove,
}

/// Why a settings file cannot be edited. The file stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The host has no settings file.
    #[error("`{0}` has no settings file; call `life-agent hook {0}` from the host's own hook")]
    NoSettings(Dialect),
    /// More than [`MAX_BYTES`].
    #[error("the file is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// Not JSON, or JSON with comments where the host reads none.
    #[error("the file is not valid JSON: {0}; mend it first")]
    Unreadable(String),
    /// A value that should be an object or a list is something else.
    #[error("`{0}` in the file is not {1}; mend it first")]
    Shape(String, &'static str),
}

/// Something that keeps the hook from working.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The hook is not installed for an event.
    #[error("the hook is not installed for `{0}`; run `life-agent hook install {1}`")]
    Missing(&'static str, Dialect),
    /// The hook is installed in another form than this version installs.
    #[error(
        "the hook for `{0}` differs from the one that this version installs; run `life-agent hook install {1}`"
    )]
    Differs(&'static str, Dialect),
    /// A setting of the host switches hooks off.
    #[error("`{0}` switches the host's hooks off")]
    SwitchedOff(&'static str),
}

/// Adds the hook. `program` is the path of the `life-agent` executable.
///
/// # Errors
/// [`SettingsError`] if the file cannot be read as settings of the host.
pub fn install(dialect: Dialect, text: Option<&str>, program: &str) -> Result<Edit, SettingsError> {
    let shape = shape(dialect)?;
    let before = text.unwrap_or_default();
    let document = Document::parse(before, shape.comments)?;
    let wanted = hosts::entries(dialect, program);
    for event in document.events()? {
        let wanted: Vec<&Value> = of_event(&wanted, &event).collect();
        document.retain(
            &event,
            &|entry| !is_ours(entry, dialect) || wanted.contains(&entry),
            dialect,
        )?;
    }
    for (event, entry) in &wanted {
        if !document.entries(event)?.contains(entry) {
            document.append(event, entry)?;
        }
    }
    if let Some((key, value)) = shape.version {
        document.set_if_absent(key, &value);
    }
    Ok(edit(before, document.finish(), text.is_none()))
}

/// Removes the hook.
///
/// # Errors
/// [`SettingsError`] if the file cannot be read as settings of the host.
pub fn uninstall(dialect: Dialect, text: &str) -> Result<Edit, SettingsError> {
    let shape = shape(dialect)?;
    let document = Document::parse(text, shape.comments)?;
    let mut removed = false;
    for event in document.events()? {
        removed |= document.retain(&event, &|entry| !is_ours(entry, dialect), dialect)?;
    }
    if !removed {
        return Ok(Edit::Unchanged);
    }
    document.drop_empty();
    if document.holds_only(shape.version.as_ref().map(|(key, _)| *key)) {
        return Ok(Edit::Remove);
    }
    Ok(edit(text, document.finish(), false))
}

/// Everything in the file that keeps the hook from working; an empty list if it should work.
///
/// # Errors
/// [`SettingsError`] if the file cannot be read as settings of the host.
pub fn inspect(
    dialect: Dialect,
    text: Option<&str>,
    program: &str,
) -> Result<Vec<Problem>, SettingsError> {
    let shape = shape(dialect)?;
    let document = Document::parse(text.unwrap_or_default(), shape.comments)?;
    let mut problems = Vec::new();
    for (event, entry) in hosts::entries(dialect, program) {
        let present = document.entries(event)?;
        if present.contains(&entry) {
            continue;
        }
        let ours = present.iter().any(|entry| is_ours(entry, dialect));
        problems.push(match ours {
            true => Problem::Differs(event, dialect),
            false => Problem::Missing(event, dialect),
        });
    }
    let value = document.value();
    let off = shape.switches.iter().filter(|(pointer, off)| value.pointer(pointer) == Some(off));
    problems.extend(off.map(|(pointer, _)| Problem::SwitchedOff(pointer)));
    Ok(problems)
}

fn shape(dialect: Dialect) -> Result<Shape, SettingsError> {
    hosts::shape(dialect).ok_or(SettingsError::NoSettings(dialect))
}

fn of_event<'e>(
    entries: &'e [(&'static str, Value)],
    event: &'e str,
) -> impl Iterator<Item = &'e Value> {
    entries.iter().filter(move |(own, _)| *own == event).map(|(_, entry)| entry)
}

fn edit(before: &str, after: String, is_new: bool) -> Edit {
    if !is_new && before == after { Edit::Unchanged } else { Edit::Write(after) }
}

/// Whether an entry, or each action in it, calls `life-agent hook`.
fn is_ours(entry: &Value, dialect: Dialect) -> bool {
    match entry.get("hooks").and_then(Value::as_array) {
        Some(actions) => !actions.is_empty() && actions.iter().all(|one| calls_us(one, dialect)),
        None => calls_us(entry, dialect),
    }
}

/// Whether an action calls `life-agent hook` for this host, whatever the path of the program.
fn calls_us(action: &Value, dialect: Dialect) -> bool {
    let end = format!(" hook {dialect}");
    let command = |key: &str| action.get(key).and_then(Value::as_str);
    ["command", "bash", "powershell"].into_iter().filter_map(command).any(|command| {
        let program = command.trim().strip_suffix(&end).map(|program| program.trim_matches('"'));
        program.is_some_and(|program| {
            let name = program.rsplit(['/', '\\']).next().unwrap_or_default();
            name.trim_end_matches(".exe") == "life-agent"
        })
    })
}

#[cfg(test)]
mod tests;
