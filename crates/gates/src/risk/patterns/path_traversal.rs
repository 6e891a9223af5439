//! Paths that climb out of their directory, or name what only the system should read.

use super::shown::{is_not_shown, is_used_parent};
use super::{PLAIN, Pattern};

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "parent_dir",
        description: "`..` as a part of a path, plain or encoded",
        regex: r"(?: ^ | [^.\w)\]] | ^[a-z]{0,40} | A ) \.\. [\x00-\x20;?%]* [/\\] | [/\\] \.\. (?: $
            | [/\\\s;?\#&\x22'\x00%] ) | \.\. [/\\] \.\.",
        weight: 0.7,
        accept: Some(is_used_parent),
        examples: &["../x", "a/../b", "..\\..\\x", "%2e%2e%2fx", "..;/x", "x/.."],
        counter_examples: &["1..2", "wait... /etc", "a..b", "[..]/x", "and so on..."],
        ..PLAIN
    },
    Pattern {
        id: "parent_dir_mangled",
        description: "`..` in a spelling that a filter turns into one (`....//`, `0x2e`, `..2f`)",
        regex: r"(?: \.{3,} [/\\]+ (?: \. | / | \\ ) | \.{4,} [/\\] | (?: 0x2e ){1,2} | \.\. 0x (?: 2f | 5c )
            | \.\. (?: 2f | 5c ) (?: \.\. | [a-z] ) | (?: \.\? | \?\. | \?\? ) [/\\%]
            | \. [/\\]+ \. [/\\]+ \. [/\\]
            | \.\.[\x01-\x1f]+ [/\\] | \. \x00 \. | \.\./?\.\.?[/\\] | \.\\/\\?\. )",
        weight: 0.6,
        accept: Some(is_not_shown),
        examples: &["....//etc", "0x2e0x2e/x", "..2f..2fx", ".\\./.\\./x", "??/etc"],
        counter_examples: &["read more...", "go test ./...", "0x2f", "what?? no"],
        ..PLAIN
    },
    Pattern {
        id: "reads_system_file",
        description: "a climb over several levels to a file of the system",
        regex: r"(?: \.\. [/\\]+ ){3,} (?: etc [/\\]+ (?: passwd | shadow | sudoers ) | windows [/\\] | winnt [/\\] | boot\.ini
            | proc/self/ | root/ | (?: home/\w+/ )? \.ssh/ )",
        weight: 0.8,
        examples: &["cat ../../../../etc/passwd", "..\\..\\..\\boot.ini"],
        counter_examples: &["../../../src/lib.rs", "/etc/passwd", "../../etc"],
        ..PLAIN
    },
    Pattern {
        id: "edit_outside",
        description: "an edit of a plan whose path leaves the workspace",
        regex: r#"\\? ["'] op \\? ["'] \s* : \s* \\? ["'] \w+ \\? ["'] \s* , \s* \\? ["'] path \\? ["'] \s* : \s* \\? ["']
            [^"'\n]{0,200}? \.\. [/\\]"#,
        weight: 0.7,
        examples: &[r#"{"op": "create", "path": "../outside.md"}"#],
        counter_examples: &[r#"{"path": "../core"}"#, r#"{"op": "create", "path": "docs/a.md"}"#],
        ..PLAIN
    },
    Pattern {
        id: "sensitive_file",
        description: "a file that holds the system's secrets or settings (`/etc/passwd`, `boot.ini`, `.ssh`)",
        regex: r#"(?: (?: ^ | [^\w] | 2f | 5c ) (?: etc | e\?\?|et? ) (?: [/\\]+ | 2f | 5c ) (?: passwd | shadow
            | gshadow | sudoers | master\.passwd | security/ )
            | \b etc [^\s\w]\S{0,23} (?: passwd | shadow ) | [/\\] (?: \.ssh | \.aws | \.gnupg | \.kube
            | \.docker ) [/\\] | \bid_(?:rsa|dsa|ecdsa|ed25519)\b (?:$|\s|["'])
            | [/\\] proc [/\\] (?: self | \d+ | net | version | cmdline ) \b
            | \b (?: boot\.ini | win\.ini | php\.ini%?\x00 | system32 [/\\] (?: config | drivers )
            | repair [/\\] (?: sam | system ) ) \b | [/\\] (?: etc | usr | var | root | home | windows
            | winnt ) [/\\] [\w./\\-]* (?: \x00 | %00 )
            | (?: ^ | [\s/\\] ) \.ht(?:passwd|access) \b )"#,
        weight: 0.6,
        examples: &[
            "see /etc/passwd",
            "cat /etc/shadow",
            "c:\\boot.ini",
            "~/.ssh/id_rsa",
            "/proc/self/environ",
            "etc%2fpasswd",
        ],
        counter_examples: &["/etc/app.conf", "the boot order", "proc macros", "the passwd command"],
        ..PLAIN
    },
    Pattern {
        id: "windows_path",
        description: "an absolute Windows path into the system, or a share (UNC)",
        regex: r#"(?: \b [a-z]: [\\/]+ (?: windows | winnt | boot | inetpub | program | documents | users | xampp
            | apache | mysql | php | temp | autoexec | pagefile | sysprep | wamp | home | log
            | www ) \b? | (?: ^ | [\s"'(=,] ) \\\\ [\w.-]+ (?: @ \d+ )? \\ [\w$.-]+ | \\\\[?.]\\ )"#,
        weight: 0.5,
        examples: &["C:\\Windows\\x", "c:/inetpub/wwwroot", "\\\\host\\share\\x", "\\\\.\\pipe"],
        counter_examples: &["c: drive", "\\\\ in strings", "http://users", "a:windowsill"],
        ..PLAIN
    },
    Pattern {
        id: "nul_byte",
        description: "a NUL byte, which ends a path early for some readers",
        regex: r"(?: [\w/.\\%] (?: \x00 | %00 ) | \. \w{1,5} \\ (?: 0\b | x00 | u0000 ) | (?: \x00 | %00 ) [\w/.\\] )",
        weight: 0.6,
        examples: &["x.php%00.png", "a.php\\u0000b", "%00/x"],
        counter_examples: &["100%", "\\n", "0x00ff", "b\"foo\\x00\""],
        ..PLAIN
    },
];
