//! Judges one program with its arguments, input and redirects.

use super::assessment::{Invocation, Target};
use super::effect::{CommandEffect, TargetClass};
use super::evaluate::{Evaluator, Scope};
use super::expand::Field;
use super::pack::PACK;
use super::syntax::RedirectKind;
use super::wrappers::option_values;
use super::{generic, http, sql};

/// Most targets and arguments kept of one invocation.
const MAX_TARGETS: usize = 64;

/// Clients whose arguments and input are SQL.
const SQL: &[&str] = &[
    "psql",
    "mysql",
    "mariadb",
    "sqlite3",
    "sqlite",
    "sqlcmd",
    "duckdb",
    "clickhouse-client",
    "clickhouse",
    "cqlsh",
    "snowsql",
    "spark-sql",
    "hive",
    "beeline",
    "trino",
    "presto",
    "bq",
    "cockroach",
    "turso",
    "pgcli",
    "mycli",
    "litecli",
    "sqlplus",
    "isql",
    "supabase",
    "wrangler",
    "pscale",
    "influx",
    "heroku",
    "fly",
    "flyctl",
    "prisma",
    "cockroach-sql",
    "usql",
    "mssql-cli",
    "libsql",
];

impl Evaluator {
    /// The bare record of a program, with its targets and redirects and no judgment.
    pub(crate) fn record(&mut self, program: &str, argv: &[Field], scope: &Scope) {
        let part = self.invocation(program, argv, scope);
        self.parts.push(part);
    }

    /// Judges and records a program. Whether what it prints holds credentials.
    pub(crate) fn classify(&mut self, program: &str, argv: &[Field], scope: &Scope) -> bool {
        let mut part = self.invocation(program, argv, scope);
        let help = generic::asks_for_help(&part);
        if !help {
            self.judge(&mut part, argv, scope);
        }
        let reads = !help && self.judge_secrets(&mut part, argv, scope);
        self.judge_writes(&mut part, scope);
        self.parts.push(part);
        if !help {
            self.interpret(program, argv, scope);
        }
        reads
    }

    /// Records redirects without a program: `> file` empties the file.
    pub(crate) fn note_writes(&mut self, scope: &Scope) {
        if !scope.writes.is_empty() {
            let mut part = self.invocation("", &[], scope);
            self.judge_writes(&mut part, scope);
            self.parts.push(part);
        }
    }

    fn invocation(&self, program: &str, argv: &[Field], scope: &Scope) -> Invocation {
        let values = PACK.values(program);
        let mut part = Invocation {
            program: program.to_owned(),
            via: scope.via.clone(),
            span: scope.span,
            pipe_from: scope.stdin.as_ref().map(|stdin| stdin.programs.clone()).unwrap_or_default(),
            ..Invocation::default()
        };
        let mut options = true;
        let mut value = false;
        // A `--` before the subcommand ends nothing that matters.
        let argv = match argv {
            [first, rest @ ..] if first.text == "--" && program == "git" => rest,
            _ => argv,
        };
        for field in argv {
            let text = field.text.as_str();
            let shown = field.shown();
            let mut target = Some(text);
            if value {
                value = false;
                target = target.filter(|text| text.contains(['/', '.', '~', ':', '\\']));
            } else if options && text == "--" {
                options = false;
                target = None;
            } else if options && text.len() > 1 && text.starts_with('-') {
                value = values.iter().any(|name| name == text);
                target = text.split_once('=').map(|(_, value)| value);
                part.flags.push(shown.clone());
            } else {
                if let Some((name, path)) = text.split_once('=')
                    && name.chars().all(|c| c.is_ascii_alphabetic())
                {
                    target = Some(path);
                }
                part.subcommand.push(shown.clone());
            }
            if let Some(text) = target.filter(|text| !text.is_empty() && text.len() < 4096)
                && part.targets.len() < MAX_TARGETS
            {
                let class = self.place.class(text);
                part.targets
                    .push(Target { text: text.replace(super::targets::UNKNOWN, "$"), class });
            }
            part.args.push(shown);
        }
        for (_, field) in &scope.writes {
            let class = self.place.class(&field.text);
            part.redirects.push(Target { text: field.shown(), class });
        }
        part
    }

    fn judge(&mut self, part: &mut Invocation, argv: &[Field], scope: &Scope) {
        let program = part.program.clone();
        if http::CLIENTS.contains(&program.as_str()) {
            http::judge(part);
        }
        let second = part.args.first().map(String::as_str).unwrap_or_default();
        if sql::is_statement(&program, second) {
            let text = format!("{program} {}", part.args.join(" "));
            raise_sql(part, &text);
            return;
        }
        if SQL.contains(&program.as_str()) {
            for arg in part
                .args
                .iter()
                .filter(|arg| arg.contains([' ', ';']) || arg.contains("drop"))
                .cloned()
                .collect::<Vec<_>>()
            {
                let text = arg
                    .split_once('=')
                    .filter(|_| arg.starts_with("--"))
                    .map_or(arg.as_str(), |(_, sql)| sql);
                raise_sql(part, text);
            }
            if let Some(text) = scope.stdin.as_ref().and_then(|stdin| stdin.text.as_deref()) {
                raise_sql(part, text);
            }
        }
        match program.as_str() {
            "redis-cli" | "valkey-cli" | "keydb-cli" => {
                let mut effect = sql::redis(&part.subcommand);
                if let Some(text) = scope.stdin.as_ref().and_then(|stdin| stdin.text.as_deref()) {
                    for line in text.lines() {
                        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
                        effect = effect.max(sql::redis(&words));
                    }
                }
                part.raise(effect, "redis");
            }
            "mongo" | "mongosh" => {
                let texts: Vec<_> = part.args.clone();
                let stdin = scope.stdin.as_ref().and_then(|stdin| stdin.text.clone());
                for text in texts.iter().chain(stdin.as_ref()) {
                    part.raise(sql::mongo(text), "mongo");
                }
            }
            _ => {}
        }
        let before = part.effect;
        let rule = part.rule.clone();
        PACK.judge(part);
        self.judge_operands(part, argv, scope);
        match PACK.usual(&program) {
            Some(effect) if part.rule.is_none() => part.raise(effect, "usual"),
            None if part.rule.is_none() => {
                generic::judge(part);
                let values: Vec<&str> = part.args.iter().map(String::as_str).collect();
                let names = ["--command", "--execute", "--query", "--sql", "--eval"];
                let effect = option_values(&values, &names).into_iter().map(sql::effect).max();
                let effect = effect.filter(|effect| *effect > CommandEffect::Change);
                match effect {
                    Some(effect) => part.raise(effect, "sql"),
                    // What an unknown program does is not known to be harmless.
                    None => part.raise(CommandEffect::Change, "usual"),
                }
            }
            _ => {}
        }
        if part.effect > before && generic::rehearses(part) {
            part.effect = before;
            part.rule = rule;
        }
        if part.rule.as_deref() == Some("usual") {
            part.rule = None;
        }
    }

    /// Destinations of programs that write files.
    fn judge_operands(&self, part: &mut Invocation, argv: &[Field], scope: &Scope) {
        let operands: Vec<&Field> =
            argv.iter().filter(|field| !field.text.starts_with('-')).collect();
        if matches!(part.program.as_str(), "Remove-Item" | "ri")
            && !part.pipe_from.is_empty()
            && operands.is_empty()
        {
            part.raise(CommandEffect::Destroy, "remove-piped");
        }
        let in_place =
            part.flags.iter().any(|flag| flag.starts_with("-i") || flag.starts_with("--in-place"));
        let destinations: Vec<&Field> = match part.program.as_str() {
            "cp" | "mv" | "install" | "ln" | "Copy-Item" | "Move-Item" | "copy" | "move"
            | "xcopy" | "rsync" => {
                operands.last().copied().into_iter().filter(|_| operands.len() > 1).collect()
            }
            "tee" | "Set-Content" | "Out-File" | "Add-Content" | "Tee-Object" | "sponge" => {
                operands
            }
            "sed" | "perl" | "ruby" | "gsed" if in_place => operands.into_iter().skip(1).collect(),
            _ => return,
        };
        for field in destinations {
            let append = part.flags.iter().any(|flag| flag.starts_with("-a"));
            let kind = if append { RedirectKind::Append } else { RedirectKind::Write };
            self.judge_write(part, kind, &field.text);
        }
        let _ = scope;
    }

    fn judge_writes(&self, part: &mut Invocation, scope: &Scope) {
        for (kind, field) in &scope.writes {
            self.judge_write(part, *kind, &field.text);
            part.raise(CommandEffect::Change, "writes");
            let class = self.place.class(&field.text);
            let empties = *kind == RedirectKind::Write
                && (matches!(part.program.as_str(), "" | ":" | "true")
                    || prints_nothing(part)
                    || (part.program == "cat" && part.args.iter().any(|arg| arg == "/dev/null")));
            let kept = !matches!(
                class,
                TargetClass::Temporary | TargetClass::Build | TargetClass::Unknown
            );
            if empties && kept {
                part.raise(CommandEffect::Destroy, "empties-file");
            }
        }
        let null = |text: &str| {
            self.place.class(text) == TargetClass::Temporary && text.starts_with("/dev/")
        };
        if part.effect == CommandEffect::Change
            && part.rule.as_deref() == Some("writes")
            && scope.writes.iter().all(|(_, field)| null(&field.text))
        {
            part.effect = CommandEffect::Read;
            part.rule = None;
        }
    }

    pub(crate) fn judge_write(&self, part: &mut Invocation, kind: RedirectKind, path: &str) {
        let full = self.place.full(path);
        if persists(&full) {
            part.raise(CommandEffect::Escalate, "persistence");
        }
        match self.place.class(path) {
            TargetClass::System | TargetClass::Root | TargetClass::Device => {
                part.raise(CommandEffect::Destroy, "writes-system");
            }
            TargetClass::Remote if full.starts_with("/dev/") => {
                part.raise(CommandEffect::Exfiltrate, "network-redirect");
            }
            _ if part.program == "mv" && full == "/dev/null" => {
                part.raise(CommandEffect::Destroy, "moves-to-null");
            }
            _ => {}
        }
        let _ = kind;
    }
}

/// `echo -n > file` and `printf '' > file` leave an empty file.
fn prints_nothing(part: &Invocation) -> bool {
    match part.program.as_str() {
        "echo" => {
            part.args == ["-n"]
                || (part.args.len() == 2 && part.args[0] == "-n" && part.args[1].is_empty())
        }
        "printf" => part.args.len() == 1 && part.args[0].is_empty(),
        _ => false,
    }
}

fn raise_sql(part: &mut Invocation, text: &str) {
    let effect = sql::effect(text);
    if effect > CommandEffect::Read {
        part.raise(effect, "sql");
    }
}

/// Files that run again later, or that grant access.
fn persists(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let home = matches!(
        name,
        ".bashrc"
            | ".zshrc"
            | ".profile"
            | ".bash_profile"
            | ".zprofile"
            | ".zshenv"
            | ".bash_login"
            | ".zlogin"
            | ".bash_logout"
            | ".kshrc"
            | ".cshrc"
            | "config.fish"
            | "authorized_keys"
            | ".xinitrc"
            | ".xprofile"
            | ".gitconfig"
            | "Microsoft.PowerShell_profile.ps1"
            | ".envrc-global"
    );
    home || [
        "/etc/cron",
        "/var/spool/cron",
        "/etc/systemd/",
        "/.config/systemd/",
        "/lib/systemd/",
        "/.config/autostart/",
        "/LaunchAgents",
        "/LaunchDaemons",
        "/etc/rc.local",
        "/etc/profile",
        "/etc/ld.so.preload",
        "/etc/sudoers",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/group",
        "/etc/pam.d",
        "/etc/init.d",
        "/etc/ssh/",
        "/.ssh/config",
        "/.ssh/rc",
        "/etc/bash.bashrc",
        "/etc/environment",
        "/Startup/",
        "/proc/sys/",
        "/proc/sysrq-trigger",
        "/sys/kernel",
        "/etc/modules",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/etc/apt/",
        "/etc/ld.so.conf",
    ]
    .iter()
    .any(|part| path.contains(part))
        || path.contains(".git/hooks/")
}
