//! The two shells of Windows when started with a script.

use super::budget::Unparsed;
use super::effect::Shell;
use super::evaluate::{Evaluator, Output, Scope};
use super::expand::Field;
use super::invoke::join;

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
