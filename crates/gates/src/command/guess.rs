//! The language of a command line that names no shell.

use super::effect::Shell;
use super::pack::PACK;

/// Verbs of PowerShell's commands.
const VERBS: &[&str] = &[
    "Get",
    "Set",
    "Remove",
    "New",
    "Invoke",
    "Start",
    "Stop",
    "Clear",
    "Add",
    "Copy",
    "Move",
    "Out",
    "Write",
    "Import",
    "Export",
    "Test",
    "Select",
    "Format",
    "Disable",
    "Enable",
    "Restart",
    "Uninstall",
    "Install",
];

/// Programs of the Windows command prompt.
const PROMPT: &[&str] = &[
    "del", "erase", "rd", "rmdir", "format", "taskkill", "reg", "schtasks", "vssadmin", "bcdedit",
    "cipher", "wmic", "attrib", "icacls", "cacls", "takeown", "net", "sc", "diskpart",
];

/// Switches that tell the prompt's programs from those of the same name.
const SWITCHES: &[&str] = &[
    "/s", "/q", "/f", "/y", "/s/q", "/all", "/im", "/quiet", "/t", "/r", "/grant", "/reset", "/v",
    "/create", "/delete", "/b", "/add",
];

/// PowerShell and `cmd` by their most telling forms; everything else is a POSIX shell.
pub(crate) fn shell(text: &str) -> Shell {
    let first = text.split_whitespace().next().unwrap_or_default();
    let verb = first.split_once('-').is_some_and(|(verb, noun)| {
        VERBS.contains(&verb)
            && noun.starts_with(|c: char| c.is_ascii_uppercase())
            && noun.chars().all(char::is_alphanumeric)
    });
    let assigns = || {
        first.len() > 1
            && first.starts_with('$')
            && first[1..].chars().all(|c| c.is_alphanumeric() || c == '_')
            && text.split_whitespace().nth(1) == Some("=")
    };
    if verb
        || PACK.cmdlet(first).is_some()
        || assigns()
        || text.trim_start().starts_with("$env:")
        || text.contains("-ErrorAction ")
    {
        return Shell::PowerShell;
    }
    let is_prompt = PROMPT.iter().any(|name| name.eq_ignore_ascii_case(first))
        && (has_switch(text) || has_drive(text));
    if is_prompt { Shell::Cmd } else { Shell::Posix }
}

fn has_switch(text: &str) -> bool {
    let mut words = text.split_whitespace().skip(1);
    words.any(|word| SWITCHES.iter().any(|switch| switch.eq_ignore_ascii_case(word)))
}

/// Whether the text names a path such as `C:\data`.
fn has_drive(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|three| three[0].is_ascii_alphabetic() && three[1] == b':' && three[2] == b'\\')
}
