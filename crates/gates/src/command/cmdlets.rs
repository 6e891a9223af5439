//! Calls of PowerShell, which ignores case, in the spelling of the rules.

use super::expand::Field;

/// Parameters that rules name, in their full spelling.
const PARAMETERS: &[&str] = &[
    "Recurse",
    "Force",
    "WhatIf",
    "LiteralPath",
    "Command",
    "EncodedCommand",
    "InFile",
    "Body",
    "Method",
    "RemoveData",
    "DiskNumber",
    "DriveLetter",
    "LogName",
];

/// A call of PowerShell, which ignores case and completes parameters, in the spelling of the rules.
pub(crate) fn canonical(program: String, argv: &mut [Field]) -> String {
    let lower = program.to_ascii_lowercase();
    let cmdlet = super::pack::PACK.cmdlet(&lower).map(str::to_owned);
    let removes =
        matches!(lower.as_str(), "remove-item" | "ri" | "rm" | "rmdir" | "rd" | "del" | "erase");
    if cmdlet.is_none() && !removes {
        return if program.contains('-') { program } else { lower };
    }
    for field in argv {
        let Some(given) = field.text.strip_prefix('-').filter(|given| !given.is_empty()) else {
            continue;
        };
        let (given, rest) = given.split_at(given.find(':').unwrap_or(given.len()));
        let least = if removes { 1 } else { 3 };
        let full = PARAMETERS.iter().find(|name| {
            given.len() >= least
                && given.len() <= name.len()
                && name.get(..given.len()).is_some_and(|head| head.eq_ignore_ascii_case(given))
        });
        if let Some(full) = full {
            field.text = format!("-{full}{rest}");
        }
    }
    // `rm -r -fo` is an alias.
    cmdlet.unwrap_or_else(|| if removes { "Remove-Item".to_owned() } else { lower })
}
