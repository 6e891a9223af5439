//! Properties over generated commands: every spelling gets the same verdict, and no input is too much.

use proptest::prelude::*;

use crate::command::{Assessment, CommandContext, CommandEffect, Shell, assess};

/// Commands with words that a spelling may change.
const COMMANDS: &[&[&str]] = &[
    &["git", "push", "--force", "origin", "main"],
    &["git", "reset", "--hard", "HEAD~1"],
    &["rm", "-rf", "/etc"],
    &["terraform", "destroy", "-auto-approve"],
    &["kubectl", "delete", "ns", "production"],
    &["npm", "publish"],
    &["dropdb", "app"],
    &["shutdown", "-h", "now"],
    &["docker", "system", "prune", "-af"],
    &["cat", "/home/me/.ssh/id_rsa"],
];

/// Ways to write one word.
fn word(text: &str, way: u8) -> String {
    let middle = text.len() / 2;
    let (left, right) = text.split_at(middle);
    let encoded = || {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    match way % WORD_WAYS {
        0 => text.to_owned(),
        1 => format!("'{text}'"),
        2 => format!("\"{text}\""),
        3 => format!("{left}''{right}"),
        4 => format!("{left}\"{right}\""),
        5 => text.chars().map(|c| format!("\\{c}")).collect(),
        6 => format!("{left}\\\n{right}"),
        7 => {
            let hex: String = text.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("$'{hex}'")
        }
        8 => format!("{left}${{unset_variable:-}}{right}"),
        9 => format!("{left}$(){right}"),
        10 => format!("{left}``{right}"),
        11 => format!("$\"{text}\""),
        12 => format!("$'{}'", text.bytes().map(|b| format!("\\{b:03o}")).collect::<String>()),
        13 => format!("$'{}'", text.bytes().map(|b| format!("\\u{b:04x}")).collect::<String>()),
        14 => format!("${{unset_variable:-{text}}}"),
        15 => format!("$(echo {} | base64 -d)", encoded()),
        16 => format!("$(printf '%s%s' '{left}' '{right}')"),
        17 => format!("$(echo '{}' | rev)", text.chars().rev().collect::<String>()),
        18 => format!("{left}$''\"\"{right}"),
        _ => format!("`echo {text}`"),
    }
}

const WORD_WAYS: u8 = 20;

/// Ways to name a program.
fn program(name: &str, way: u8) -> String {
    match way % PROGRAM_WAYS {
        0 => name.to_owned(),
        1 => format!("/usr/bin/{name}"),
        2 => format!("\\{name}"),
        3 => format!("command {name}"),
        4 => format!("builtin command -- {name}"),
        5 => format!("exec {name}"),
        6 => format!("env -i PATH=/bin {name}"),
        7 => format!("/usr/bin/env {name}"),
        8 => format!("./../../bin//{name}"),
        9 => format!("/usr/bin/{}?", &name[..name.len() - 1]),
        10 => format!("{}*", &name[..name.len() - 1]),
        11 => format!("[{}]{}", &name[..1], &name[1..]),
        12 => format!("$(which {name})"),
        13 => format!("''{name}"),
        14 => format!("time -p {name}"),
        _ => format!("{name}.exe"),
    }
}

const PROGRAM_WAYS: u8 = 16;

/// Ways that also take several commands.
const OUTER: &[u8] = &[0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25];

/// Ways to write a whole command.
fn whole(text: &str, way: u8) -> String {
    let quoted = text.replace('\'', "'\\''");
    let encoded = || {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    match way % FRAMES {
        0 => text.to_owned(),
        1 => format!("bash -c '{quoted}'"),
        2 => format!("eval '{quoted}'"),
        3 => format!("echo ok && {text}"),
        4 => format!("({text})"),
        5 => format!("true; {{ {text}; }}"),
        6 => format!("env A=b nice -n 5 timeout 10 {text}"),
        7 => format!("bash <<'END'\n{text}\nEND"),
        8 => format!("sh <<< '{quoted}'"),
        9 => format!("echo $( {text} )"),
        10 => format!("f() {{ {text}; }}; f"),
        11 => format!("if true; then {text}; fi"),
        12 => format!("echo {} | base64 -d | sh", encoded()),
        13 => format!("printf '%s' '{quoted}' | bash"),
        14 => format!("for i in 1; do {text}; done"),
        15 => format!("nohup {text} > /dev/null 2>&1 &"),
        16 => format!("eval \"$(echo {} | base64 --decode)\"", encoded()),
        17 => format!("bash -c \"$(echo {} | base64 -d)\"", encoded()),
        18 => format!("source <(echo {} | base64 -d)", encoded()),
        19 => format!(". /dev/stdin <<< '{quoted}'"),
        20 => {
            let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            format!("echo {hex} | xxd -r -p | bash")
        }
        21 => {
            let octal: String = text.bytes().map(|byte| format!("\\{byte:03o}")).collect();
            format!("printf '{octal}' | sh")
        }
        22 => format!("trap '{quoted}' EXIT"),
        23 => format!("sh -c '{quoted}' _ a b"),
        24 => format!("if false; then :; else {text}; fi"),
        25 => format!("c='{quoted}'; eval \"$c\""),
        26 => format!("while true; do {text}; break; done"),
        27 => format!("[ -n x ] && {text} || true"),
        28 => format!("timeout -k 5 10 {text}"),
        29 => format!("stdbuf -oL setsid {text}"),
        _ => format!("echo x | xargs -I@@ sh -c '{quoted}'"),
    }
}

const FRAMES: u8 = 31;

fn judge(text: &str) -> Assessment {
    assess(text, &CommandContext::default())
}

/// Ways to put the words of a command together.
fn assembled(words: &[&str]) -> Vec<String> {
    let joined = words.join(" ");
    let (name, rest) = (words[0], words[1..].join(" "));
    vec![
        format!("{{{}}}", words.join(",")),
        format!("a=({joined}); \"${{a[@]}}\""),
        format!("set -- {joined}; \"$@\""),
        format!("read -r c <<< '{joined}'; $c"),
        format!("alias zz='{name}'; zz {rest}"),
        format!("alias zz='{joined}'\nzz"),
        format!("f() {{ \"$@\"; }}; f {joined}"),
        format!("f() {{ {name} \"$@\"; }}; f {rest}"),
        format!("echo {rest} | xargs {name}"),
        format!("printf '%s\\n' '{joined}' | parallel"),
        format!("x={name} y='{rest}'; $x $y"),
        format!("export x={name}; $x {rest}"),
        format!("x={}; x+={}; $x {rest}", &name[..1], &name[1..]),
        format!("declare x={name}; \"$x\" {rest}"),
        format!("x={name}; ${{x}} {rest}"),
        format!("y={name}; x=y; ${{!x}} {rest}"),
        format!("x=X{name}; ${{x#X}} {rest}"),
        format!("x=A{name}; ${{x/A/}} {rest}"),
        format!("{name} \\\n  {rest}"),
        format!("{name}\t\t{rest}"),
        format!("{name} {rest} # harmless"),
        format!("true;{name} {rest}"),
        format!("true\n{name} {rest}\n"),
        format!("true&&{name} {rest}"),
        format!("A=b {name} {rest}"),
        format!("</dev/null {name} {rest}"),
        format!(">/tmp/out {name} {rest}"),
        format!("cat <<< \"$({joined})\""),
        format!("echo \"`{joined}`\""),
        format!("diff <({joined}) /tmp/x"),
        format!("watch -n 1 '{joined}'"),
        format!("script -c '{joined}' /dev/null"),
        format!("find . -maxdepth 0 -exec {joined} \\;"),
        format!("awk 'BEGIN{{system(\"{joined}\")}}'"),
        format!("python3 -c \"import os; os.system('{joined}')\""),
        format!("python3 - <<'E'\nimport subprocess\nsubprocess.run('{joined}', shell=True)\nE"),
        format!("perl -e 'system(\"{joined}\")'"),
        format!("perl -e 'exec \"{joined}\"'"),
        format!("ruby -e 'system(\"{joined}\")'"),
        format!("ruby -e '`{joined}`'"),
        format!("node -e \"require('child_process').execSync('{joined}')\""),
        format!("php -r 'system(\"{joined}\");'"),
        format!("lua -e 'os.execute(\"{joined}\")'"),
        format!("tmux new-session -d '{joined}'"),
        format!("ssh localhost '{joined}'"),
        format!("flock /tmp/lock {joined}"),
        format!("flock /tmp/lock -c '{joined}'"),
        format!("npx -c '{joined}'"),
        format!("git -c alias.zz='!{joined}' zz"),
        format!("bash -ic '{joined}'"),
        format!("zsh -c '{joined}'"),
        format!("bash --norc -c '{joined}'"),
        format!("busybox sh -c '{joined}'"),
        format!("coproc {joined}"),
        format!("{joined} &"),
        format!("( ( {joined} ) )"),
        format!("until {joined}; do :; done"),
        format!("if {joined}; then :; fi"),
        format!("for i in a b; do {joined}; done"),
        format!("select i in a; do {joined}; done"),
        format!("function f {{ {joined}; }}; f"),
        format!("cmd /c {joined}"),
    ]
}

#[test]
fn a_command_put_together_gets_the_verdict_of_the_plain_one() {
    let mut wrong = Vec::new();
    for words in COMMANDS {
        let plain = judge(&words.join(" ")).effect;
        for text in assembled(words) {
            let found = judge(&text);
            if !found.has(plain) && !found.has(CommandEffect::Unparsed) {
                wrong.push(format!("{text:?}: {:?} instead of {plain:?}", found.effects));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_spelling_gets_the_same_verdict(
        command in 0..COMMANDS.len(),
        ways in prop::collection::vec(0..WORD_WAYS, 5),
        start in 0..PROGRAM_WAYS,
        frame in 0..FRAMES,
        outer in prop::sample::select(OUTER),
        field_separator in any::<bool>(),
        variable in any::<bool>(),
    ) {
        let words = COMMANDS[command];
        let plain = judge(&words.join(" "));
        // In front of a program there are words that a shell splits only where they are written.
        let separator = if field_separator && start == 0 { "${IFS}" } else { " " };
        let mut spelled: Vec<String> =
            words.iter().zip(ways.iter().cycle()).map(|(text, way)| word(text, *way)).collect();
        if variable {
            spelled[0] = "$p".to_owned();
        } else if start > 0 {
            spelled[0] = program(words[0], start);
        }
        let mut text = spelled.join(separator);
        if variable {
            text = format!("p={}; {text}", words[0]);
        }
        let text = whole(&whole(&text, frame), outer);
        let found = judge(&text);
        prop_assert!(
            found.has(plain.effect) || found.has(CommandEffect::Unparsed),
            "{text:?}: {:?} instead of {:?}",
            found.effects,
            plain.effects
        );
    }

    #[test]
    fn any_text_is_judged_within_the_budget(text in "\\PC{0,200}", shell in 0u8..4) {
        let shell = [None, Some(Shell::Posix), Some(Shell::PowerShell), Some(Shell::Cmd)][usize::from(shell)];
        let found = assess(&text, &CommandContext { shell, ..CommandContext::default() });
        prop_assert!(found.steps <= super::super::budget::MAX_STEPS);
    }

    #[test]
    fn token_soup_is_judged_within_the_budget(
        tokens in prop::collection::vec(prop::sample::select(SOUP), 0..60),
        shell in 0u8..4,
    ) {
        let text = tokens.concat();
        let shell = [None, Some(Shell::Posix), Some(Shell::PowerShell), Some(Shell::Cmd)][usize::from(shell)];
        let context = CommandContext {
            cwd: Some("/home/me/project"),
            workspace: Some("/home/me/project"),
            home: Some("/home/me"),
            shell,
        };
        let found = assess(&text, &context);
        prop_assert!(found.steps <= super::super::budget::MAX_STEPS);
        prop_assert_eq!(found.effects, assess(&text, &context).effects);
    }
}

pub(super) const SOUP: &[&str] = include!("pieces.in");
