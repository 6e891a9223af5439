//! The two shells of Windows when started with a script.

use super::budget::Unparsed;
use super::effect::Shell;
use super::evaluate::{Evaluator, Output, Scope};
use super::expand::Field;
use super::invoke::join;

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

impl Evaluator {
    pub(crate) fn windows_prompt(&mut self, argv: &[Field], scope: &Scope) -> Output {
        let at = argv.iter().position(|field| {
            let text = field.text.to_ascii_lowercase();
            matches!(text.as_str(), "/c" | "/k" | "/r" | "//c")
        });
        match at {
            Some(at) if at + 1 < argv.len() => {
                let script = join(&argv[at + 1..]);
                let mut inner = scope.clone();
                inner.via.push("cmd".to_owned());
                self.script(&script, Shell::Cmd, &inner)
            }
            _ => {
                self.classify("cmd", argv, scope);
                Output::default()
            }
        }
    }

    pub(crate) fn windows_shell(&mut self, argv: &[Field], scope: &Scope) -> Output {
        let mut inner = scope.clone();
        inner.via.push("powershell".to_owned());
        let option = |text: &str, name: &str| {
            let given = text.to_ascii_lowercase();
            given.len() >= 2
                && given.starts_with(['-', '/'])
                && name.starts_with(given.trim_start_matches(['-', '/']))
                && given.len() > 1
        };
        for (at, field) in argv.iter().enumerate() {
            let text = field.text.as_str();
            if option(text, "encodedcommand") || text.eq_ignore_ascii_case("-ec") {
                let encoded = argv.get(at + 1).map(|field| field.text.as_str()).unwrap_or_default();
                return match super::output::utf16_base64(encoded) {
                    Some(script) => self.script(&script, Shell::PowerShell, &inner),
                    None => {
                        self.fault(Unparsed::Undecodable);
                        self.unknown_script("powershell", argv, scope);
                        Output::default()
                    }
                };
            }
            if option(text, "command") {
                let script = join(argv.get(at + 1..).unwrap_or_default());
                if script.trim() == "-" {
                    break;
                }
                return self.script(&script, Shell::PowerShell, &inner);
            }
            if !text.starts_with(['-', '/']) && at == 0 {
                let script = join(argv);
                return self.script(&script, Shell::PowerShell, &inner);
            }
        }
        self.classify("powershell", argv, scope);
        Output::default()
    }
}
