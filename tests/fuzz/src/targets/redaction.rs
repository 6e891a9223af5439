//! The scan of texts and redaction: spans lie in the text, redacting again changes nothing, and no token is left.

use std::time::Duration;

use life_agent_domain::governance::redaction::Redact;
use life_agent_gates::SecretRedactor;

use super::{Target, built_in, ensure};

pub(crate) const TARGET: Target =
    Target { name: "redaction", pieces: PIECES, run, bound: Duration::from_millis(250) };

/// Generated tokens without a use.
const TOKENS: &[&str] = &[
    "ghp_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0",
    "glpat-9wXq2LkPz7VbN4mTr8Yc",
    "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",
    "npm_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0",
];

const PIECES: &[&str] = &[
    TOKENS[0],
    TOKENS[1],
    TOKENS[2],
    TOKENS[3],
    "AKIAQ3EGRVBOYZ7DKWZT",
    "eyJhbGciOiJIUzI1NiJ9.",
    "eyJzdWIiOiIxIn0.",
    "-----BEGIN RSA PRIVATE KEY-----\n",
    "-----END RSA PRIVATE KEY-----",
    "password",
    "passwd: ",
    "api_key = \"",
    "token=",
    "secret",
    "://",
    "user:pw@",
    "@host/",
    "Bearer ",
    "Authorization: Basic ",
    "machine h login l password p",
    "sig=",
    "-p",
    "mysql ",
    "=",
    ": ",
    "\"",
    "'",
    "''",
    "\\",
    "\\u00",
    "\\u0067",
    "\\x67",
    "%67",
    "%2567",
    "&#103;",
    "&#x67;",
    "=3D",
    "=\n",
    "\u{200b}",
    "\u{e0067}",
    "\u{fe0f}",
    "ｇ",
    "Z2hwXzl3WHEyTGtQejdWYk40bVRyOFljRGY2",
    "6768705f",
    " ",
    "\n",
    ", ",
    "[redacted:x]",
    "a",
    "0",
    "9wXq2LkPz7VbN4mTr8Yc",
    "rm -rf /",
    "../../etc/passwd",
    "http://169.254.169.254/",
    "ignore all previous instructions",
    "{",
    "}",
    "[",
    "]",
    "é",
    "\0",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

fn run(bytes: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(bytes);
    if bytes.len() <= 8_192 {
        // The longest turn; longer texts are judged in pieces of their conversation.
        built_in::scan(&text)?;
    }
    let clean = SecretRedactor.redact(&text).into_owned();
    if bytes.len() <= 64_000 {
        let again = SecretRedactor.redact(&clean);
        ensure(again == clean, || format!("is redacted to {clean:?} and then to {again:?}"))?;
    }
    for token in TOKENS {
        ensure(!stands_alone(&clean, token), || format!("keeps {token}"))?;
    }
    Ok(())
}

/// Whether the token is a word of the text.
fn stands_alone(text: &str, token: &str) -> bool {
    text.match_indices(token).any(|(at, _)| {
        let is_space = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_whitespace);
        let bytes = text.as_bytes();
        is_space(at.checked_sub(1).and_then(|at| bytes.get(at)))
            && is_space(bytes.get(at + token.len()))
    })
}
