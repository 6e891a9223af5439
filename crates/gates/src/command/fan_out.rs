//! Programs that run a command once per input: `find`, `xargs` and `parallel`.

use super::effect::Shell;
use super::evaluate::{Evaluator, Output, Scope};
use super::expand::Field;
use super::invoke::{join, unknown_field};
use super::wrappers::{first_operand, option_values};

impl Evaluator {
    pub(crate) fn find(&mut self, program: &str, argv: &[Field], scope: &Scope) -> Output {
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        let found = super::search::found_paths(program, &args);
        let mut at = 0;
        let own_end = args
            .iter()
            .position(|arg| {
                matches!(*arg, "-exec" | "-execdir" | "-ok" | "-okdir" | "-x" | "-X" | "--exec")
            })
            .unwrap_or(args.len());
        self.classify(program, &argv[..own_end], scope);
        if program != "fd" && program != "fdfind" && args.contains(&"-delete") {
            self.find_delete(&args, &found, scope);
        }
        let text = found.iter().map(|path| format!("{path}\n")).collect();
        let mut ran = Output { file: true, text: Some(text), ..Output::default() };
        while at < args.len() {
            let exec = match args[at] {
                "-exec" | "-execdir" | "-ok" | "-okdir" => true,
                "-x" | "-X" | "--exec" | "--exec-batch" => program.starts_with("fd"),
                _ => false,
            };
            at += 1;
            if !exec {
                continue;
            }
            let mut inner = Vec::new();
            while let Some(arg) = args.get(at) {
                at += 1;
                if *arg == ";" || *arg == "+" {
                    break;
                }
                if *arg == "{}" {
                    inner.extend(found.iter().map(Field::new));
                } else if arg.contains("{}") {
                    let first = found.first().map_or("", String::as_str);
                    inner.push(Field::new(arg.replace("{}", first)));
                } else {
                    inner.push(argv[at - 1].clone());
                }
            }
            if program.starts_with("fd") && !args.contains(&"{}") {
                inner.extend(found.iter().map(Field::new));
            }
            let scope = Scope { writes: Vec::new(), stdin: None, ..scope.clone() };
            ran = self.via(program, inner, &scope);
            ran.text = None;
        }
        ran.text = ran.text.filter(|text| self.budget.spend(text.len()).is_ok());
        ran
    }

    fn find_delete(&mut self, args: &[&str], found: &[String], scope: &Scope) {
        let filtered = args.iter().enumerate().any(|(at, arg)| {
            let negated = at > 0 && super::search::negates(args[at - 1]);
            let filters = matches!(
                *arg,
                "-name"
                    | "-iname"
                    | "-path"
                    | "-ipath"
                    | "-wholename"
                    | "-regex"
                    | "-empty"
                    | "-iregex"
            );
            filters && !negated
        });
        let mut fields = vec![Field::new(if filtered { "-f" } else { "-rf" })];
        fields.extend(found.iter().map(Field::new));
        let mut scope = Scope { writes: Vec::new(), ..scope.clone() };
        scope.via.push("find".to_owned());
        self.classify("rm", &fields, &scope);
    }

    pub(crate) fn xargs(&mut self, argv: &[Field], scope: &Scope) -> Output {
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        let values = [
            "-I",
            "-n",
            "-P",
            "-L",
            "-d",
            "-a",
            "-s",
            "-E",
            "-R",
            "-S",
            "-J",
            "--max-args",
            "--max-procs",
            "--max-lines",
            "--delimiter",
            "--arg-file",
            "--max-chars",
        ];
        let at = first_operand(&args, &values, false);
        let options = &args[..at];
        let replace = option_values(options, &["-I", "-J"]).first().map(|text| (*text).to_owned());
        let replace = replace.or_else(|| {
            options.iter().find_map(|arg| {
                let rest = arg.strip_prefix("--replace").or_else(|| arg.strip_prefix("-i"))?;
                let text = rest.trim_start_matches('=');
                Some(if text.is_empty() { "{}".to_owned() } else { text.to_owned() })
            })
        });
        let from_file =
            options.iter().any(|arg| arg.starts_with("-a") || arg.starts_with("--arg-file"));
        let known =
            scope.stdin.as_ref().and_then(|stdin| stdin.text.clone()).filter(|_| !from_file);
        let mut inner = argv.get(at..).unwrap_or_default().to_vec();
        if inner.is_empty() {
            self.classify("xargs", argv, scope);
            return Output { text: known, ..Output::default() };
        }
        let network = scope.stdin.as_ref().is_some_and(|stdin| stdin.network);
        let secret = scope.stdin.as_ref().is_some_and(|stdin| stdin.secret);
        let mut inputs: Vec<Field> = match &known {
            Some(text) if replace.is_some() => text.lines().take(50).map(Field::new).collect(),
            Some(text) => text.split_whitespace().take(200).map(Field::new).collect(),
            None => vec![unknown_field("stdin")],
        };
        for input in &mut inputs {
            input.network = network;
            input.secret = secret;
        }
        self.substitute_inputs(&mut inner, replace.as_deref(), &inputs, false);
        let scope = Scope { stdin: None, ..scope.clone() };
        self.via("xargs", inner, &scope)
    }

    pub(crate) fn parallel(&mut self, argv: &[Field], scope: &Scope) -> Output {
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        let values = [
            "-j",
            "--jobs",
            "-I",
            "-a",
            "--arg-file",
            "--results",
            "--joblog",
            "-S",
            "--sshlogin",
            "-n",
            "-N",
            "-P",
            "--delay",
            "--timeout",
            "--retries",
            "--tmpdir",
            "--colsep",
            "-C",
            "-d",
        ];
        let at = first_operand(&args, &values, false).min(args.len());
        let separator =
            args.iter().position(|arg| matches!(*arg, ":::" | "::::" | ":::+" | "::::+"));
        let end = separator.unwrap_or(args.len());
        let mut inner = argv.get(at..end.max(at)).unwrap_or_default().to_vec();
        let known = scope.stdin.as_ref().and_then(|stdin| stdin.text.clone());
        let inputs: Vec<Field> = match separator {
            Some(at) if args[at] == ":::" => argv[at + 1..]
                .iter()
                .filter(|field| !field.text.starts_with(":::"))
                .cloned()
                .collect(),
            Some(_) => vec![unknown_field("file")],
            None => match &known {
                Some(text) => text.lines().take(100).map(Field::new).collect(),
                None => vec![unknown_field("stdin")],
            },
        };
        let mut inner_scope = Scope { stdin: None, ..scope.clone() };
        inner_scope.via.push("parallel".to_owned());
        if inner.is_empty() {
            for input in inputs {
                if input.is_known() {
                    self.script(&input.text, Shell::Posix, &inner_scope);
                } else {
                    self.unknown_script("parallel", argv, scope);
                }
            }
            return Output::default();
        }
        self.substitute_inputs(&mut inner, Some("{}"), &inputs, true);
        self.invoke(inner, &inner_scope)
    }

    /// Puts inputs where the placeholder is, or at the end.
    fn substitute_inputs(
        &mut self,
        inner: &mut Vec<Field>,
        placeholder: Option<&str>,
        inputs: &[Field],
        append: bool,
    ) {
        let mut placed = false;
        if let Some(placeholder) = placeholder.filter(|text| !text.is_empty()) {
            let mut out = Vec::new();
            for field in inner.drain(..) {
                if field.text == placeholder {
                    placed = true;
                    out.extend(inputs.iter().cloned());
                } else if field.text.contains(placeholder) {
                    placed = true;
                    let all = join(inputs);
                    if self.budget.spend(all.len() * 2).is_err() {
                        break;
                    }
                    out.push(Field { text: field.text.replace(placeholder, &all), ..field });
                } else {
                    out.push(field);
                }
            }
            *inner = out;
        }
        if !placed && (append || placeholder.is_none()) {
            inner.extend(inputs.iter().cloned());
        }
    }
}
