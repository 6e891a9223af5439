//! What one argument vector runs: functions, wrappers, interpreters, or a program to be judged.

use std::rc::Rc;

use super::budget::{MAX_DEPTH, MAX_PARTS, Unparsed};
use super::effect::{CommandEffect, Shell};
use super::evaluate::{Evaluator, Output, Scope, Value, unknown};
use super::expand::Field;
use super::targets::UNKNOWN;
use super::wrappers::{self, Kind};

/// Steps that one invocation costs, and each of its arguments in addition to its length.
const INVOCATION_STEPS: usize = 700;
const ARGUMENT_STEPS: usize = 30;

impl Evaluator {
    pub(crate) fn invoke(&mut self, mut argv: Vec<Field>, scope: &Scope) -> Output {
        if self.depth >= MAX_DEPTH {
            self.fault(Unparsed::TooDeep);
            return Output::default();
        }
        let size: usize = argv.iter().map(|field| ARGUMENT_STEPS + field.text.len()).sum();
        if self.budget.spend(INVOCATION_STEPS + size).is_err() || self.parts.len() > MAX_PARTS {
            self.fault(Unparsed::TooComplex);
            return Output::default();
        }
        if argv.is_empty() {
            self.note_writes(scope);
            return Output::text("");
        }
        let first = argv[0].clone();
        let Some(program) = program_name(&first) else {
            return self.unknown_program(&argv, scope);
        };
        self.depth += 1;
        argv.remove(0);
        let program = match self.shell {
            Shell::PowerShell => super::cmdlets::canonical(program, &mut argv),
            _ => program,
        };
        let output = self.dispatch(&program, &first.text, argv, scope);
        self.depth -= 1;
        output
    }

    fn unknown_program(&mut self, argv: &[Field], scope: &Scope) -> Output {
        // A shell that stands in a variable, such as `$SHELL -c`, is still a shell.
        let texts: Vec<_> = argv.iter().skip(1).map(|field| field.text.as_str()).collect();
        if let Some(at) = texts.iter().position(|text| *text == "-c")
            && let Some(script) = texts.get(at + 1)
        {
            let script = (*script).to_owned();
            self.script(&script, Shell::Posix, scope);
        }
        let help = texts.iter().all(|text| matches!(*text, "--help" | "--version" | "-h" | "-V"));
        if help && !texts.is_empty() && !scope.stdin.as_ref().is_some_and(|stdin| stdin.network) {
            self.record(&argv[0].shown(), &argv[1..], scope);
            self.raise_last(CommandEffect::Change, "asks-unknown-program");
            return Output::default();
        }
        self.fault(Unparsed::UnknownProgram);
        self.classify(&argv[0].shown(), &argv[1..], scope);
        if let Some(part) = self.parts.last_mut() {
            part.raise(CommandEffect::Unparsed, "unknown-program");
        }
        Output::default()
    }

    fn dispatch(
        &mut self,
        program: &str,
        written: &str,
        argv: Vec<Field>,
        scope: &Scope,
    ) -> Output {
        if let Some(body) = self.functions.get(program).cloned() {
            return self.call(&body, &argv, scope);
        }
        if let Some(alias) = self.aliases.remove(program) {
            let mut script = alias;
            for field in &argv {
                script.push(' ');
                script.push_str(&quote(&field.text));
            }
            return self.script(&script, self.shell, scope);
        }
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        if let Some((wrapper, words)) = wrappers::find(program, &args) {
            return self.wrapped(program, wrapper, words, &argv, scope);
        }
        if let Some(output) = self.special(program, &argv, scope) {
            return output;
        }
        if written.contains('/') && self.is_downloaded(written) {
            self.unknown_script(program, &argv, scope);
            return Output::default();
        }
        let secret_before = scope.stdin.as_ref().is_some_and(|stdin| stdin.secret);
        let mut output = self.static_output(program, &argv, scope);
        let reads = self.classify(program, &argv, scope);
        output.secret |= reads || secret_before;
        output.programs = vec![program.to_owned()];
        self.note_downloads(program, &argv, &output, scope);
        output
    }

    fn call(
        &mut self,
        body: &Rc<Vec<super::syntax::Statement>>,
        argv: &[Field],
        scope: &Scope,
    ) -> Output {
        if self.budget.spend(INVOCATION_STEPS + self.variables.len() * ARGUMENT_STEPS).is_err() {
            self.fault(Unparsed::TooComplex);
            return Output::default();
        }
        let saved = self.variables.clone();
        let value = |field: &Field| Value {
            text: field.text.clone(),
            secret: field.secret,
            network: field.network,
        };
        for (index, field) in argv.iter().take(9).enumerate() {
            self.variables.insert((index + 1).to_string(), vec![value(field)]);
        }
        for (name, value) in super::expand::parameters(argv) {
            self.variables.insert(name.to_owned(), vec![value]);
        }
        let output = self.run(body, scope);
        // What the function assigns stays, its parameters do not.
        for name in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "@", "*"] {
            match saved.get(name) {
                Some(values) => self.variables.insert(name.to_owned(), values.clone()),
                None => self.variables.remove(name),
            };
        }
        output
    }

    fn wrapped(
        &mut self,
        program: &str,
        wrapper: &wrappers::Wrapper,
        words: usize,
        argv: &[Field],
        scope: &Scope,
    ) -> Output {
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        let raising = wrappers::RAISING.contains(&program);
        let rest = &args[words..];
        let at = match wrapper.kind {
            Kind::AfterDashes => rest.iter().position(|arg| *arg == "--").map(|at| at + 1),
            _ => {
                let at = wrappers::first_operand(rest, wrapper.values, true) + wrapper.skip;
                Some(at)
            }
        };
        let lookup = (program == "command" || program == "exec" || program == "builtin")
            && args
                .iter()
                .take_while(|arg| arg.starts_with('-'))
                .any(|arg| arg.contains(['v', 'V']));
        let start = at.map(|at| words + at).filter(|at| *at < argv.len());
        let inner = start.map(|start| argv[start..].to_vec()).unwrap_or_default();
        if lookup || inner.is_empty() {
            self.script_options(program, &args, scope);
            if raising {
                self.raising(program, &args, &[], scope);
                return Output::default();
            }
            self.classify(program, argv, scope);
            return self.static_output(program, argv, scope);
        }
        if raising {
            self.raising(program, &args, &inner, scope);
        } else if matches!(program, "chroot" | "nsenter" | "unshare") {
            self.classify(program, argv, &Scope { writes: Vec::new(), ..scope.clone() });
        }
        self.script_options(program, &args[..start.unwrap_or(0)], scope);
        let mut scope = scope.clone();
        scope.via.push(program.to_owned());
        if let [option, script, ..] = inner.as_slice()
            && option.text == "-c"
        {
            return self.script(&script.text.clone(), Shell::Posix, &scope);
        }
        match wrapper.kind {
            Kind::Script => {
                let script = join(&inner);
                self.script(&script, Shell::Posix, &scope)
            }
            Kind::Scripts => {
                for field in &inner {
                    self.script(&field.text, Shell::Posix, &scope);
                }
                Output::default()
            }
            Kind::Argv | Kind::AfterDashes => self.invoke(inner, &scope),
        }
    }

    /// Wrappers that also accept a script: `flock -c`, `npx -c`, `su -c`.
    fn script_options(&mut self, program: &str, args: &[&str], scope: &Scope) {
        let names: &[&str] = match program {
            "gcloud" => &["--command"],
            "npx" | "npm" | "pnpm" | "bunx" | "flock" | "vagrant" => &["-c", "--call", "--command"],
            _ => return,
        };
        let scripts: Vec<_> =
            wrappers::option_values(args, names).into_iter().map(str::to_owned).collect();
        for script in scripts {
            self.script(&script, Shell::Posix, scope);
        }
    }

    /// Records the raise of rights itself. Installing packages and acting as a service's own user are
    /// part of setting up a machine and count as changes.
    fn raising(&mut self, program: &str, args: &[&str], inner: &[Field], scope: &Scope) {
        let user = wrappers::option_values(args, &["-u", "--user"]);
        let other_user = user.first().is_some_and(|user| !matches!(*user, "root" | "0" | "#0"));
        let command = inner.iter().find(|field| !wrappers::is_assignment(&field.text));
        let name = command.and_then(program_name).unwrap_or_default();
        let words: Vec<_> = inner.iter().map(|field| field.text.as_str()).collect();
        let installs = matches!(
            name.as_str(),
            "apt"
                | "apt-get"
                | "dnf"
                | "yum"
                | "apk"
                | "pacman"
                | "zypper"
                | "port"
                | "snap"
                | "brew"
        ) && words.iter().any(|word| {
            matches!(
                *word,
                "install" | "update" | "upgrade" | "add" | "-S" | "-Sy" | "-Syu" | "-y" | "refresh"
            )
        }) && !words.iter().any(|word| {
            word.contains("Invoke") || word.starts_with("-o") || word.contains("--allow-untrusted")
        });
        let starts = matches!(name.as_str(), "systemctl" | "service")
            && words.iter().any(|word| matches!(*word, "start" | "restart" | "reload" | "status"));
        let installs = installs || starts;
        let written: Vec<_> = args.iter().map(|arg| Field::new(*arg)).collect();
        self.record(program, &written, scope);
        if let Some(part) = self.parts.last_mut() {
            if installs || (other_user && !inner.is_empty()) {
                part.raise(CommandEffect::Change, "setup-rights");
            } else {
                part.raise(CommandEffect::Escalate, "raise-rights");
            }
        }
    }
}

/// The program's name without folders and endings; `None` when only the run can tell.
pub(crate) fn program_name(field: &Field) -> Option<String> {
    let text = field.text.trim_start_matches('@');
    let base = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let base = if base.is_empty() { text } else { base };
    if let Some(variable) = base.strip_prefix(UNKNOWN) {
        // `$PYTHON`, `${CARGO}`: by convention the program of that name.
        let name = variable.to_ascii_lowercase();
        let upper = variable.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        return (upper && super::pack::PACK.usual(&name).is_some()).then_some(name);
    }
    if base.contains(UNKNOWN) || base.is_empty() {
        return None;
    }
    // A pattern that the shell completes from the file system.
    if base != "[" && base != "[[" && base.contains(['*', '?', '[']) && !base.contains(' ') {
        return None;
    }
    let lower = base.to_ascii_lowercase();
    for end in [".exe", ".cmd", ".bat", ".com"] {
        if let Some(name) = lower.strip_suffix(end)
            && !name.is_empty()
        {
            return Some(name.to_owned());
        }
    }
    Some(base.to_owned())
}

pub(crate) fn join(fields: &[Field]) -> String {
    fields.iter().map(|field| field.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn quote(text: &str) -> String {
    if text.contains(UNKNOWN) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A field for input that is not known.
pub(crate) fn unknown_field(name: &str) -> Field {
    Field::new(unknown(name))
}
