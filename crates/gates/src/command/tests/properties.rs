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
    match way % 9 {
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
        _ => format!("{left}${{unset_variable:-}}{right}"),
    }
}

/// Ways that also take several commands.
const OUTER: &[u8] = &[0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 13];

/// Ways to write a whole command.
fn whole(text: &str, way: u8) -> String {
    let quoted = text.replace('\'', "'\\''");
    match way % 16 {
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
        12 => {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(text);
            format!("echo {encoded} | base64 -d | sh")
        }
        13 => format!("printf '%s' '{quoted}' | bash"),
        14 => format!("for i in 1; do {text}; done"),
        _ => format!("nohup {text} > /dev/null 2>&1 &"),
    }
}

fn judge(text: &str) -> Assessment {
    assess(text, &CommandContext::default())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_spelling_gets_the_same_verdict(
        command in 0..COMMANDS.len(),
        ways in prop::collection::vec(0u8..9, 5),
        frame in 0u8..16,
        outer in prop::sample::select(OUTER),
        field_separator in any::<bool>(),
        variable in any::<bool>(),
    ) {
        let words = COMMANDS[command];
        let plain = judge(&words.join(" "));
        let separator = if field_separator { "${IFS}" } else { " " };
        let mut spelled: Vec<String> =
            words.iter().zip(ways.iter().cycle()).map(|(text, way)| word(text, *way)).collect();
        if variable {
            spelled[0] = "$p".to_owned();
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

pub(super) const SOUP: &[&str] = &[
    "$(",
    ")",
    "`",
    "'",
    "\"",
    "\\",
    "\n",
    " ",
    ";",
    "|",
    "&&",
    "||",
    "&",
    "<<EOF\n",
    "EOF\n",
    "<<<",
    ">",
    ">>",
    "2>&1",
    "<(",
    ">(",
    "{",
    "}",
    "{a,b}",
    "${",
    "${x:-",
    "$x",
    "x=",
    "$((",
    "))",
    "(",
    "if ",
    "then ",
    "fi ",
    "for i in ",
    "do ",
    "done ",
    "case x in ",
    "esac ",
    "f() ",
    "function g ",
    "rm -rf ",
    "git ",
    "push ",
    "bash -c ",
    "eval ",
    "xargs ",
    "find . -exec ",
    "{} \\; ",
    "sudo ",
    "env ",
    "ssh h ",
    "base64 -d ",
    "echo ",
    "printf ",
    "/",
    "~",
    "*",
    "é",
    "\u{e000}",
    "\0",
    "\r\n",
    "%",
    "^",
    "#",
    "!",
    "[[",
    "]]",
    "~/",
    "..",
    "-",
    "--",
    "python -c ",
    "os.system(",
    "docker run ",
    "parallel ",
    ":::",
    "tr a-z b-a ",
    "$'\\x41",
    "@",
    "=",
];
