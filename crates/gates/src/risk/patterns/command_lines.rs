//! Command lines: what a shell would run, and the tricks that hide it.

use super::shown::{is_not_quoted, is_not_shown};
use super::{Hit, PLAIN, Pattern};

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "command_after_separator",
        description: "a command after `;`, `|`, `&` or inside a substitution",
        regex: r#"(?: <sep> [\s+"'({\\]* (?: <cmd> <end> | <cmd> <arg> | <word_cmd> <arg> | (?: / | usr/
            | s?bin/ ) <path_to>? (?: <cmd> | <word_cmd> ) \b
            | (?: id | dir | pwd | hostname | env | w | who ) (?: \s* (?: $ | [;&`"'] ) | \\[nr]
            | /n\b ) | (?: sleep | ping ) \s+ \d
            | (?: whoami | ifconfig | ipconfig | netstat | uname | nslookup | systeminfo
            | sysinfo ) \b )
            | [;|&] (?: <cmd> | id | who | w | env | hostname ) \s | ^ [;&]+ \s* (?: <cmd> | id ) \s
            | (?: ^ | [^\s(,=|] ) \| (?: id | dir | pwd ) \| | [;&] \s* (?: id | dir | pwd | hostname | env
            | who ) \s* \| (?: \s | $ | \\[nr] ) | \| \s* \$ (?: 0\b | \{? (?: SHELL | BASH ) \b )
            | (?: \\[nr] | [\r\n] ) \s* (?: id | <cmd> ) (?: \\[nr] )
            | ^ ["'] \s+ (?: whoami | ifconfig | ipconfig | netstat | uname | systeminfo
            | sysinfo ) \b
            | < (?: id | whoami | hostname | pwd ) (?: \\[nr] | \r ) )"#,
        weight: 0.8,
        accept: Some(is_not_quoted),
        examples: &[
            "a.txt; whoami",
            "x | cat /var/log/app",
            "v=$(uname -r)",
            "1 && curl -s host",
            "q|id",
            "& echo $PATH",
            "a;id|",
            "echo whoami|$0",
            "\\nid\\n",
        ],
        counter_examples: &[
            "read it; find the bug",
            "either | or",
            "tabs & spaces",
            "ids.map(|id| id.len())",
            "Option<&Id>",
            "use wget; it is there",
        ],
        ..PLAIN
    },
    Pattern {
        id: "disguised_command",
        description: "a command name in a spelling that only a shell or a decoder resolves",
        regex: r"(?: \b <cmd> \b | [\n\r] (?: <cmd> | <path_to>? <word_cmd> ) \b )",
        weight: 0.8,
        disguised: true,
        examples: &["u'na'm'e", "wh\"\"oami", "who\u{200b}ami", "%77hoami", "%0aid"],
        counter_examples: &["whoami", "it's a cat", "C:\\cat", "x\nid", "a%20\ncat"],
        ..PLAIN
    },
    Pattern {
        id: "program_path",
        description: "the path of a shell or a system program",
        regex: r#"(?: ^ | [^\w.] ) [/\\]? (?: usr [/\\] (?: local [/\\] )? )? s?bin [/\\] (?: (?: ba | z | k | c | tc
            | da )?sh | <cmd> | <word_cmd> ) (?: <arg> | \s* [;|&`] | \\[nr] )"#,
        weight: 0.6,
        accept: Some(is_not_shown),
        examples: &["run /usr/bin/id;", "/bin/ls -al"],
        counter_examples: &[
            "bin/main.rs",
            "/usr/bin/env is used",
            "/bin/server",
            "newer than /bin/sh",
        ],
        ..PLAIN
    },
    Pattern {
        id: "shell_obfuscation",
        description: "a spelling that only a shell understands (`$IFS`, slices, globs for letters, `<<<`)",
        regex: r#"(?: \$\{?IFS\b | \$\{ \w+ : \d+ : \d+ \} | \$\{ \w+ // | \$\w*@< | <<< \s* ["'$(] | \b (?: <cmd> | tr | rev | tee | source ) \b [^\n<]{0,40} <<< | \$'[^'\n]*\\x
            | % \w+ :~ -?\d+ , | / (?: \w*\?+\w* ){1,4} / [\w?]*\? | (?: ^ | [\s;|&] ) \{, [\w$"']
            | ^\s* \{ [\w/]+, [\w/.,-]+ \}
            | \w \$\( \w+ \s+ \w+ \) \w | \w ` \w+ \s+ \w+ ` \w | \becho \s+ -e \s+ ["'] \\x
            | \bxxd \s+ (?: -\w+ \s+ )* -r | \bbase64 \s+ (?:-d|--decode|-D) \b
            | \btr \s+ '[^'\n]+' \s+ '"
            | \b \w+ = \$? \\? ["'] [^\n;]* \\? ["'] \s* (?: ; | && ) \s* \$\w | \becho \s+ ~[-+] )"#,
        weight: 0.8,
        accept: Some(is_not_shown),
        examples: &[
            "cat$IFS/x",
            "${PATH:0:1}bin",
            "/???/??t x",
            "una$(echo m)e",
            "X=$'id';$X",
            "tr x <<< y",
        ],
        counter_examples: &["${NAME}", "a{b,c}", "what?/why?", "X='a'; y"],
        ..PLAIN
    },
    Pattern {
        id: "command_substitution",
        description: "a command in `$(..)` or backticks",
        regex: r#"(?: \$\( \s* [`"']? \s* (?: <path_to>? (?: <cmd> | <word_cmd> ) ) (?: \s [^)\n]* )? [`"']? \s* \)
            | ` \s* <path_to>? (?: (?: <cmd> | ping | sleep | id | hostname | echo | touch
            | dig ) \s+ [^`\n]+ | whoami | uname | ifconfig | netstat | sysinfo | systeminfo ) \s* ` )"#,
        weight: 0.6,
        accept: Some(is_no_markdown),
        examples: &["$(whoami)", "x`cat /etc/motd`", "$(touch a)", "`ping h`"],
        counter_examples: &[
            "call `id` here",
            "`type Body`",
            "$(RUSTC)",
            "use `python -m venv` to make one",
        ],
        ..PLAIN
    },
];

/// Backticks are the code of a Markdown text as often as a shell's; what tells them apart is a
/// command that nobody shows for reading, and that the first of them opens.
fn is_no_markdown(hit: &Hit<'_>) -> bool {
    if hit.value().starts_with(b"$") {
        return is_not_quoted(hit);
    }
    let inside = hit.value().strip_prefix(b"`").unwrap_or(b"").trim_ascii_start();
    let shown: [&[u8]; 10] =
        [b"python", b"grep", b"sh ", b"bash ", b"git", b"php", b"ruby", b"sed", b"awk", b"echo"];
    // Far back enough for a sentence, and no further, whatever the text.
    let near = &hit.text[hit.start.saturating_sub(1_000)..hit.start];
    let line = near.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let opens = line.iter().filter(|byte| **byte == b'`').count() % 2 == 0;
    opens && !shown.iter().any(|start| inside.starts_with(start))
}
