//! Scripts of other languages in arguments and on standard input.

use super::budget::Unparsed;
use super::effect::CommandEffect;
use super::evaluate::{Evaluator, Scope};
use super::expand::Field;
use super::wrappers::option_values;

/// Programs of frameworks that run code in an argument: the words before it, or the option.
const FRAMEWORKS: &[(&str, &[&str], Option<&str>)] = &[
    ("rails", &["runner"], None),
    ("rails", &["r"], None),
    ("manage.py", &["shell"], Some("-c")),
    ("django-admin", &["shell"], Some("-c")),
    ("flask", &["shell"], Some("-c")),
    ("artisan", &["tinker"], Some("--execute")),
    ("php", &["artisan", "tinker"], Some("--execute")),
    ("php", &["bin/console", "dbal:run-sql"], None),
    ("mix", &["run"], Some("-e")),
    ("wp", &["eval"], None),
    ("drush", &["eval"], None),
    ("drush", &["php:eval"], None),
];

/// Interpreters with the options whose value is a script.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("python", &["-c"]),
    ("pypy", &["-c"]),
    ("perl", &["-e", "-E", "-ne", "-pe", "-pie", "-0pi", "-0pe", "-lne", "-ane", "-le"]),
    ("ruby", &["-e", "-ne", "-pe"]),
    ("node", &["-e", "--eval", "-p", "--print", "-pe"]),
    ("nodejs", &["-e", "--eval", "-p", "--print"]),
    ("bun", &["-e", "--eval", "-p"]),
    ("deno", &["eval"]),
    ("php", &["-r"]),
    ("lua", &["-e"]),
    ("osascript", &["-e"]),
    ("Rscript", &["-e"]),
    ("groovy", &["-e"]),
    ("elixir", &["-e"]),
    ("julia", &["-e"]),
    ("tsx", &["-e"]),
    ("ts-node", &["-e"]),
    ("awk", &[]),
    ("gawk", &[]),
    ("mawk", &[]),
];

impl Evaluator {
    /// Scripts of other languages in the arguments or on standard input.
    pub(crate) fn interpret(&mut self, program: &str, argv: &[Field], scope: &Scope) {
        self.framework_code(program, argv, scope);
        let base = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let Some((name, options)) = INTERPRETERS.iter().find(|(name, _)| *name == base) else {
            return;
        };
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        if name.ends_with("awk") {
            if let Some(code) = args.iter().find(|arg| !arg.starts_with('-')) {
                let code = (*code).to_owned();
                if ["system", "| \"", "|\"", "/inet/"].iter().any(|part| code.contains(part)) {
                    self.code(program, &code, scope);
                }
            }
            return;
        }
        let mut codes: Vec<String> = Vec::new();
        let mut at = 0;
        while at < args.len() {
            let arg = args[at];
            if options.contains(&arg) {
                if argv.get(at + 1).is_some_and(|field| field.network) {
                    self.fault(Unparsed::UnknownScript);
                    self.raise_last(CommandEffect::Unparsed, "unknown-script");
                }
                codes.extend(args.get(at + 1).map(|code| (*code).to_owned()));
                at += 1;
            } else if options.first() == Some(&"-c")
                && arg.starts_with('-')
                && !arg.starts_with("--")
                && arg.ends_with('c')
            {
                codes.extend(args.get(at + 1).map(|code| (*code).to_owned()));
                at += 1;
            } else if !arg.starts_with('-') && name != &"deno" {
                break;
            }
            at += 1;
        }
        let script = argv.iter().find(|field| !field.text.starts_with('-'));
        if script.is_some_and(|field| codes.is_empty() && self.is_downloaded(&field.text)) {
            self.fault(Unparsed::UnknownScript);
            self.raise_last(CommandEffect::Unparsed, "unknown-script");
        }
        let file = args.iter().any(|arg| !arg.starts_with('-') || *arg == "-m");
        if codes.is_empty() && (!file || args.first() == Some(&"-")) {
            let Some(stdin) = scope.stdin.clone() else { return };
            match &stdin.text {
                Some(text) => codes.push(text.clone()),
                None if stdin.file && !stdin.network && !stdin.decoded => {}
                None => {
                    self.fault(Unparsed::UnknownScript);
                    self.raise_last(CommandEffect::Unparsed, "unknown-script");
                }
            }
        }
        for code in codes {
            self.code(program, &code, scope);
        }
    }

    fn framework_code(&mut self, program: &str, argv: &[Field], scope: &Scope) {
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        // `python manage.py shell -c …` is `manage.py shell -c …`.
        let (program_name, words) = match args.split_first() {
            Some((first, rest)) if program.starts_with("python") && first.ends_with(".py") => {
                (first.rsplit('/').next().unwrap_or(first), rest)
            }
            _ => (program, args.as_slice()),
        };
        for (name, leading, option) in FRAMEWORKS {
            if *name != program_name || !words.starts_with(leading) {
                continue;
            }
            let rest = &words[leading.len()..];
            let codes = match option {
                Some(option) => option_values(rest, &[option]),
                None => rest.iter().filter(|arg| !arg.starts_with('-')).copied().collect(),
            };
            for code in codes.into_iter().map(str::to_owned).collect::<Vec<_>>() {
                self.code(program, &code, scope);
            }
        }
    }
}
