//! One-liners of Python, Ruby, Perl, Node and others: the destructive calls among their tokens.
//!
//! This is no parser of these languages. It reads names and string literals and looks at the calls whose
//! name says what they do; a text that is decoded and then run counts as unparsed.

use super::budget::Unparsed;
use super::calls::{Call, call};
use super::effect::{CommandEffect, Shell, TargetClass};
use super::evaluate::{Evaluator, Scope};
use super::expand::Field;
use super::sql;

enum Token<'t> {
    Name(&'t str),
    Text(&'t str),
    Mark(char),
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let bytes = code.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'\'' | b'"' | b'`' => {
                let mut end = at + 1;
                while end < bytes.len() && bytes[end] != byte {
                    end += if bytes[end] == b'\\' { 2 } else { 1 };
                }
                let end = end.min(bytes.len());
                if let Some(text) = code.get(at + 1..end) {
                    if byte == b'`' {
                        out.push(Token::Name("qx"));
                    }
                    out.push(Token::Text(text));
                }
                at = end + 1;
            }
            _ if byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$' => {
                let mut end = at + 1;
                while end < bytes.len()
                    && (bytes[end].is_ascii_alphanumeric() || b"_.:".contains(&bytes[end]))
                {
                    end += 1;
                }
                out.push(Token::Name(&code[at..end]));
                at = end;
            }
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'#' if out.last().is_none_or(|token| !matches!(token, Token::Name(_))) => {
                at = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |next| at + next);
            }
            _ => {
                let c = code[at..].chars().next().unwrap_or(' ');
                out.push(Token::Mark(c));
                at += c.len_utf8();
            }
        }
    }
    out
}

impl Evaluator {
    /// Follows the calls of a one-liner. The invocation of the interpreter has been recorded already.
    pub(crate) fn code(&mut self, program: &str, code: &str, scope: &Scope) {
        if self.budget.spend(code.len() * 2).is_err() || self.depth >= super::budget::MAX_DEPTH {
            return self.fault(Unparsed::TooComplex);
        }
        self.depth += 1;
        let tokens = tokens(code);
        let decodes = [
            "b64decode",
            "decode64",
            "fromhex",
            "unhexlify",
            "base64",
            "fromCharCode",
            "unpack",
            "atob",
            "rot13",
            "decompress",
            "marshal",
        ]
        .iter()
        .any(|name| code.contains(name));
        // Text that comes from elsewhere is as unknown as text that is decoded.
        let decodes = decodes
            || ["urlopen(", "requests.get(", "http.get(", "https.get(", "Net::HTTP", "LWP::"]
                .iter()
                .any(|name| code.contains(name));
        let mut secret = false;
        let mut sends = false;
        let mut socket = code.contains("require('net')") || code.contains("require(\"net\")");
        let mut shell = false;
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Name(name) => {
                    let Some(call) = call(name, program, code) else { continue };
                    let next = tokens.get(at + 1);
                    let deletes = matches!(call, Call::Delete | Call::DeleteTree);
                    // Perl and Ruby call without parentheses.
                    let called = matches!(next, Some(Token::Mark('(') | Token::Text(_)))
                        || (deletes && matches!(next, Some(Token::Name(_))))
                        || name.ends_with("_all");
                    if !called {
                        continue;
                    }
                    if deletes
                        && literals(&tokens[at + 1..]).is_empty()
                        && self.deletes_found(&tokens)
                    {
                        self.raise_last(CommandEffect::Destroy, "code-deletes");
                    }
                    let literals = literals(&tokens[at + 1..]);
                    match call {
                        Call::Send => sends = true,
                        Call::Socket => socket = true,
                        Call::Script | Call::Vector => shell = true,
                        _ => {}
                    }
                    self.follow(program, name, &call, &literals, decodes, scope);
                }
                Token::Text(text) => {
                    secret |=
                        super::secrets::secrecy(text) == Some(super::secrets::Secrecy::Credentials);
                    let words: Vec<_> = text.split_whitespace().take(2).collect();
                    if let [first, second] = words.as_slice()
                        && sql::is_statement(first, second)
                    {
                        self.raise_last(sql::effect(text), "sql-in-code");
                    }
                }
                Token::Mark(_) => {}
            }
        }
        let environment = code.contains("os.environ") || code.contains("process.env");
        if secret {
            self.raise_last(CommandEffect::Exfiltrate, "code-reads-credentials");
        }
        let sent = tokens.iter().any(
            |token| matches!(token, Token::Text(text) if super::secrets::secrecy(text).is_some()),
        );
        if sends && sent {
            self.raise_last(CommandEffect::Exfiltrate, "code-sends-file");
        }
        if sends
            && environment
            && (code.contains("dict(os.environ)") || code.contains("stringify(process.env)"))
        {
            self.raise_last(CommandEffect::Exfiltrate, "code-sends-environment");
        }
        if socket
            && (shell || code.contains("/bin/") || code.contains("dup2") || code.contains("pty"))
        {
            self.raise_last(CommandEffect::Escalate, "reverse-shell");
        }
        let compact: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if [".all().delete()", ".objects.delete()", ".objects.all()._raw_delete"]
            .iter()
            .any(|calls| compact.contains(calls))
        {
            self.raise_last(CommandEffect::Destroy, "code-destroys");
        }
        if compact.contains("/inet/tcp/") || compact.contains("/inet/udp/") {
            self.raise_last(CommandEffect::Escalate, "reverse-shell");
        }
        if code.contains("with administrator privileges") {
            self.raise_last(CommandEffect::Escalate, "raise-rights");
        }
        // A one-liner that is a shell command by mistake or disguise.
        let trimmed = code.trim_start();
        if trimmed.starts_with("rm -") {
            self.script(trimmed, Shell::Posix, scope);
        }
        self.depth -= 1;
    }

    fn follow(
        &mut self,
        program: &str,
        name: &str,
        call: &Call,
        literals: &[&str],
        decodes: bool,
        scope: &Scope,
    ) {
        let mut inner = Scope { stdin: None, writes: Vec::new(), ..scope.clone() };
        inner.via.push(program.to_owned());
        match call {
            // `system("git", "push")`, but not `popen("git push", "r")`.
            Call::Script
                if literals.len() > 1
                    && literals.first().is_some_and(|first| !first.contains(' ')) =>
            {
                let argv = literals.iter().map(|text| Field::new(unquote(text))).collect();
                self.invoke(argv, &inner);
            }
            Call::Script => match literals.first() {
                Some(script) => {
                    self.script(&unquote(script), Shell::Posix, &inner);
                }
                None if decodes => self.raise_last(CommandEffect::Unparsed, "decoded-code"),
                None => self.raise_last(CommandEffect::Change, "runs-commands"),
            },
            Call::Vector => match literals {
                [script] => {
                    self.script(&unquote(script), Shell::Posix, &inner);
                }
                [] => self.raise_last(CommandEffect::Change, "runs-commands"),
                _ => {
                    let argv = literals.iter().map(|text| Field::new(unquote(text))).collect();
                    self.invoke(argv, &inner);
                }
            },
            Call::DeleteTree | Call::Delete => {
                let tree = matches!(call, Call::DeleteTree);
                let mut argv = vec![Field::new("rm"), Field::new(if tree { "-rf" } else { "-f" })];
                argv.extend(literals.iter().map(|text| Field::new(unquote(text))));
                if literals.is_empty() {
                    if tree {
                        self.raise_last(CommandEffect::Destroy, "code-deletes");
                    }
                    return;
                }
                self.invoke(argv, &inner);
            }
            Call::Eval if decodes => {
                self.fault(Unparsed::Undecodable);
                self.raise_last(CommandEffect::Unparsed, "decoded-code");
            }
            Call::Destroy => {
                let _ = name;
                self.raise_last(CommandEffect::Destroy, "code-destroys");
            }
            Call::Kill => self.raise_last(CommandEffect::Destroy, "code-kills"),
            Call::Write => {
                let class = literals.first().map(|path| self.place.class(path));
                if !matches!(class, Some(TargetClass::Temporary | TargetClass::Build)) {
                    self.raise_last(CommandEffect::Destroy, "code-truncates");
                }
            }
            Call::Open => self.opens(name, literals),
            Call::Eval | Call::Send | Call::Socket => {}
        }
    }

    /// Judges a file that is opened to be written.
    fn opens(&mut self, name: &str, literals: &[&str]) {
        let [path, mode @ ..] = literals else { return };
        let writes = mode.first().is_some_and(|mode| {
            mode.len() <= 3 && (mode.starts_with(['w', 'a', 'x', '>']) || mode.contains('+'))
        });
        if (writes || name != "open")
            && let Some(mut part) = self.parts.pop()
        {
            self.judge_write(&mut part, super::syntax::RedirectKind::Write, &unquote(path));
            self.parts.push(part);
        }
    }

    /// Whether the code goes through folders, and nothing says that only files of builds are meant.
    fn deletes_found(&self, tokens: &[Token<'_>]) -> bool {
        let walks = tokens.iter().any(|token| {
            let Token::Name(name) = token else { return false };
            let last = name.rsplit(['.', ':']).next().unwrap_or(name);
            matches!(
                last,
                "glob"
                    | "rglob"
                    | "iglob"
                    | "iterdir"
                    | "listdir"
                    | "walk"
                    | "scandir"
                    | "readdir"
                    | "readdirSync"
                    | "readdirp"
                    | "globSync"
                    | "finddepth"
                    | "children"
                    | "each_child"
            )
        });
        let paths = tokens.iter().filter_map(|token| match token {
            Token::Text(text) if text.contains(['*', '/']) => Some(*text),
            _ => None,
        });
        let classes: Vec<_> = paths.map(|path| self.place.class(path)).collect();
        let made =
            |class: &TargetClass| matches!(class, TargetClass::Build | TargetClass::Temporary);
        walks && (classes.is_empty() || !classes.iter().all(made))
    }

    pub(crate) fn raise_last(&mut self, effect: CommandEffect, rule: &str) {
        if let Some(part) = self.parts.last_mut() {
            part.raise(effect, rule);
        }
    }
}

/// String literals up to the end of the call.
fn literals<'t>(tokens: &[Token<'t>]) -> Vec<&'t str> {
    let mut depth = 0usize;
    let mut out = Vec::new();
    for token in tokens.iter().take(200) {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            Token::Mark(';') => break,
            Token::Text(text) => out.push(*text),
            Token::Name("qx") => {}
            Token::Name(_) if depth == 0 && !out.is_empty() => break,
            _ => {}
        }
    }
    out
}

fn unquote(text: &str) -> String {
    if text.contains('\\') { super::syntax::word::unescape(text) } else { text.to_owned() }
}
