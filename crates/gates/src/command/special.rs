//! Programs whose arguments are commands in a form of their own, and builtins that change the state.

use super::budget::Unparsed;
use super::effect::{CommandEffect, Shell};
use super::evaluate::{Evaluator, Output, Scope};
use super::expand::Field;
use super::invoke::join;
use super::targets::Place;
use super::wrappers::{first_operand, option_values};

pub(crate) const SHELLS: &[&str] = &[
    "sh", "bash", "zsh", "dash", "ksh", "ash", "fish", "rbash", "mksh", "csh", "tcsh", "xonsh",
    "nu",
];

const SSH_VALUES: &[&str] = &[
    "-p", "-i", "-l", "-o", "-F", "-J", "-L", "-R", "-D", "-b", "-c", "-e", "-E", "-I", "-m", "-O",
    "-Q", "-S", "-W", "-w", "-B",
];

const CONTAINER_VALUES: &[&str] = &[
    "-e",
    "--env",
    "--env-file",
    "-v",
    "--volume",
    "-p",
    "--publish",
    "-w",
    "--workdir",
    "-u",
    "--user",
    "--name",
    "--network",
    "--net",
    "--mount",
    "-l",
    "--label",
    "-m",
    "--memory",
    "--cpus",
    "--entrypoint",
    "-h",
    "--hostname",
    "--add-host",
    "--platform",
    "--pid",
    "--ipc",
    "--gpus",
    "--device",
    "--cap-add",
    "--cap-drop",
    "--security-opt",
    "--restart",
    "--log-driver",
    "--shm-size",
    "--ulimit",
    "--tmpfs",
    "-f",
    "--file",
    "--project-name",
    "--profile",
    "--pull",
    "--index",
    "--detach-keys",
    "--link",
    "--expose",
    "--dns",
    "--ip",
    "--userns",
    "--cidfile",
    "--runtime",
    "--health-cmd",
    "-c",
    "--context",
    "-H",
    "--host",
];

impl Evaluator {
    /// The output, if the program is one of these.
    pub(crate) fn special(
        &mut self,
        program: &str,
        argv: &[Field],
        scope: &Scope,
    ) -> Option<Output> {
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        let output = match program {
            _ if SHELLS.contains(&program) => self.posix_shell(program, argv, scope),
            "env" => self.env(argv, scope),
            "eval" => self.eval(argv, scope),
            "source" | "." => self.source(argv, scope),
            "cd" | "pushd" | "chdir" | "Set-Location" | "sl" => {
                let operand =
                    args.iter().find(|arg| !arg.starts_with('-') && !arg.starts_with('/'));
                let operand = match args.first() {
                    Some(first) if first.starts_with('/') && first.len() > 2 => Some(first),
                    Some(first) if *first == "/" => Some(first),
                    _ => operand,
                };
                let operand = operand.copied().unwrap_or("~").to_owned();
                self.place.enter(&operand);
                self.classify(program, argv, scope);
                Output::text("")
            }
            "pwd" => Output::text(self.place.cwd.clone()),
            "alias" | "Set-Alias" => {
                for arg in &args {
                    if let Some((name, value)) = arg.split_once('=') {
                        self.aliases.insert(name.to_owned(), value.to_owned());
                    }
                }
                Output::text("")
            }
            "export" | "declare" | "local" | "readonly" | "typeset" | "set" | "unset" | "shift"
            | "read" | "mapfile" | "readarray" | "getopts" => {
                self.declare(program, argv, scope);
                let secret = self.classify(program, argv, scope);
                Output { secret, ..Output::default() }
            }
            "trap" => {
                let script = args.first().copied().unwrap_or_default().to_owned();
                if args.len() > 1 && script != "-" {
                    self.script(&script, self.shell, scope);
                }
                Output::text("")
            }
            "su" | "script" | "runuser" => {
                for script in owned(option_values(&args, &["-c", "--command", "--session-command"]))
                {
                    let mut scope = scope.clone();
                    scope.via.push(program.to_owned());
                    self.script(&script, Shell::Posix, &scope);
                }
                self.classify(program, argv, scope);
                Output::default()
            }
            "xargs" => self.xargs(argv, scope),
            "parallel" => self.parallel(argv, scope),
            "find" | "gfind" | "fd" | "fdfind" => self.find(program, argv, scope),
            "ssh" | "autossh" | "mosh" | "sshpass" => self.ssh(program, argv, scope),
            "docker" | "podman" | "nerdctl" | "docker-compose" | "podman-compose" | "finch" => {
                return self.container(program, argv, scope);
            }
            "kubectl" | "oc" | "k" | "k3s" => {
                let at = args.iter().position(|arg| *arg == "--")?;
                args[..at]
                    .iter()
                    .any(|arg| matches!(*arg, "exec" | "run" | "debug"))
                    .then_some(())?;
                self.classify(program, &argv[..at], scope);
                self.via(program, argv[at + 1..].to_vec(), scope)
            }
            "cmd" => self.windows_prompt(argv, scope),
            "powershell" | "pwsh" => self.windows_shell(argv, scope),
            "Invoke-Expression" | "iex" | "Invoke-Command" => {
                let network = scope.stdin.as_ref().is_some_and(|stdin| stdin.network);
                let completion = self.parts.iter().any(|part| {
                    part.args.iter().any(|arg| arg.contains("completion") || arg == "hook")
                });
                if argv.is_empty() && completion && !network {
                    self.record(program, argv, scope);
                    self.raise_last(CommandEffect::Change, "shell-setup");
                } else if network
                    || argv.iter().any(|field| field.network || !field.is_known())
                    || argv.is_empty()
                {
                    self.unknown_script(program, argv, scope);
                } else {
                    let script = join(argv);
                    self.script(&script, Shell::PowerShell, scope);
                }
                Output::default()
            }
            "git" => {
                self.git_scripts(&args, scope);
                return None;
            }
            "tar" | "gtar" => {
                let names = ["--to-command", "--checkpoint-action", "--use-compress-program", "-I"];
                for value in owned(option_values(&args, &names)) {
                    let script = value.strip_prefix("exec=").unwrap_or(&value).to_owned();
                    self.script(&script, Shell::Posix, scope);
                }
                return None;
            }
            "fly" | "flyctl" | "az" | "make" | "gmake" | "vim" | "nvim" | "vi" | "ed" | "tmux"
            | "screen" | "expect" | "gcloud" | "nix-shell" | "nix" | "rsync" | "scp" | "sftp"
            | "crontab" | "at" | "batch" => {
                self.option_scripts(program, &args, scope);
                return None;
            }
            "ForEach-Object" | "foreach" | "%" | "Where-Object" | "Start-Process" | "saps" => {
                return None;
            }
            _ => return None,
        };
        Some(output)
    }

    pub(crate) fn via(&mut self, program: &str, argv: Vec<Field>, scope: &Scope) -> Output {
        let mut scope = scope.clone();
        scope.via.push(program.to_owned());
        self.invoke(argv, &scope)
    }

    pub(crate) fn unknown_script(&mut self, program: &str, argv: &[Field], scope: &Scope) {
        self.fault(Unparsed::UnknownScript);
        self.record(program, argv, scope);
        if let Some(part) = self.parts.last_mut() {
            part.raise(CommandEffect::Unparsed, "unknown-script");
        }
    }

    fn ssh(&mut self, program: &str, argv: &[Field], scope: &Scope) -> Output {
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        if program == "sshpass" {
            let at = first_operand(&args, &["-p", "-f", "-P", "-e", "-d"], false);
            return self.via(program, argv.get(at..).unwrap_or_default().to_vec(), scope);
        }
        for option in owned(option_values(&args, &["-o"])) {
            let (name, value) = option.split_once(['=', ' ']).unwrap_or((&option, ""));
            if matches!(
                name.to_ascii_lowercase().as_str(),
                "proxycommand" | "localcommand" | "knownhostscommand"
            ) {
                self.script(value, Shell::Posix, scope);
            }
        }
        let mut at = first_operand(&args, SSH_VALUES, false);
        // Options may also follow the host.
        at += 1;
        at += first_operand(args.get(at..).unwrap_or_default(), SSH_VALUES, false);
        let secret = self.classify(program, &argv[..at.min(argv.len())], scope);
        let rest = argv.get(at..).unwrap_or_default();
        if !rest.is_empty() {
            let script = join(rest);
            let place = std::mem::take(&mut self.place);
            self.place = Place { cwd: "~".to_owned(), ..Place::default() };
            let mut inner = scope.clone();
            inner.via.push(program.to_owned());
            inner.writes.clear();
            self.script(&script, Shell::Posix, &inner);
            self.place = place;
        }
        Output { network: true, secret, ..Output::default() }
    }

    fn container(&mut self, program: &str, argv: &[Field], scope: &Scope) -> Option<Output> {
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        let verb = args.iter().position(|arg| matches!(*arg, "exec" | "run"))?;
        let ahead = args[..verb].iter().filter(|arg| !arg.starts_with('-')).count();
        if ahead > 6 {
            return None;
        }
        let rest = &args[verb + 1..];
        let operand = verb + 1 + first_operand(rest, CONTAINER_VALUES, false);
        let start = operand + 1;
        self.classify(program, &argv[..start.min(argv.len())], scope);
        let mut inner = argv.get(start..).unwrap_or_default().to_vec();
        if let Some(entry) = option_values(rest, &["--entrypoint"]).first() {
            inner.insert(0, Field::new(*entry));
        }
        if inner.is_empty() || inner[0].text.starts_with('-') {
            return Some(Output::default());
        }
        // Paths inside a container are its own; `/app` is as good as a workspace.
        let place = self.place.clone();
        self.place = Place { cwd: ".".to_owned(), ..Place::default() };
        let output = self.via(program, inner, &Scope { writes: Vec::new(), ..scope.clone() });
        self.place = place;
        Some(output)
    }

    fn git_scripts(&mut self, args: &[&str], scope: &Scope) {
        let mut scripts = Vec::new();
        for setting in option_values(args, &["-c"]) {
            let Some((key, value)) = setting.split_once('=') else { continue };
            let key = key.to_ascii_lowercase();
            if let Some(script) = value.strip_prefix('!') {
                scripts.push(script.to_owned());
            } else if key.starts_with("alias.") {
                scripts.push(format!("git {value}"));
            } else if [
                "pager",
                "editor",
                "sshcommand",
                "external",
                "cmd",
                "fsmonitor",
                "textconv",
                "helper",
                "askpass",
            ]
            .iter()
            .any(|end| key.ends_with(end))
            {
                scripts.push(value.to_owned());
            }
        }
        if args.first() == Some(&"submodule") && args.get(1) == Some(&"foreach") {
            let script = args[2..].iter().filter(|arg| !arg.starts_with("--")).copied();
            scripts.push(script.collect::<Vec<_>>().join(" "));
        }
        if args.first() == Some(&"rebase") {
            scripts.extend(owned(option_values(args, &["-x", "--exec"])));
        }
        for script in scripts {
            self.script(&script, Shell::Posix, scope);
        }
    }

    fn option_scripts(&mut self, program: &str, args: &[&str], scope: &Scope) {
        let scripts: Vec<String> = match program {
            "make" | "gmake" => Vec::new(),
            "vim" | "nvim" | "vi" => option_values(args, &["-c", "--cmd"])
                .into_iter()
                .chain(args.iter().filter_map(|arg| arg.strip_prefix('+')))
                .filter_map(|text| text.trim_start_matches(':').strip_prefix('!'))
                .map(str::to_owned)
                .collect(),
            "gcloud" => owned(option_values(args, &["--command"])),
            "fly" | "flyctl" if args.contains(&"ssh") => {
                owned(option_values(args, &["-C", "--command"]))
            }
            "az" if args.contains(&"run-command") => owned(option_values(args, &["--scripts"])),
            "nix-shell" => owned(option_values(args, &["--run", "--command"])),
            "nix" => {
                let at = args.iter().position(|arg| matches!(*arg, "-c" | "--command"));
                at.map(|at| args[at + 1..].join(" ")).into_iter().collect()
            }
            "tmux" | "screen" => {
                let start = args.iter().position(|arg| {
                    matches!(
                        *arg,
                        "send-keys"
                            | "send"
                            | "new-session"
                            | "new"
                            | "split-window"
                            | "run-shell"
                            | "run"
                            | "new-window"
                            | "neww"
                            | "stuff"
                            | "-dm"
                            | "-dmS"
                    )
                });
                let words = start.map(|at| &args[at + 1..]).unwrap_or_default();
                words
                    .iter()
                    .filter(|word| word.contains(' '))
                    .map(|word| (*word).to_owned())
                    .collect()
            }
            "rsync" => option_values(args, &["-e", "--rsh"])
                .into_iter()
                .filter(|script| !script.trim_start().starts_with("ssh"))
                .map(str::to_owned)
                .collect(),
            "at" | "batch" => {
                scope.stdin.as_ref().and_then(|stdin| stdin.text.clone()).into_iter().collect()
            }
            _ => Vec::new(),
        };
        for script in scripts {
            self.script(&script, Shell::Posix, scope);
        }
    }
}

fn owned(values: Vec<&str>) -> Vec<String> {
    values.into_iter().map(str::to_owned).collect()
}
