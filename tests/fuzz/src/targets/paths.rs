//! Paths of plans, and addresses in texts.

use life_agent_gates::paths::normalize;
use life_agent_policy::globs;

use super::{FIELD, Target, built_in, ensure};

pub(crate) const PATHS: Target = Target { name: "paths", pieces: PIECES, run: paths, bound: FIELD };
pub(crate) const ADDRESSES: Target =
    Target { name: "addresses", pieces: ADDRESS_PIECES, run: addresses, bound: FIELD };

const PIECES: &[&str] = &[
    "allowed",
    "plans",
    "a",
    ".",
    "..",
    "/",
    "//",
    "\\",
    "../",
    "..\\",
    "%2e%2e",
    "%2f",
    "%5c",
    "%252e",
    "\u{2025}",
    "\u{ff0e}",
    "\u{2215}",
    "~",
    "~root",
    "C:",
    "C:\\",
    "\\\\host\\share",
    ":",
    "::$DATA",
    ".env",
    ".git",
    "CON",
    "nul.txt",
    " ",
    ". ",
    "\t",
    "\n",
    "\0",
    "\u{200b}",
    "\u{e002e}",
    "é",
    "e\u{301}",
    "*",
    "?",
    "[a]",
    "{a,b}",
    "...",
    "$HOME",
    "&#46;",
    "\\u002e",
];

const ADDRESS_PIECES: &[&str] = &[
    "http://",
    "https://",
    "ftp://",
    "file:///",
    "gopher://",
    "data:",
    "javascript:",
    "169.254.169.254",
    "127.0.0.1",
    "localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "127.1",
    "0",
    "metadata.google.internal",
    "example.org",
    "user:pw@",
    "@",
    ":80",
    ":",
    "/",
    "//",
    "\\",
    "?",
    "#",
    "%2f",
    "%40",
    "%00",
    ".",
    "。",
    "①",
    "xn--",
    "é",
    " ",
    "\n",
    "\t",
    "internal",
    ".local",
    "10.0.0.1",
    "nip.io",
    "http:\\\\",
    "hTTp://",
    "://",
];

fn paths(bytes: &[u8]) -> Result<(), String> {
    let raw = String::from_utf8_lossy(bytes);
    let _ = globs::canonical(&raw);
    let Ok(path) = normalize(&raw) else { return Ok(()) };
    let bad = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\\', ':', '\0']);
    ensure(!path.split('/').any(bad), || format!("becomes the path {path:?}"))?;
    let again = normalize(&path)
        .map_err(|fault| format!("becomes {path:?}, which is refused: {fault:?}"))?;
    ensure(again == path, || format!("becomes {path:?} and then {again:?}"))
}

fn addresses(bytes: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(bytes);
    // The longest turn.
    let text = &text[..text.floor_char_boundary(8_192)];
    built_in::scan(text)?;
    Ok(())
}
