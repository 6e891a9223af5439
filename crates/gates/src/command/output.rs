//! What programs print, where it follows from their arguments and input alone.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::evaluate::{Evaluator, Output, Scope};
use super::expand::Field;
use super::syntax::word::unescape;
use super::targets::UNKNOWN;

/// Longest text that is decoded.
const MAX_DECODED: usize = 48 * 1024;

const NETWORK: &[&str] = &[
    "curl",
    "wget",
    "http",
    "https",
    "xh",
    "aria2c",
    "axel",
    "lynx",
    "w3m",
    "links",
    "nc",
    "ncat",
    "netcat",
    "socat",
    "telnet",
    "ftp",
    "tftp",
    "ssh",
    "Invoke-WebRequest",
    "Invoke-RestMethod",
    "iwr",
    "irm",
    "fetch",
    "GET",
    "lwp-request",
    "dig",
    "nslookup",
];

impl Evaluator {
    pub(crate) fn static_output(&mut self, program: &str, argv: &[Field], scope: &Scope) -> Output {
        let args: Vec<&str> = argv.iter().map(|field| field.text.as_str()).collect();
        let stdin = scope.stdin.as_deref().cloned().unwrap_or_default();
        let mut output = Output {
            text: None,
            network: stdin.network
                || NETWORK.contains(&program)
                || argv.iter().any(|field| field.network),
            secret: stdin.secret || argv.iter().any(|field| field.secret),
            decoded: stdin.decoded,
            token: stdin.token
                || (matches!(program, "echo" | "printf") && argv.iter().any(Field::names_token)),
            file: stdin.file,
            programs: Vec::new(),
        };
        let input = stdin.text.as_deref();
        let text = match program {
            "echo" | "Write-Output" | "Write-Host" => Some(echo(&args)),
            "printf" => printf(&args),
            "cat" | "tac" | "sort" | "uniq" | "tee" | "head" | "tail" | "less" | "more"
            | "Get-Content" | "gc" | "type" => {
                let reads_stdin = args.iter().all(|arg| arg.starts_with('-')) || program == "tee";
                if !reads_stdin {
                    output.file = true;
                }
                let content = argv.iter().find_map(|field| field.content.as_deref());
                if reads_stdin && matches!(program, "cat" | "tee" | "head" | "tail") {
                    input.map(str::to_owned)
                } else {
                    content.map(str::to_owned)
                }
            }
            "base64" | "gbase64" | "base32" => {
                let decodes = args.iter().any(|arg| {
                    matches!(*arg, "-d" | "-D" | "--decode" | "-di" | "-id" | "--decod" | "-dw0")
                });
                if decodes {
                    output.decoded = true;
                    let content = argv.iter().find_map(|field| field.content.as_deref());
                    content.or(input).filter(|_| program != "base32").and_then(from_base64)
                } else {
                    None
                }
            }
            "openssl" => {
                output.decoded |= args.contains(&"-d");
                let base64 = args.contains(&"base64") || args.contains(&"-base64");
                input.filter(|_| base64 && args.contains(&"-d")).and_then(from_base64)
            }
            "xxd" => {
                let reverse = args
                    .iter()
                    .any(|arg| arg.starts_with("-r") || arg.starts_with("-p") && arg.contains('r'));
                output.decoded |= reverse;
                input.filter(|_| reverse).and_then(from_hex)
            }
            "gunzip" | "zcat" | "gzip" | "bzip2" | "bunzip2" | "xz" | "unxz" | "zstd"
            | "uudecode" | "gpg" | "bzcat" | "xzcat" | "lz4" | "brotli" => {
                output.decoded = true;
                None
            }
            "rev" => input.map(|text| {
                text.lines().map(|line| line.chars().rev().collect::<String>() + "\n").collect()
            }),
            "tr" => input.and_then(|text| tr(text, &args)),
            "which" | "whereis" | "type " => {
                args.iter().find(|arg| !arg.starts_with('-')).map(|arg| (*arg).to_owned())
            }
            "command" | "builtin" => {
                args.iter().find(|arg| !arg.starts_with('-')).map(|arg| (*arg).to_owned())
            }
            "mktemp" => Some("/tmp/mktemp.file".to_owned()),
            "dirname" => args.first().map(|arg| match arg.rsplit_once('/') {
                Some((folder, _)) => folder.to_owned(),
                None => ".".to_owned(),
            }),
            "basename" => args.first().map(|arg| arg.rsplit('/').next().unwrap_or(arg).to_owned()),
            "realpath" | "readlink" => {
                args.iter().rfind(|arg| !arg.starts_with('-')).map(|arg| (*arg).to_owned())
            }
            "git" if args.contains(&"--show-toplevel") => Some(".".to_owned()),
            "whoami" => Some("user".to_owned()),
            "id" => Some("1000".to_owned()),
            "yes" => Some(args.first().copied().unwrap_or("y").to_owned()),
            _ => None,
        };
        let text = text.filter(|text| !text.contains(UNKNOWN));
        if text.as_ref().is_none_or(|text| self.budget.spend(text.len()).is_ok()) {
            output.text = text;
        }
        output
    }
}

fn echo(args: &[&str]) -> String {
    let mut escapes = false;
    let mut newline = true;
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        let option = arg.len() > 1
            && arg.starts_with('-')
            && arg[1..].chars().all(|c| matches!(c, 'n' | 'e' | 'E'));
        if !option {
            break;
        }
        escapes |= arg.contains('e');
        newline &= !arg.contains('n');
        at += 1;
    }
    let mut text = args[at..].join(" ");
    if escapes {
        text = unescape(&text);
    }
    if newline {
        text.push('\n');
    }
    text
}

fn printf(args: &[&str]) -> Option<String> {
    let (format, mut values) = match args {
        ["--", format, values @ ..] | [format, values @ ..] => (*format, values),
        [] => return None,
    };
    let mut out = String::new();
    loop {
        let before = values.len();
        let mut rest = format;
        while !rest.is_empty() {
            // A `%` that an escape stands for begins no directive.
            let at = rest.find('%').unwrap_or(rest.len());
            out.push_str(&unescape(&rest[..at]));
            let Some(directive) = rest.get(at + 1..) else { break };
            if let Some(after) = directive.strip_prefix('%') {
                out.push('%');
                rest = after;
                continue;
            }
            let options = |c: char| c.is_ascii_digit() || "-+ .#".contains(c);
            let mut chars = directive.trim_start_matches(options).chars();
            let value = values.split_first().map(|(first, others)| {
                values = others;
                *first
            });
            match chars.next()? {
                's' | 'd' | 'i' | 'u' | 'q' => out.push_str(value.unwrap_or_default()),
                'b' => out.push_str(&unescape(value.unwrap_or_default())),
                'c' => out.extend(value.unwrap_or_default().chars().next()),
                _ => return None,
            }
            rest = chars.as_str();
        }
        if values.is_empty() || values.len() == before || out.len() > MAX_DECODED {
            return Some(out);
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_DECODED {
        return None;
    }
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    engine.decode(compact.as_bytes()).ok()
}

fn from_base64(text: &str) -> Option<String> {
    String::from_utf8(decode(text)?).ok()
}

/// The script of PowerShell's `-EncodedCommand`.
pub(crate) fn utf16_base64(text: &str) -> Option<String> {
    let bytes = decode(text)?;
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).ok()
}

fn from_hex(text: &str) -> Option<String> {
    if text.len() > MAX_DECODED {
        return None;
    }
    let digits: Vec<u32> = text.replace("\\x", "").chars().filter_map(|c| c.to_digit(16)).collect();
    let bytes = digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok());
    String::from_utf8(bytes.collect::<Option<Vec<_>>>()?).ok()
}

/// `tr` with plain sets and ranges of letters.
fn tr(text: &str, args: &[&str]) -> Option<String> {
    let set = |spec: &str| -> Option<Vec<char>> {
        let mut out = Vec::new();
        let chars: Vec<char> = unescape(spec).chars().collect();
        let mut at = 0;
        while at < chars.len() {
            if chars[at] == '[' {
                return None;
            }
            if chars.get(at + 1) == Some(&'-') && at + 2 < chars.len() {
                if u32::from(chars[at + 2]).checked_sub(u32::from(chars[at]))? > 0x100 {
                    return None;
                }
                out.extend(chars[at]..=chars[at + 2]);
                at += 3;
            } else {
                out.push(chars[at]);
                at += 1;
            }
        }
        Some(out)
    };
    match args {
        ["-d", deleted] => {
            let deleted = set(deleted)?;
            Some(text.chars().filter(|c| !deleted.contains(c)).collect())
        }
        [from, to] if !from.starts_with('-') => {
            let (from, to) = (set(from)?, set(to)?);
            let map = |c: char| match from.iter().position(|f| *f == c) {
                Some(at) => to.get(at).or(to.last()).copied().unwrap_or(c),
                None => c,
            };
            Some(text.chars().map(map).collect())
        }
        _ => None,
    }
}
