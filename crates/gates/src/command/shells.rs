//! Shells, and the builtins that read scripts or change variables.

use super::effect::{CommandEffect, Shell};
use super::evaluate::{Evaluator, Output, Scope, Value};
use super::expand::Field;
use super::invoke::join;
use super::targets::UNKNOWN;
use super::wrappers::is_assignment;

/// Programs whose output sets up the shell that evaluates it.
const SHELL_SETUP: &[&str] = &[
    "ssh-agent",
    "direnv",
    "brew",
    "pyenv",
    "rbenv",
    "nodenv",
    "goenv",
    "jenv",
    "starship",
    "zoxide",
    "fnm",
    "opam",
    "mise",
    "rtx",
    "minikube",
    "docker-machine",
    "dircolors",
    "luarocks",
    "conda",
    "micromamba",
    "register-python-argcomplete",
    "kubectl",
    "helm",
    "gh",
    "thefuck",
    "atuin",
    "fzf",
    "nvm",
    "keychain",
    "resize",
    "lesspipe",
    "perl",
    "cargo",
    "rustup",
    "poetry",
    "pip",
    "npm",
    "uv",
    "swiftenv",
    "xcenv",
    "pixi",
    "devbox",
    "just",
    "podman",
    "docker",
    "completion",
    "complete",
];

impl Evaluator {
    pub(crate) fn posix_shell(&mut self, program: &str, argv: &[Field], scope: &Scope) -> Output {
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        let mut at = 0;
        let mut command = false;
        while let Some(arg) = args.get(at) {
            match *arg {
                "--" => {
                    at += 1;
                    break;
                }
                "-o" | "+o" | "-O" | "+O" | "--rcfile" | "--init-file" => at += 2,
                "--version" | "--help" => {
                    self.classify(program, argv, scope);
                    return Output::default();
                }
                _ if arg.len() > 1 && arg.starts_with(['-', '+']) => {
                    command |= !arg.starts_with("--") && arg.contains('c');
                    command |= *arg == "--command";
                    at += 1;
                }
                _ => break,
            }
        }
        let mut inner = scope.clone();
        inner.via.push(program.to_owned());
        if command {
            let Some(script) = argv.get(at) else {
                self.classify(program, argv, scope);
                return Output::default();
            };
            if script.network || (!script.is_known() && script.text.starts_with(UNKNOWN)) {
                self.unknown_script(program, argv, scope);
                return Output::default();
            }
            let text = script.text.clone();
            for (index, field) in argv.iter().skip(at + 1).enumerate().take(10) {
                let value = Value { text: field.text.clone(), ..Value::default() };
                self.variables.insert(index.to_string(), vec![value]);
            }
            if argv.len() > at + 2 {
                for (name, value) in super::expand::parameters(&argv[at + 2..]) {
                    self.variables.insert(name.to_owned(), vec![value]);
                }
            }
            let (place, functions) = (self.place.clone(), self.functions.clone());
            let output = self.script(&text, Shell::Posix, &inner);
            self.place = place;
            self.functions = functions;
            return output;
        }
        let from_stdin = args.get(at).is_none_or(|arg| *arg == "-" || *arg == "/dev/stdin")
            || args[..at].contains(&"-s");
        if from_stdin {
            return self.shell_stdin(program, argv, scope, &inner);
        }
        let file = &argv[at];
        if file.process {
            match file.content.clone() {
                Some(script) => return self.script(&script, Shell::Posix, &inner),
                None => self.unknown_script(program, argv, scope),
            }
            return Output::default();
        }
        if self.is_downloaded(&file.text) {
            self.unknown_script(program, argv, scope);
        } else {
            self.classify(program, argv, scope);
        }
        Output::default()
    }

    fn shell_stdin(
        &mut self,
        program: &str,
        argv: &[Field],
        scope: &Scope,
        inner: &Scope,
    ) -> Output {
        let Some(stdin) = scope.stdin.clone() else {
            self.classify(program, argv, scope);
            return Output::default();
        };
        if let Some(script) = &stdin.text {
            let inner = Scope { stdin: None, ..inner.clone() };
            return self.script(script, Shell::Posix, &inner);
        }
        if stdin.file && !stdin.network && !stdin.decoded {
            self.classify(program, argv, scope);
        } else {
            self.unknown_script(program, argv, scope);
        }
        Output { programs: vec![program.to_owned()], ..Output::default() }
    }

    pub(crate) fn env(&mut self, argv: &[Field], scope: &Scope) -> Output {
        let mut at = 0;
        let mut split = None;
        while let Some(field) = argv.get(at) {
            let arg = field.text.as_str();
            match arg {
                "--" => {
                    at += 1;
                    break;
                }
                "-u" | "--unset" | "-C" | "--chdir" | "-P" => {
                    if matches!(arg, "-C" | "--chdir")
                        && let Some(folder) = argv.get(at + 1)
                    {
                        let folder = folder.text.clone();
                        self.place.enter(&folder);
                    }
                    at += 2;
                }
                "-S" | "--split-string" => {
                    split = argv.get(at + 1).map(|field| field.text.clone());
                    at += 2;
                }
                _ if arg.starts_with("-S") || arg.starts_with("--split-string=") => {
                    let text = arg.strip_prefix("-S").or(arg.strip_prefix("--split-string="));
                    split = text.map(str::to_owned);
                    at += 1;
                }
                _ if arg.starts_with("-C") && arg.len() > 2 => {
                    self.place.enter(&arg[2..]);
                    at += 1;
                }
                _ if arg == "-" || (arg.len() > 1 && arg.starts_with('-')) => at += 1,
                _ if is_assignment(arg) => {
                    if let Some((name, text)) = arg.split_once('=') {
                        let value = Value { text: text.to_owned(), ..Value::default() };
                        self.variables.entry(name.to_owned()).or_default().push(value);
                    }
                    at += 1;
                }
                _ => break,
            }
        }
        let mut inner = argv.get(at..).unwrap_or_default().to_vec();
        if let Some(text) = split {
            let mut fields: Vec<_> = text
                .split_whitespace()
                .filter(|word| !is_assignment(word))
                .map(Field::new)
                .collect();
            fields.append(&mut inner);
            inner = fields;
        }
        if inner.is_empty() {
            let secret = self.classify("env", argv, scope);
            return Output { secret, ..Output::default() };
        }
        self.via("env", inner, scope)
    }

    pub(crate) fn eval(&mut self, argv: &[Field], scope: &Scope) -> Output {
        if argv.iter().any(|field| field.network) {
            self.unknown_script("eval", argv, scope);
            return Output::default();
        }
        let script = join(argv);
        if script.starts_with(UNKNOWN) {
            let setup = script.contains("(…)")
                && self.parts.last().is_some_and(|part| {
                    SHELL_SETUP.contains(&part.program.as_str())
                        || part.pipe_from.is_empty()
                            && part.args.iter().any(|arg| {
                                arg.contains("init")
                                    || arg.contains("env")
                                    || arg.contains("hook")
                                    || arg.contains("completion")
                            })
                });
            if setup {
                self.record("eval", argv, scope);
                if let Some(part) = self.parts.last_mut() {
                    part.raise(CommandEffect::Change, "shell-setup");
                }
            } else {
                self.unknown_script("eval", argv, scope);
            }
            return Output::default();
        }
        self.script(&script, self.shell, scope)
    }

    pub(crate) fn source(&mut self, argv: &[Field], scope: &Scope) -> Output {
        match argv.first() {
            Some(file) if file.process => match file.content.clone() {
                Some(script) => return self.script(&script, self.shell, scope),
                None if file.network => self.unknown_script("source", argv, scope),
                None => {
                    self.classify("source", argv, scope);
                }
            },
            Some(file) if file.text == "/dev/stdin" => {
                return self.shell_stdin("source", argv, scope, &scope.clone());
            }
            Some(file) if self.is_downloaded(&file.text) => {
                self.unknown_script("source", argv, scope)
            }
            _ => {
                self.classify("source", argv, scope);
            }
        }
        Output::default()
    }

    pub(crate) fn declare(&mut self, program: &str, argv: &[Field], scope: &Scope) {
        for field in argv {
            if let Some((name, text)) = field.text.split_once('=')
                && !name.starts_with('-')
            {
                let value =
                    Value { text: text.to_owned(), secret: field.secret, network: field.network };
                self.variables.insert(name.to_owned(), vec![value]);
            } else if matches!(program, "read" | "mapfile" | "readarray")
                && !field.text.starts_with('-')
            {
                let known = scope.stdin.as_ref().and_then(|stdin| stdin.text.clone());
                let text = known.unwrap_or_else(|| super::evaluate::unknown(&field.text));
                let stdin = scope.stdin.as_ref();
                let value = Value {
                    text: text.trim_end().to_owned(),
                    secret: stdin.is_some_and(|stdin| stdin.secret),
                    network: stdin.is_some_and(|stdin| stdin.network),
                };
                self.variables.insert(field.text.clone(), vec![value]);
            }
        }
        if program == "set"
            && let Some(at) = argv.iter().position(|field| field.text == "--")
        {
            for (index, field) in argv[at + 1..].iter().enumerate().take(9) {
                let value = Value { text: field.text.clone(), ..Value::default() };
                self.variables.insert((index + 1).to_string(), vec![value]);
            }
            for (name, value) in super::expand::parameters(&argv[at + 1..]) {
                self.variables.insert(name.to_owned(), vec![value]);
            }
        }
    }
}
